"""The backward pass is the inverse rotation under every keyword that the forward pass was given."""

import pytest
import torch
from cases import random, same_bits


def frequencies(count):
    return torch.logspace(0, -2, count, dtype=torch.float64)


def table(rows, count):
    angles = torch.outer(torch.arange(rows), frequencies(count))
    return torch.cat((angles.cos(), angles.sin()), dim=-1).float()


KEYWORDS = {
    "base": {"base": 500.0},
    "attention_factor": {"attention_factor": 1.25},
    "rotary_dim": {"rotary_dim": 4},
    "rotary_offset": {"rotary_offset": -4},
    "interleaved": {"interleaved": True},
    "inverse": {"inverse": True},
    "layout": {"layout": "bhsd"},
    "offsets": {"offsets": torch.tensor([7, 2])},
    "skip_negative": {"skip_negative": True, "pos": torch.tensor([4, -9, 1])},
    "inv_freq": {"inv_freq": frequencies(4)},
    "cos_sin": {"cos_sin": table(16, 4)},
    "cos-sin": dict(zip(("cos", "sin"), table(16, 4).chunk(2, dim=-1), strict=True)),
    "cos_sin-inv_freq": {"cos_sin": table(5, 4), "inv_freq": frequencies(4)},
}


@pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS)
def test_gradient_is_the_inverse_rotation(device, keywords):
    """As many heads as tokens: a forgotten layout is then no error either."""
    x, upstream = (random(2, 3, 3, 8, dtype=torch.float32, device=device, seed=s) for s in (0, 1))
    own = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in {"pos": torch.tensor([4, 9, 1]), **keywords}.items()
    }
    torch.ops.rope.rotate(x.requires_grad_(), **own).backward(upstream)
    inverse = {**own, "inverse": not own.get("inverse", False)}
    assert same_bits(x.grad, torch.ops.rope.rotate(upstream, **inverse))
    # And each keyword counts: without it the gradient would be another one.
    assert not torch.equal(x.grad, torch.ops.rope.rotate(upstream, own["pos"], inverse=True))


def test_gradient_of_a_ragged_batch(device):
    x, upstream = (random(7, 2, 8, dtype=torch.float32, device=device, seed=s) for s in (0, 1))
    starts = torch.tensor([0, 3, 7], device=device)
    torch.ops.rope.rotate(x.requires_grad_(), cu_seqlens=starts).backward(upstream)
    assert same_bits(x.grad, torch.ops.rope.rotate(upstream, cu_seqlens=starts, inverse=True))
    assert not torch.equal(x.grad, torch.ops.rope.rotate(upstream, inverse=True))
