"""The gradient of a rotation is the inverse rotation, bit for bit; in place there is none."""

import pytest
import torch
from bounds import assert_within, error_bound
from cases import DTYPES, PAIRINGS, random, same_bits

from torch_rope import reference

B, S = 2, 5
POS = torch.tensor([[4, 5, 6, 7, 8], [0, 1, 2, 2**33, -4]])
FACTOR = 1.25


def keywords_for(device, interleaved):
    frequencies = torch.logspace(0, -4, 12, dtype=torch.float64, device=device)
    return {"inv_freq": frequencies, "interleaved": interleaved, "attention_factor": FACTOR}


@pytest.mark.parametrize("table", [False, True], ids=["computed", "table"])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rotate(device, dtype, interleaved, table):
    pos = POS.to(device)
    keywords = keywords_for(device, interleaved)
    if table:
        keywords["cos_sin"] = torch.ops.rope.cos_sin_table(
            keywords["inv_freq"], 7, attention_factor=FACTOR
        )
    x = random(B, S, 3, 32, dtype=dtype, device=device).requires_grad_()
    grad = random(B, S, 3, 32, dtype=dtype, device=device, seed=1)
    torch.ops.rope.rotate(x, pos, **keywords).backward(grad)
    assert same_bits(x.grad, torch.ops.rope.rotate(grad, pos, inverse=True, **keywords))


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_autograd_through_the_reference(device, dtype, interleaved):
    pos = POS.to(device)
    keywords = keywords_for(device, interleaved)
    x = random(B, S, 3, 32, dtype=dtype, device=device).requires_grad_()
    grad = random(B, S, 3, 32, dtype=dtype, device=device, seed=1)
    torch.ops.rope.rotate(x, pos, **keywords).backward(grad)
    exact_x = x.detach().double().requires_grad_()
    reference.rotate(exact_x, pos, **keywords).backward(grad.double())
    bound = error_bound(
        grad,
        exact_x.grad,
        rotary_dim=24,
        interleaved=interleaved,
        largest_position=2**33,
        factor=FACTOR,
    )
    assert_within(x.grad, exact_x.grad, bound)


@pytest.mark.parametrize("needed", ["q", "k", "qk"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rotate_qk(device, dtype, needed):
    pos = POS.to(device)
    keywords = keywords_for(device, False)
    q = random(B, S, 3, 32, dtype=dtype, device=device).requires_grad_("q" in needed)
    k = random(B, S, 1, 24, dtype=dtype, device=device, seed=1).requires_grad_("k" in needed)
    grads = [torch.randn_like(q, requires_grad=False), torch.randn_like(k, requires_grad=False)]
    rotated = torch.ops.rope.rotate_qk(q, k, pos, **keywords)
    chosen = [(r, g) for r, g in zip(rotated, grads, strict=True) if r.requires_grad]
    torch.autograd.backward([r for r, _ in chosen], [g for _, g in chosen])
    for tensor, grad in zip((q, k), grads, strict=True):
        if not tensor.requires_grad:
            assert tensor.grad is None
            continue
        expected = torch.ops.rope.rotate(grad, pos, inverse=True, **keywords)
        assert same_bits(tensor.grad, expected)


@pytest.mark.parametrize("used", [0, 1], ids=["q", "k"])
def test_only_one_result_is_used(device, used):
    q = random(B, S, 3, 16, dtype=torch.float32, device=device).requires_grad_()
    k = random(B, S, 1, 16, dtype=torch.float32, device=device).requires_grad_()
    result = torch.ops.rope.rotate_qk(q, k)[used]
    result.sum().backward()
    source, other = ((q, k), (k, q))[used]
    expected = torch.ops.rope.rotate(torch.ones_like(source), inverse=True)
    assert same_bits(source.grad, expected.detach())
    assert other.grad is None or not other.grad.any()


@pytest.mark.parametrize("interleaved", PAIRINGS)
def test_double_backward(device, interleaved):
    """The rotation is linear: the gradient of the gradient rotates forwards again."""
    x = random(1, S, 2, 16, dtype=torch.float32, device=device).requires_grad_()
    grad = random(1, S, 2, 16, dtype=torch.float32, device=device, seed=1).requires_grad_()
    outer = random(1, S, 2, 16, dtype=torch.float32, device=device, seed=2)
    rotated = torch.ops.rope.rotate(x, interleaved=interleaved)
    (inner,) = torch.autograd.grad(rotated, x, grad, create_graph=True)
    (second,) = torch.autograd.grad(inner, grad, outer)
    assert same_bits(second, torch.ops.rope.rotate(outer, interleaved=interleaved))


def test_gradient_of_an_expanded_gradient(device):
    x = random(B, S, 3, 16, dtype=torch.float32, device=device).requires_grad_()
    torch.ops.rope.rotate(x).sum().backward()
    expected = torch.ops.rope.rotate(torch.ones(B, S, 3, 16, device=device), inverse=True)
    assert same_bits(x.grad, expected)


def test_gradient_with_another_last_stride(device):
    x = random(B, S, 3, 16, dtype=torch.float32, device=device).requires_grad_()
    grad = random(16, B, S, 3, dtype=torch.float32, device=device).permute(1, 2, 3, 0)
    torch.ops.rope.rotate(x).backward(grad)
    assert same_bits(x.grad, torch.ops.rope.rotate(grad.contiguous(), inverse=True))


@pytest.mark.parametrize("empty", [0, 1, 2], ids=["batches", "tokens", "heads"])
def test_gradient_of_nothing(device, empty):
    extents = [2, 3, 4, 16]
    extents[empty] = 0
    x = torch.zeros(extents, device=device, requires_grad=True)
    torch.ops.rope.rotate(x).sum().backward()
    assert x.grad.shape == x.shape


def test_gradient_of_a_view(device):
    base = random(B, S, 6, 16, dtype=torch.float32, device=device).requires_grad_()
    torch.ops.rope.rotate(base[:, :, 2:4]).sum().backward()
    assert not base.grad[:, :, :2].any()
    assert base.grad[:, :, 2:4].any()


def test_positions_may_change_after_the_call_but_not_unseen(device):
    x = random(1, S, 2, 16, dtype=torch.float32, device=device).requires_grad_()
    pos = torch.arange(S, device=device)
    rotated = torch.ops.rope.rotate(x, pos)
    pos.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        rotated.sum().backward()


def test_no_graph_without_need(device):
    x = random(1, S, 2, 16, dtype=torch.float32, device=device)
    assert not torch.ops.rope.rotate(x).requires_grad
    x.requires_grad_()
    with torch.no_grad():
        assert not torch.ops.rope.rotate(x).requires_grad
    assert torch.ops.rope.rotate(x).requires_grad


def test_func_grad(device):
    x = random(1, S, 2, 16, dtype=torch.float32, device=device)
    grad = torch.func.grad(lambda t: torch.ops.rope.rotate(t).sum())(x)
    assert same_bits(grad, torch.ops.rope.rotate(torch.ones_like(x), inverse=True))
