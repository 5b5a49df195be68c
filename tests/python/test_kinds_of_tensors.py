"""Tensors that are no dense ones in memory: what torch says of them, and what to do instead."""

import re
import warnings

import pytest
import torch
from cases import random, same_bits

import torch_rope

B, S, H, D = 2, 5, 3, 16


def dense():
    return random(B, S, H, D, dtype=torch.float32, device="cpu")


def quietly(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


# What torch calls the kind, and a tensor of it.
KINDS = {
    "sparse": ("SparseCPU", lambda: dense().to_sparse()),
    "sparse-csr": ("SparseCsrCPU", lambda: dense()[0, :, 0].to_sparse_csr()),
    "mkldnn": ("MkldnnCPU", lambda: dense().to_mkldnn()),
    "quantized": (
        "QuantizedCPU",
        lambda: torch.quantize_per_tensor(dense(), 0.1, 0, torch.qint8),
    ),
    "nested": (
        "(NestedTensorCPU|AutogradNestedTensor)",
        lambda: torch.nested.nested_tensor([dense()[0], dense()[1, :3]]),
    ),
}
OPERATORS = {
    "rotate": torch_rope.rotate,
    "rotate_qk": lambda x: torch_rope.rotate_qk(x, x),
    "apply": torch_rope.apply,
    "apply_qkv": lambda x: torch_rope.apply_qkv(x, num_heads_q=1, num_heads_k=1),
    "rerotate": lambda x: torch_rope.rerotate(x, *2 * [torch.arange(S, device=x.device)]),
    "turns": torch_rope.turns,
    "cos_sin_table": lambda x: torch_rope.cos_sin_table(x, 3),
}


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_refused_before_the_operator(kind, op):
    """The dispatcher knows no kernel for these: it names the operator and the kind."""
    name, make = KINDS[kind]
    x = quietly(make)
    text = f"Could not run 'rope::{op}' with arguments from the '{name}' backend"
    with pytest.raises(NotImplementedError, match=text):
        OPERATORS[op](x)


ARGUMENTS = {
    "pos": lambda: torch.arange(S),
    "inv_freq": lambda: torch.ones(D // 2),
    "cos_sin": lambda: torch.ones(S, D),
    "offsets": lambda: torch.ones(B, dtype=torch.int64),
}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_sparse_argument(argument):
    given = {argument: ARGUMENTS[argument]().to_sparse()}
    with pytest.raises(NotImplementedError, match=r"'rope::rotate' .* 'SparseCPU' backend"):
        torch_rope.rotate(dense(), **given)


def jagged(device, **options):
    sequences = [random(n, H, D, dtype=torch.float32, device=device, seed=n) for n in (3, 4)]
    return torch.nested.nested_tensor(sequences, layout=torch.jagged, **options)


@pytest.mark.parametrize("op", ["rotate", "rotate_qk", "apply", "apply_qkv", "rerotate"])
def test_jagged_tensors_are_refused(op):
    """By torch, which knows what to do with its own operators alone."""
    with pytest.raises(NotImplementedError, match=f"^{re.escape(f'rope.{op}.default')}$"):
        OPERATORS[op](jagged("cpu"))


def test_values_and_offsets_of_jagged_tensors(device):
    """What the operators take of them: a ragged tensor and where its sequences start."""
    x = jagged(device, requires_grad=True)
    rotated = torch_rope.rotate(x.values(), cu_seqlens=x.offsets())
    result = torch.nested.nested_tensor_from_jagged(rotated, x.offsets())
    for own, sequence in zip(result.unbind(), x.unbind(), strict=True):
        assert same_bits(own.detach(), torch_rope.rotate(sequence).detach())
    rotated.sum().backward()
    assert x.grad.is_nested
    expected = torch_rope.rotate(
        torch.ones_like(rotated), cu_seqlens=x.offsets(), inverse=True
    ).detach()
    assert same_bits(x.grad.values(), expected)


DTYPES = {
    "f64": (torch.float64, "float64"),
    "complex": (torch.complex64, "complex64"),
    "f8": (torch.float8_e4m3fn, "float8_e4m3fn"),
}


# What each operator calls the tensor that it rotates.
ROTATED = {"rotate": "x", "rotate_qk": "q", "apply": "q", "apply_qkv": "qkv", "rerotate": "k"}


@pytest.mark.parametrize("op", ROTATED)
@pytest.mark.parametrize(("dtype", "name"), DTYPES.values(), ids=DTYPES)
def test_dtypes(device, dtype, name, op):
    x = dense().to(device).to(dtype)
    text = f"rope::{op}: {ROTATED[op]} must be float16, bfloat16 or float32, got {name}"
    with pytest.raises(RuntimeError, match=text):
        OPERATORS[op](x)


def test_integers(device):
    x = dense().to(device).to(torch.int32)
    text = "rope::rotate: x must be float16, bfloat16 or float32, got int32"
    with pytest.raises(RuntimeError, match=text):
        torch_rope.rotate(x)


def test_gradcheck_cannot():
    """It wants float64, and says which types there are."""
    x = torch.ones(1, 2, 1, 4, dtype=torch.float64, requires_grad=True)
    text = "rope::rotate: x must be float16, bfloat16 or float32, got float64"
    with pytest.raises(RuntimeError, match=text):
        torch.autograd.gradcheck(torch_rope.rotate, (x,))
