"""The operators that write, on DTensors: into a tensor's own shards, or not at all."""

import pytest
import torch
from cases import same_bits
from dtensors import B, D, H, S, along, assert_shards, collectives, placed, tensor
from layouts import view_as
from ranks import on_ranks
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor.experimental import local_map

POS = torch.arange(B * S).view(B, S) * 7
AXES = ["batch", "tokens", "heads"]


@pytest.mark.parametrize("axis", AXES)
@on_ranks(2)
def test_apply(mesh, axis):
    q, k = tensor(B, S, H, D), tensor(B, S, 2, D, seed=1)
    own = [placed(x.clone(), mesh, along(axis)) for x in (q, k)]
    versions = [x._version for x in own]
    with collectives(0):
        torch.ops.rope.apply(*own, POS)
    for actual, whole in zip(own, torch.ops.rope.rotate_qk(q, k, POS), strict=True):
        assert_shards(actual, whole, along(axis))
    assert [x._version - before for x, before in zip(own, versions, strict=True)] == [1, 1]


@on_ranks(2)
def test_apply_to_whole_keys(mesh):
    """More ranks than k has heads: each rank writes its own copy."""
    q, k = tensor(B, S, H, D), tensor(B, S, 1, D, seed=1)
    own_q, own_k = placed(q.clone(), mesh, Shard(2)), placed(k.clone(), mesh, Replicate())
    torch.ops.rope.apply(own_q, own_k, POS)
    whole_q, whole_k = torch.ops.rope.rotate_qk(q, k, POS)
    assert_shards(own_q, whole_q, Shard(2))
    assert_shards(own_k, whole_k, Replicate())


@pytest.mark.parametrize("layout", ["bshd", "bhsd", "sbhd"])
@pytest.mark.parametrize("axis", ["batch", "tokens"])
@on_ranks(2)
def test_apply_qkv(mesh, axis, layout):
    """Counted positions: those of tokens are not the shard's own."""
    heads = {"num_heads_q": H, "num_heads_k": 1}
    qkv = tensor(B, S, H + 2, D, layout=layout)
    own = placed(qkv.clone(), mesh, along(axis, layout))
    with collectives(0):
        torch.ops.rope.apply_qkv(own, layout=layout, **heads)
    torch.ops.rope.apply_qkv(qkv, layout=layout, **heads)
    assert_shards(own, qkv, along(axis, layout))


OF_HEADS = torch.linspace(0.1, 1.0, 2 * H * D // 2).view(2, H, D // 2)
REROTATED = {
    "base": {},
    "axes": {
        "old_inv_freq": OF_HEADS[:, 0],
        "new_inv_freq": OF_HEADS[:, 1],
        "old_pos": torch.stack((POS, POS * 2)),
        "new_pos": torch.stack((POS, POS * 3)),
    },
    "old-axes": {
        "old_inv_freq": OF_HEADS[:, 0],
        "new_inv_freq": OF_HEADS[0, 0],
        "old_pos": torch.stack((POS, POS * 2)),
    },
    "of-heads": {"old_inv_freq": OF_HEADS[:1], "new_inv_freq": OF_HEADS[1:]},
    "to-those-of-heads": {"new_inv_freq": OF_HEADS[1:]},
}


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("call", REROTATED)
@on_ranks(2)
def test_rerotate(mesh, call, axis):
    k = tensor(B, S, H, D)
    keywords = {"old_pos": POS, "new_pos": POS + 5, **REROTATED[call]}
    own = placed(k.clone(), mesh, along(axis))
    with collectives(0):
        torch.ops.rope.rerotate(own, **keywords)
    torch.ops.rope.rerotate(k, **keywords)
    assert_shards(own, k, along(axis))


@on_ranks(2)
def test_arguments_that_are_only_read_may_move(mesh):
    q = tensor(B, S, H, D)
    own = placed(q.clone(), mesh, Shard(0))
    with collectives(1):
        torch.ops.rope.apply(own, pos=placed(POS, mesh, Shard(1)))
    assert_shards(own, torch.ops.rope.rotate(q, POS), Shard(0))


# The operator, the layout, where what it writes is, and where that would have to be.
REFUSED = {
    "partial": ("apply", "bshd", [Partial()], "q", "Replicate"),
    "head_dim": ("apply", "bshd", [Shard(3)], "q", "Replicate"),
    "k-unlike-q": ("apply", "bshd", [Shard(0), Replicate()], "k", r"Shard\(dim=0\)"),
    "packed-heads": ("apply_qkv", "bshd", [Shard(2)], "qkv", "Replicate"),
    "tokens-of-sequences": ("apply", "thd", [Shard(0)], "q", "Replicate"),
}


@pytest.mark.parametrize(
    ("op", "layout", "placements", "name", "wanted"), REFUSED.values(), ids=REFUSED
)
@on_ranks(2)
def test_refused(mesh, op, layout, placements, name, wanted):
    """Rather than written into a copy; nothing is written, and nothing sent."""
    x = view_as(layout, tensor(B, S, H, D))
    own = [
        DTensor.from_local(x.clone(), mesh, [placement])
        if placement.is_partial()
        else placed(x, mesh, placement)
        for placement in placements
    ]
    before = [actual.to_local().clone() for actual in own]
    keywords = {
        "apply": {"cu_seqlens": torch.tensor([0, S])} if layout == "thd" else {},
        "apply_qkv": {"num_heads_q": 2, "num_heads_k": 1},
    }[op]
    text = rf"^rope::{op}: {name} must be placed as \({wanted}.* in place, got .*local_map"
    with collectives(0), pytest.raises(RuntimeError, match=text):
        getattr(torch.ops.rope, op)(*own, **keywords)
    for actual, expected in zip(own, before, strict=True):
        assert same_bits(actual.to_local(), expected)


@on_ranks(2)
def test_grad_mode_refuses(mesh):
    q = placed(tensor(B, S, H, D), mesh, Shard(0)).requires_grad_()
    with pytest.raises(RuntimeError, match="rope::apply: q must not require grad"):
        torch.ops.rope.apply(q)


@on_ranks(2)
def test_local_map_of_packed_heads(mesh):
    """docs/distributed.md: each rank has packed some of the heads of q, of k and of v."""
    heads_q, heads_k, heads_v = tensor(B, S, 4, D), tensor(B, S, 2, D), tensor(B, S, 2, D)
    parts = [x.chunk(2, dim=2)[mesh.get_local_rank()] for x in (heads_q, heads_k, heads_v)]
    qkv = DTensor.from_local(torch.cat(parts, dim=2), mesh, [Shard(2)])

    def rotate_heads(qkv, pos):
        torch.ops.rope.apply_qkv(qkv, pos, num_heads_q=2, num_heads_k=1)
        return qkv

    rotate_shards = local_map(
        rotate_heads, out_placements=[Shard(2)], in_placements=([Shard(2)], None)
    )
    with collectives(0):
        rotated = rotate_shards(qkv, POS)
    expected = [*torch.ops.rope.rotate_qk(parts[0], parts[1], POS), parts[2]]
    assert same_bits(rotated.to_local(), torch.cat(expected, dim=2))
    assert rotated.to_local().data_ptr() == qkv.to_local().data_ptr()
