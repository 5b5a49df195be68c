"""An attention block on two ranks, each with half of the heads, against the same on one."""

import pytest
import torch
from cases import random, same_bits
from dtensors import B, D, S
from ranks import on_ranks
from torch import nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.functional import scaled_dot_product_attention

import torch_rope

HEADS_Q, HEADS_K, WIDTH = 4, 2, 32
UNIT = 2.0**-24


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.to_q, self.to_k, self.to_v = (
            nn.Linear(WIDTH, heads * D, bias=False) for heads in (HEADS_Q, HEADS_K, HEADS_K)
        )
        self.out = nn.Linear(HEADS_Q * D, WIDTH, bias=False)
        self.rope = torch_rope.RotaryEmbedding(torch_rope.schedules.default(D, base=500.0))

    def forward(self, x):
        """Keeps what the sums of the projections are made of, for the bounds of their errors."""
        linear = (self.to_q, self.to_k, self.to_v)
        self.projected = [project(x).unflatten(-1, (-1, D)) for project in linear]
        q, k, v = self.projected
        self.rotated = q, k = self.rope(q, k)
        q, k, v = (
            (y.to_local() if isinstance(y, DTensor) else y).transpose(1, 2) for y in (q, k, v)
        )
        attended = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        self.attended = attended.transpose(1, 2).flatten(2)
        return self.out(self.attended)


def whole_numbers(*extents, seed):
    """Small ones: sums of their products are exact in float32, in whatever order."""
    return random(*extents, dtype=torch.float32, device="cpu", seed=seed).mul(2).round()


def block():
    attention = Attention()
    with torch.no_grad():
        for seed, weight in enumerate(attention.parameters()):
            weight.copy_(whole_numbers(*weight.shape, seed=seed))
        attention.to_q.weight.mul_(2.0**-7)  # So that the softmax has something to weigh.
    return attention


def run(attention):
    """Forward and backward; returns the input, whose gradient is kept, and the output."""
    x = whole_numbers(B, S, WIDTH, seed=8).requires_grad_()
    y = attention(x)
    for kept in (*attention.projected, attention.attended):
        kept.retain_grad()
    y.backward(whole_numbers(B, S, WIDTH, seed=9))
    return x, y


def sums(attention, x):
    """For each result that is a sum: how many terms it has, and the sum of their magnitudes.

    All else is the same on two ranks bit for bit: projections are exact, heads are rotated and
    attended to one by one.
    """
    upstream = whole_numbers(B, S, WIDTH, seed=9).abs().flatten(0, 1)
    tokens, attended = (
        x.detach().abs().flatten(0, 1),
        attention.attended.detach().abs().flatten(0, 1),
    )
    bounds = {"y": (HEADS_Q * D, attended @ attention.out.weight.abs().T)}
    bounds["out"] = (B * S, upstream.T @ attended)
    to_x, terms = 0, 0
    for name, projected in zip(("to_q", "to_k", "to_v"), attention.projected, strict=True):
        gradient = projected.grad.abs().flatten(2).flatten(0, 1)
        bounds[name] = (B * S, gradient.T @ tokens)
        to_x = to_x + gradient @ getattr(attention, name).weight.abs()
        terms += gradient.shape[-1]
    bounds["x"] = (terms, to_x)
    return bounds


@pytest.mark.parametrize("is_local", [True, False], ids=["local-heads", "dtensor-views"])
@on_ranks(2)
def test_attention(mesh, is_local):
    whole, attention = block(), block()
    columns = ColwiseParallel(use_local_output=is_local)
    plan = {"to_q": columns, "to_k": columns, "to_v": columns, "out": RowwiseParallel()}
    parallelize_module(attention, mesh, plan)
    (own_x, own_y), (x, y) = run(attention), run(whole)
    for actual, expected in zip(attention.rotated, whole.rotated, strict=True):
        local = actual if is_local else actual.to_local()
        assert same_bits(local, expected.chunk(2, dim=2)[mesh.get_local_rank()])
    actual = {"y": own_y, "x": own_x.grad}
    expected = {"y": y, "x": x.grad}
    for name in ("to_q", "to_k", "to_v", "out"):
        actual[name] = getattr(attention, name).weight.grad.full_tensor()
        expected[name] = getattr(whole, name).weight.grad
    for name, (terms, magnitudes) in sums(whole, x).items():
        # Each addition of either sum is off by at most the unit of what has been summed.
        error = (actual[name] - expected[name]).abs().flatten(0, -2)
        assert (error <= 2 * terms * UNIT * magnitudes).all(), (name, (error / magnitudes).max())
        assert expected[name].any()
