"""What angles are made of, beside a rotated DTensor: plain, replicated, or sharded as it is."""

import pytest
import torch
from dtensors import B, D, H, N, S, along, assert_shards, collectives, placed, tensor
from ranks import on_ranks
from torch.distributed.tensor import Replicate, Shard

AXES = ["batch", "tokens", "heads"]
POS = torch.arange(B * S).view(B, S) * 7
INV_FREQ = torch.logspace(0, -3, N)
# For each of two position axes, and each head.
TWO_AXES = torch.stack((INV_FREQ, INV_FREQ / 3))
OF_HEADS = INV_FREQ * torch.arange(1, H + 1).unsqueeze(-1)
TABLE = torch.ops.rope.cos_sin_table(INV_FREQ, B * S * 7)
ROWS = TABLE[POS]  # (B, S, 2n)


def with_heads(rows):
    return rows.unsqueeze(2) * torch.linspace(0.5, 1.0, H).view(H, 1)


# The keywords of a call, "pos" among them.
CALLS = {
    "counted": {},
    "S": {"pos": POS[1]},
    "1S": {"pos": POS[1:2]},
    "BS": {"pos": POS},
    "expanded": {"pos": POS[1].expand(B, S)},
    "skipped": {"pos": POS - 30, "skip_negative": True},
    "offsets": {"pos": POS[1], "offsets": torch.arange(B) * 100},
    "counted-offsets": {"offsets": torch.arange(B) * 100},
    "inv_freq": {"pos": POS, "inv_freq": INV_FREQ},
    "turns": {"pos": POS, "inv_freq": torch.ops.rope.turns(INV_FREQ)},
    "AS": {"pos": POS[:2], "inv_freq": TWO_AXES},
    "A1S": {"pos": POS[:2].unsqueeze(1), "inv_freq": TWO_AXES},
    "ABS": {"pos": torch.stack((POS, POS * 2)), "inv_freq": TWO_AXES},
    "heads": {"pos": POS, "inv_freq": OF_HEADS.unsqueeze(0)},
    "axes-of-heads": {
        "pos": torch.stack((POS, POS * 2)),
        "inv_freq": torch.stack((OF_HEADS, OF_HEADS / 3)),
    },
    "table": {"pos": POS, "cos_sin": TABLE},
    "counted-table": {"cos_sin": TABLE},
    "table-and-inv_freq": {"pos": POS * 9, "cos_sin": TABLE, "inv_freq": INV_FREQ},
    "rows-BS": {"cos_sin": ROWS},
    "rows-1S": {"cos_sin": ROWS[1:2]},
    "cos-sin": {"pos": POS, "cos": TABLE[:, :N], "sin": TABLE[:, N:]},
    "cos-sin-BS": {"cos": ROWS[..., :N], "sin": ROWS[..., N:]},
    "cos-sin-BSH": {"cos": with_heads(ROWS[..., :N]), "sin": with_heads(ROWS[..., N:])},
}


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("are_dtensors", [False, True], ids=["plain", "replicated"])
@pytest.mark.parametrize("call", CALLS)
@on_ranks(2)
def test_beside(mesh, call, are_dtensors, axis):
    """Nothing has to be sent: each rank takes from what it has whole."""
    x, keywords = tensor(B, S, H, D), CALLS[call]
    own = {
        name: placed(value, mesh, Replicate())
        if are_dtensors and isinstance(value, torch.Tensor)
        else value
        for name, value in keywords.items()
    }
    with collectives(0):
        rotated = torch.ops.rope.rotate(placed(x, mesh, along(axis)), **own)
    assert_shards(rotated, torch.ops.rope.rotate(x, **keywords), along(axis))


