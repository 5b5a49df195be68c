"""What tests of DTensors share: a call to shard, and the judgement of what each rank got of it.

Every rank makes the same whole tensors, so that each can compare its shard with its part of what
the operator makes of them unsharded.
"""

import contextlib

import torch
from cases import random, same_bits
from layouts import view_as
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode

B, S, H, D = 4, 6, 4, 16
N = D // 2
# Where the dimensions of (B, S, H, D) are in each layout.
DIMS = {
    "bshd": {"batch": 0, "tokens": 1, "heads": 2},
    "bhsd": {"batch": 0, "tokens": 2, "heads": 1},
    "sbhd": {"batch": 1, "tokens": 0, "heads": 2},
    "thd": {"tokens": 0, "heads": 1},
}


def tensor(*extents, layout="bshd", seed=0):
    """Returns random values of extents (B, S, H, D), as the layout has them."""
    x = random(*extents, dtype=torch.float32, device="cpu", seed=seed)
    return view_as(layout, x).contiguous()


def along(axis, layout="bshd"):
    """The placement that shards a rotated tensor along an axis, by name."""
    return Replicate() if axis == "whole" else Shard(DIMS[layout][axis])


def placed(x, mesh, *placements):
    return distribute_tensor(x, mesh, placements, src_data_rank=None)


def assert_shards(actual, whole, *placements):
    """Whether this rank's part is, bit for bit, its part of a tensor that was not sharded."""
    assert isinstance(actual, DTensor)
    assert actual.placements == placements, actual.placements
    assert actual.shape == whole.shape
    expected = placed(whole, actual.device_mesh, *placements).to_local()
    assert same_bits(actual.to_local(), expected), (actual.to_local(), expected)


@contextlib.contextmanager
def collectives(expected):
    """Fails where another number of collectives runs within."""
    with CommDebugMode() as seen:
        yield
    assert seen.get_total_counts() == expected, dict(seen.get_comm_counts())
