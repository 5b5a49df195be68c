"""Modes of torch around the operators: autocast, deterministic algorithms, dispatch and functions.

None of them changes a bit.
"""

import warnings

import pytest
import torch
from cases import DTYPES, random, same_bits
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import torch_rope
from torch_rope import RotaryEmbedding, schedules

B, S, H, D, N = 2, 5, 3, 16, 8
AUTOCAST = {"bf16": torch.bfloat16, "f16": torch.float16}


@pytest.fixture(params=AUTOCAST.values(), ids=AUTOCAST)
def autocast(request, device):
    """A function that makes the context; the type of the context is not the tensors'."""
    return lambda: torch.autocast(device, dtype=request.param)


def tensors(device, dtype=torch.float32):
    q = random(B, S, H, D, dtype=dtype, device=device)
    return q, random(B, S, 1, D, dtype=dtype, device=device, seed=1)


ANGLES = {
    "base": lambda d: {},
    "float32": lambda d: {"inv_freq": torch.logspace(0, -3, N, device=d)},
    "table": lambda d: {"cos_sin": torch_rope.cos_sin_table(torch.logspace(0, -3, N, device=d), S)},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("angles", ANGLES.values(), ids=ANGLES)
def test_autocast(device, autocast, angles, dtype):
    q, k = tensors(device, dtype)
    keywords = angles(device)
    expected = torch_rope.rotate_qk(q, k, **keywords)
    with autocast():
        rotated = torch_rope.rotate_qk(q, k, **keywords)
        alone = torch_rope.rotate(q, **keywords)
        torch_rope.apply(q, k, **keywords)
    results = (*rotated, alone, q, k)
    for result, value in zip(results, (*expected, expected[0], *expected), strict=True):
        assert same_bits(result, value)


def test_autocast_of_learned_frequencies(device, autocast):
    """Their gradient is sums and products of ATen, none of which autocast may narrow."""
    expected = everything(device)
    with autocast():
        results = everything(device)
    assert all(same_bits(a, b) for a, b in zip(results, expected, strict=True))


def test_autocast_of_the_others(device, autocast):
    q, _ = tensors(device)
    pos = torch.arange(S, device=device)
    inv_freq = torch.logspace(0, -3, N, device=device)

    def run():
        packed, keys = q.clone(), q.clone()
        torch_rope.apply_qkv(packed, pos, num_heads_q=1, num_heads_k=1)
        torch_rope.rerotate(keys, pos, pos + 3)
        return packed, keys, torch_rope.cos_sin_table(inv_freq, S)

    expected = run()
    with autocast():
        assert torch.equal(torch_rope.turns(inv_freq), torch_rope.turns(inv_freq.double()))
        assert all(same_bits(a, b) for a, b in zip(run(), expected, strict=True))


class Block(nn.Module):
    """A projection, which autocast narrows, the rotation, and attention."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(D, D, bias=False)
        self.rope = RotaryEmbedding(schedules.default(dim=D, base=1e4), table_rows=3)

    def forward(self, x):
        projected = self.projection(x)
        q, k = self.rope(projected, projected)
        heads = (t.transpose(1, 2) for t in (q, k, projected))
        return nn.functional.scaled_dot_product_attention(*heads), q


def test_a_block_under_autocast(device, autocast):
    """In training: what the rotation gets is narrow, what it gives too, gradients are float32."""
    torch.manual_seed(0)
    block = Block().to(device)
    x, _ = tensors(device)
    with autocast():
        attended, q = block(x)
        narrow = block.projection(x)
    attended.float().sum().backward()
    assert q.dtype == narrow.dtype != torch.float32
    assert same_bits(q.detach(), torch_rope.rotate(narrow.detach(), **block.rope._keywords()))
    assert block.projection.weight.grad.dtype == torch.float32
    assert block.projection.weight.grad.any()
    assert (block.rope.turns.dtype, block.rope.table.dtype) == (torch.int64, torch.float32)


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def everything(device):
    """Results and gradients, those of learned frequencies among them."""
    q, k = (t.requires_grad_() for t in tensors(device))
    inv_freq = torch.logspace(0, -3, N, device=device).requires_grad_()
    rotated = torch_rope.rotate_qk(q, k, inv_freq=inv_freq, attention_factor=1.5)
    gradients = torch.autograd.grad([t.pow(2).sum() for t in rotated], (q, k, inv_freq))
    written = q.detach().clone()
    torch_rope.apply(written)
    table = torch_rope.cos_sin_table(inv_freq.detach(), 7)
    return [t.detach() for t in (*rotated, *gradients, written, table)]


def test_deterministic_algorithms(device, deterministic):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = everything(device)
    torch.use_deterministic_algorithms(False)
    for result, expected in zip(results, everything(device), strict=True):
        assert same_bits(result, expected)


class Log(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "rope":
            self.seen.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def test_a_dispatch_mode_sees_the_operators(device):
    expected = everything(device)
    with Log() as log:
        results = everything(device)
    assert all(same_bits(a, b) for a, b in zip(results, expected, strict=True))
    forward, backward = "rope::rotate_qk", "rope::rotate_qk"
    assert log.seen == [forward, backward, "rope::apply", "rope::cos_sin_table"]


OPERATORS = {
    "rotate": lambda q, pos: torch_rope.rotate(q, pos),
    "rotate_qk": lambda q, pos: torch_rope.rotate_qk(q, q, pos),
    "apply": lambda q, pos: torch_rope.apply(q, None, pos),
    "apply_qkv": lambda q, pos: torch_rope.apply_qkv(q, pos, num_heads_q=1, num_heads_k=1),
    "rerotate": lambda q, pos: torch_rope.rerotate(q, pos, pos + 3),
    "turns": lambda q, pos: torch_rope.turns(q[0, 0, 0]),
    "cos_sin_table": lambda q, pos: torch_rope.cos_sin_table(q[0, 0, 0], 3),
}


@pytest.mark.parametrize("op", OPERATORS)
def test_a_dispatch_mode_sees_each_operator(device, op):
    q, _ = tensors(device)
    with Log() as log:
        OPERATORS[op](q, torch.arange(S, device=device))
    assert log.seen == [f"rope::{op}"]


class Named(torch.Tensor):
    """A subclass that only wants to be kept."""


def test_a_subclass_is_kept(device):
    q, k = tensors(device)
    expected = torch_rope.rotate_qk(q, k)
    rotated = torch_rope.rotate_qk(q.as_subclass(Named), k)
    assert [type(t) for t in rotated] == [Named, Named]
    assert type(torch_rope.rotate(q.as_subclass(Named))) is Named
    for result, value in zip(rotated, expected, strict=True):
        assert same_bits(result.as_subclass(torch.Tensor), value)


class Refusing(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"asked for {func}")


def test_a_subclass_is_asked():
    q, _ = tensors("cpu")
    with pytest.raises(RuntimeError, match=r"asked for rope\.rotate\.default"):
        torch_rope.rotate(q.as_subclass(Refusing))


def test_parameters(device):
    q, k = (nn.Parameter(t) for t in tensors(device))
    rotated = torch_rope.rotate_qk(q, k)
    assert {type(t) for t in rotated} == {torch.Tensor}
    assert all(t.requires_grad for t in rotated)