# An axis, the call, and which dimension of its arguments lies along that axis.
ALIKE = {
    "batch": ("batch", {"pos": POS, "offsets": torch.arange(B)}, {"pos": 0, "offsets": 0}),
    "batch-of-axes": ("batch", CALLS["ABS"], {"pos": 1}),
    "tokens": ("tokens", {"pos": POS}, {"pos": 1}),
    "heads": ("heads", CALLS["heads"], {"inv_freq": 1}),
    "rows-batch": ("batch", {"cos_sin": ROWS}, {"cos_sin": 0}),
    "rows-tokens": ("tokens", {"cos_sin": ROWS}, {"cos_sin": 1}),
}
# A call beside shards of batches, and an argument of it that is sharded otherwise.
OTHERWISE = {
    "pos": ({"pos": POS}, "pos", 1),
    "inv_freq": ({"inv_freq": INV_FREQ}, "inv_freq", 0),
    "table": ({"pos": POS, "cos_sin": TABLE}, "cos_sin", 0),
    "rows": ({"cos_sin": ROWS}, "cos_sin", 2),
}


@pytest.mark.parametrize("case", ALIKE)
@on_ranks(2)
def test_sharded_alike(mesh, case):
    axis, keywords, dims = ALIKE[case]
    x = tensor(B, S, H, D)
    own = {
        name: placed(value, mesh, Shard(dims[name])) if name in dims else value
        for name, value in keywords.items()
    }
    with collectives(0):
        rotated = torch.ops.rope.rotate(placed(x, mesh, along(axis)), **own)
    assert_shards(rotated, torch.ops.rope.rotate(x, **keywords), along(axis))


@pytest.mark.parametrize(("keywords", "moved", "dim"), OTHERWISE.values(), ids=OTHERWISE)
@on_ranks(2)
def test_sharded_otherwise(mesh, keywords, moved, dim):
    """Keywords move, too: to where the rotated tensor is."""
    x = tensor(B, S, H, D)
    own = {**keywords, moved: placed(keywords[moved], mesh, Shard(dim))}
    with collectives(1):
        rotated = torch.ops.rope.rotate(placed(x, mesh, Shard(0)), **own)
    assert_shards(rotated, torch.ops.rope.rotate(x, **keywords), Shard(0))


@pytest.mark.parametrize("call", ["heads", "cos-sin-BSH"])
@on_ranks(2)
def test_angles_of_heads_want_q_and_k_alike(mesh, call):
    """A whole k would need the angles of all heads, q those of its own: k goes with q."""
    q, k = tensor(B, S, H, D), tensor(B, S, H, D, seed=1)
    with collectives(0):
        own = torch.ops.rope.rotate_qk(
            placed(q, mesh, Shard(2)), placed(k, mesh, Replicate()), **CALLS[call]
        )
    for actual, whole in zip(own, torch.ops.rope.rotate_qk(q, k, **CALLS[call]), strict=True):
        assert_shards(actual, whole, Shard(2))


CU_SEQLENS = torch.tensor([0, 4, 4, 7])
RAGGED = {
    "counted": ({"cu_seqlens": CU_SEQLENS}, "heads", 0),
    "offsets": ({"cu_seqlens": CU_SEQLENS, "offsets": torch.tensor([5, 6, 7])}, "heads", 0),
    "pos": ({"pos": torch.arange(7) * 3}, "tokens", 0),
    "one-sequence": ({}, "tokens", 0),
    "one-offset": ({"offsets": torch.tensor([9])}, "tokens", 0),
    "rows": ({"cos_sin": TABLE[:7].unsqueeze(0)}, "tokens", 0),
    "tokens-of-sequences": ({"cu_seqlens": CU_SEQLENS}, "tokens", 1),
}


@pytest.mark.parametrize(("keywords", "axis", "moves"), RAGGED.values(), ids=RAGGED)
@on_ranks(2)
def test_ragged(mesh, keywords, axis, moves):
    """A shard of tokens does not know where its sequences began: beside cu_seqlens it is whole."""
    x = tensor(1, 7, H, D, layout="thd")
    with collectives(moves):
        rotated = torch.ops.rope.rotate(placed(x, mesh, along(axis, "thd")), **keywords)
    goes = Replicate() if moves else along(axis, "thd")
    assert_shards(rotated, torch.ops.rope.rotate(x, **keywords), goes)
