"""What bad input gets: one error that names op, rule and value, before a byte is written."""

import re

import pytest
import torch
from cases import DTYPES, random, same_bits
from error_cases import CASES, Arguments, B, D, H, S


def tensors_of(arguments):
    given = [arguments.q, arguments.k, arguments.pos, *arguments.keywords.values()]
    return [t for t in given if isinstance(t, torch.Tensor)]


def storage_bytes(tensor):
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


@pytest.mark.parametrize(("spoil", "text"), CASES.values(), ids=CASES)
def test_error(device, spoil, text):
    arguments = Arguments(device)
    spoil(arguments)
    tensors = tensors_of(arguments)
    before = [storage_bytes(t).clone() for t in tensors]
    versions = [t._version for t in tensors]
    with pytest.raises(RuntimeError, match="^" + re.escape(f"rope::apply: {text}") + "$"):
        arguments.apply()
    after = [storage_bytes(t) for t in tensors]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert [t._version for t in tensors] == versions


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
def test_frequencies_on_the_host_are_looked_at(device, dtype, value):
    a = Arguments(device)
    before = a.q.clone()
    a.keywords["inv_freq"] = torch.tensor([1.0, 0.5, value, 0.1], dtype=dtype)
    with pytest.raises(
        RuntimeError, match=r"^rope::apply: inv_freq must be finite, got -?(nan|inf)"
    ):
        a.apply()
    assert same_bits(a.q, before)


@pytest.mark.parametrize("name", ["k", "pos", "cos_sin"])
def test_tensors_on_other_devices(device, name):
    a = Arguments(device)
    other = "meta" if device == "cpu" else "cpu"
    tensor = {"k": a.k, "pos": a.pos, "cos_sin": torch.ones(4, D)}[name].to(other)
    if name == "cos_sin":
        a.keywords["cos_sin"] = tensor
    else:
        setattr(a, name, tensor)
    text = f"rope::apply: {name} is on {other} and q on {device}"
    with pytest.raises(RuntimeError, match=f"^{text}(:0)?; move {name} to {device}(:0)? first"):
        a.apply()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rotate_names_itself_and_its_argument(device, dtype):
    x = random(B, S, H, D, dtype=dtype, device=device)
    with pytest.raises(
        RuntimeError, match=r"^rope::rotate: rotary_dim must be at most x's head_dim"
    ):
        torch.ops.rope.rotate(x, rotary_dim=10)
    with pytest.raises(RuntimeError, match=r"^rope::rotate_qk: rotary_dim must be even, got 5"):
        torch.ops.rope.rotate_qk(x, x, rotary_dim=5)


@pytest.mark.parametrize(
    ("inv_freq", "rows", "text"),
    [
        (torch.ones(4, dtype=torch.int32), 4, "inv_freq must be float32, float64 or int64 (turns)"),
        (torch.ones(()), 4, "inv_freq must be (n,) or (1, n)"),
        (torch.ones(4), -1, "rows must be"),
        (torch.tensor([1.0, float("nan")]), 4, "inv_freq must be finite, got nan"),
    ],
    ids=["dtype", "rank", "rows", "nan"],
)
def test_cos_sin_table(inv_freq, rows, text):
    with pytest.raises(RuntimeError, match="^" + re.escape(f"rope::cos_sin_table: {text}")):
        torch.ops.rope.cos_sin_table(inv_freq, rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.int32, torch.int64, torch.bool], ids=str)
def test_turns(dtype):
    with pytest.raises(
        RuntimeError, match=r"^rope::turns: inv_freq must be float32 or float64, got"
    ):
        torch.ops.rope.turns(torch.ones(4, dtype=dtype))


@pytest.mark.parametrize("spoil", ["odd", "pos_short", "k_tokens", "q_expanded"])
def test_fake_tensors_get_the_same_text(spoil):
    change, text = CASES[spoil]
    with torch._subclasses.FakeTensorMode():
        arguments = Arguments("cpu")
        change(arguments)
        with pytest.raises(RuntimeError, match=re.escape(f"rope::apply: {text}")):
            arguments.apply()
