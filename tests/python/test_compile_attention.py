"""An attention block under Inductor: the same bits as in eager mode, and no copy around the op.

The programs that Inductor writes are read: what they allocate, which kernels they have beside the
matrix products, the operator and the attention.
"""

import pytest
import torch
from cases import random
from inductor_programs import assert_same, compile_afresh, graphs_compiled, run_with_programs
from torch.nn.functional import scaled_dot_product_attention

import torch_rope

pytestmark = pytest.mark.usefixtures("no_compiler_caches")

# On a GPU attention with fewer key heads is one kernel in 16 bits only.
DTYPE = torch.bfloat16
B, S, H, K, D, WIDTH = 2, 7, 4, 2, 16, 48
HEADS = (H, K, K)
# Extents of the products that make q, k and v, or all of them.
SEPARATE = [B * S * heads * D for heads in HEADS]
PACKED = [sum(SEPARATE)]


class Attention(torch.nn.Module):
    """rotate: what is between the projection and the attention."""

    def __init__(self, device, rotate, packed):
        super().__init__()
        self.rotate = rotate
        widths = (sum(HEADS),) if packed else HEADS
        self.weights = torch.nn.ParameterList(
            random(WIDTH, heads * D, dtype=DTYPE, device=device, seed=heads) for heads in widths
        )

    def forward(self, x, pos):
        projected = [(x @ w).unflatten(-1, (-1, D)) for w in self.weights]
        q, k, v = (t.transpose(1, 2) for t in self.rotate(projected, pos))
        return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def by_apply(projected, pos):
    q, k, v = projected
    torch_rope.apply(q, k, pos, base=500.0)
    return q, k, v


def by_apply_on_views(projected, pos):
    return by_apply(projected[0].split(HEADS, dim=2), pos)


def by_apply_qkv(projected, pos):
    torch_rope.apply_qkv(projected[0], pos, num_heads_q=H, num_heads_k=K, base=500.0)
    return projected[0].split(HEADS, dim=2)


def by_rotate_qk(projected, pos):
    q, k, v = projected
    return (*torch_rope.rotate_qk(q, k, pos, base=500.0), v)


def by_rotate_qk_on_views(projected, pos):
    return by_rotate_qk(projected[0].split(HEADS, dim=2), pos)


BLOCKS = {
    "apply": (by_apply, ["apply"], SEPARATE),
    "apply-on-views": (by_apply_on_views, ["apply"], PACKED),
    "apply_qkv": (by_apply_qkv, ["apply_qkv"], PACKED),
    "rotate_qk": (by_rotate_qk, ["apply"], SEPARATE),
    # Into memory of its own, but dense: the rows of a packed projection are not.
    "rotate_qk-on-views": (by_rotate_qk_on_views, ["rotate_qk"], PACKED),
}


def inputs(device, tokens=S, batches=B):
    x = random(batches, tokens, WIDTH, dtype=DTYPE, device=device, seed=9)
    return x, torch.arange(5, 5 + tokens, device=device)


@pytest.mark.parametrize(("rotate", "rotations", "products"), BLOCKS.values(), ids=BLOCKS)
@torch.no_grad()
def test_inference_copies_nothing(device, rotate, rotations, products):
    attention = Attention(device, rotate, packed=products is PACKED)
    given = inputs(device)
    compiled = compile_afresh(attention)
    result, [program] = run_with_programs(lambda: compiled(*given))
    assert_same(result, attention(*given))
    assert program.rotations() == rotations
    assert program.allocations() == products
    assert program.kernels() == []


def test_training_rotates_in_place_both_ways(device):
    attention = Attention(device, by_rotate_qk, packed=False)

    def step(module):
        attention.zero_grad()
        result = module(*inputs(device))
        result.square().sum().backward()
        return result, [w.grad for w in attention.weights]

    expected = step(attention)
    compiled = compile_afresh(attention)
    result, [forward, backward] = run_with_programs(lambda: step(compiled))
    assert_same(result, expected)
    assert forward.rotations() == backward.rotations() == ["apply"]
    assert forward.allocations() == SEPARATE
    assert not {*SEPARATE} & {*backward.allocations()}


# Batches and tokens of one call after the other.
MANY = [(2, 7), (3, 9), (4, 12), (2, 33), (5, 8)]


@pytest.mark.parametrize(
    ("rotate", "packed"),
    [(by_apply_on_views, True), (by_apply_qkv, True), (by_rotate_qk, False)],
    ids=["apply-on-views", "apply_qkv", "rotate_qk"],
)
@torch.no_grad()
def test_one_program_serves_all_extents(device, rotate, packed):
    """The first is for its extents alone; the second call finds out that they vary."""
    attention = Attention(device, rotate, packed)
    compiled = compile_afresh(attention)
    for extents in MANY:
        given = inputs(device, *reversed(extents))
        assert_same(compiled(*given), attention(*given))
    assert graphs_compiled() == 2
    # Torch makes a program of its own for an extent of 1.
    given = inputs(device, 1)
    assert_same(compiled(*given), attention(*given))
    assert graphs_compiled() == 3


def test_one_program_trains_with_all_extents(device):
    attention = Attention(device, by_rotate_qk, packed=False)
    compiled = compile_afresh(attention)

    def gradients(module, given):
        result = module(*given)
        return torch.autograd.grad(result, [*attention.weights], result)

    for extents in MANY[:3]:
        given = inputs(device, *reversed(extents))
        assert_same(gradients(compiled, given), gradients(attention, given))
    assert graphs_compiled() == 2
