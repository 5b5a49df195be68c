"""What is refused beside DTensors, for whatever operator."""

import pytest
import torch
from dtensors import B, D, H, N, S, collectives, placed, tensor
from ranks import on_ranks
from torch.distributed.tensor import Replicate, Shard

import torch_rope

POS = torch.arange(B * S).view(B, S)


def replicated(x, mesh):
    return placed(x, mesh, Replicate(), Replicate())


def plain_q(mesh):
    torch.ops.rope.rotate_qk(tensor(B, S, H, D), replicated(tensor(B, S, 2, D), mesh))


def plain_x_beside_a_table(mesh):
    table = replicated(torch.ops.rope.cos_sin_table(torch.ones(N), S), mesh)
    torch.ops.rope.rotate(tensor(B, S, H, D), cos_sin=table)


def other_mesh(mesh):
    pos = placed(torch.arange(S), mesh["tp"], Replicate())
    torch.ops.rope.rotate(placed(tensor(B, S, H, D), mesh, Shard(0), Shard(2)), pos)


def shard_of_pos(mesh):
    x = placed(tensor(B, S, H, D), mesh, Shard(0), Replicate())
    torch.ops.rope.rotate(x, POS.chunk(2)[mesh.get_local_rank(0)])


def odd_rotary_dim(mesh):
    torch_rope.rotate(replicated(tensor(B, S, H, D), mesh), POS, rotary_dim=7)


REFUSED = {
    plain_q: r"rope::rotate_qk: q must be a DTensor, as k is, got a plain tensor; make it one",
    plain_x_beside_a_table: r"rope::rotate: x must be a DTensor, as cos_sin is, got a plain",
    other_mesh: r"rope::rotate: pos must be on the device mesh of x, .*, got DeviceMesh",
    shard_of_pos: r"rope::rotate: pos must be \(6,\), \(1, 6\) or \(4, 6\), got \[2, 6\]",
    odd_rotary_dim: r"rope::rotate: rotary_dim must be even, got 7",
}


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: call.__name__.replace("_", "-"))
@on_ranks(2, 2)
def test_refused(mesh, call):
    """With the operator's own words, about the whole tensors, on every rank and before any call."""
    with collectives(0), pytest.raises(RuntimeError, match="^" + REFUSED[call]):
        call(mesh)
