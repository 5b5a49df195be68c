"""Shards of tokens: every token keeps the position that it has in the whole sequence."""

import pytest
import torch
from cases import same_bits
from dtensors import B, D, H, S, along, assert_shards, collectives, placed, tensor
from ranks import on_ranks
from torch.distributed.tensor import Replicate, Shard

LAYOUTS = ["bshd", "bhsd", "sbhd"]
RANKS = 4
# What ring attention with a causal mask shares out: rank r has the chunks r and 2 * RANKS - 1 - r,
# so that all have as much to attend to.
CHUNKS = [chunk for rank in range(RANKS) for chunk in (rank, 2 * RANKS - 1 - rank)]
TOKENS = 2 * RANKS * 3
ZIGZAG = torch.arange(TOKENS).view(2 * RANKS, -1)[CHUNKS].flatten()


@pytest.mark.parametrize("keywords", [{}, {"base": 500.0, "interleaved": True}], ids=["", "base"])
@pytest.mark.parametrize("layout", LAYOUTS)
@on_ranks(4)
def test_counted_positions(mesh, layout, keywords):
    """Without pos a shard goes on counting where the one before it ended; 6 tokens on 4 ranks."""
    q, k = (tensor(B, S, heads, D, layout=layout, seed=heads) for heads in (H, 1))
    goes = along("tokens", layout)
    with collectives(0):
        own = torch.ops.rope.rotate_qk(
            placed(q, mesh, goes), placed(k, mesh, goes), layout=layout, **keywords
        )
    whole = torch.ops.rope.rotate_qk(q, k, layout=layout, **keywords)
    for actual, expected in zip(own, whole, strict=True):
        assert_shards(actual, expected, goes)


@on_ranks(2, 2)
def test_batches_and_tokens(mesh):
    """Each dimension of the mesh shards something else; pos is sharded on both."""
    x, pos = tensor(B, S, H, D), torch.arange(B * S).view(B, S) * 3
    with collectives(0):
        rotated = torch.ops.rope.rotate(placed(x, mesh, Shard(0), Shard(1)), pos)
        counted = torch.ops.rope.rotate(placed(x, mesh, Shard(0), Shard(1)))
    assert_shards(rotated, torch.ops.rope.rotate(x, pos), Shard(0), Shard(1))
    assert_shards(counted, torch.ops.rope.rotate(x), Shard(0), Shard(1))


@on_ranks(4)
def test_zigzag_of_local_tensors(mesh):
    """No DTensor needed: a rank gives its tokens' own positions."""
    x = tensor(B, TOKENS, H, D)
    own = ZIGZAG.chunk(RANKS)[mesh.get_local_rank()]
    rotated = torch.ops.rope.rotate(x[:, own], own)
    assert same_bits(rotated, torch.ops.rope.rotate(x)[:, own])


@on_ranks(4)
def test_zigzag_of_dtensors(mesh):
    x = tensor(B, TOKENS, H, D)
    with collectives(0):
        rotated = torch.ops.rope.rotate(
            placed(x[:, ZIGZAG], mesh, Shard(1)), placed(ZIGZAG, mesh, Shard(0))
        )
    assert_shards(rotated, torch.ops.rope.rotate(x)[:, ZIGZAG], Shard(1))


@on_ranks(2)
def test_q_sharded_and_k_whole(mesh):
    """As attention of some queries to all keys would have them: k goes with q, for nothing."""
    q, k = tensor(B, S, H, D), tensor(B, S, 2, D, seed=1)
    with collectives(0):
        own = torch.ops.rope.rotate_qk(placed(q, mesh, Shard(1)), placed(k, mesh, Replicate()))
    for actual, expected in zip(own, torch.ops.rope.rotate_qk(q, k), strict=True):
        assert_shards(actual, expected, Shard(1))


@on_ranks(2)
def test_positions_of_the_shard_alone(mesh):
    """A plain pos is the same on all ranks; that of one shard has the wrong extents."""
    x = tensor(B, S, H, D)
    own = torch.arange(S).chunk(2)[mesh.get_local_rank()]
    with pytest.raises(RuntimeError, match=r"^rope::rotate: pos must be \(6,\).*got \[3\]"):
        torch.ops.rope.rotate(placed(x, mesh, Shard(1)), own)
