"""What bad input gets: one error that names op, rule and value, before a byte is written."""

import re

import error_cases
import error_cases_angles
import error_cases_ops
import error_cases_positions
import pytest
import torch
from cases import DTYPES, random, same_bits
from error_cases import Arguments, B, D, H, S
from error_cases_ops import RerotateArguments

CASES = {
    **error_cases.CASES,
    **error_cases_angles.CASES,
    **error_cases_positions.CASES,
    **{f"apply_qkv-{name}": case for name, case in error_cases_ops.PACKED.items()},
    **{f"rerotate-{name}": case for name, case in error_cases_ops.REROTATE.items()},
}


def storage_bytes(tensor):
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


def assert_refused(arguments, text):
    """The whole text, and not a byte or a version counter changed."""
    tensors = arguments.tensors()
    before = [storage_bytes(t).clone() for t in tensors]
    versions = [t._version for t in tensors]
    with pytest.raises(RuntimeError, match="^" + re.escape(f"{arguments.op}: {text}") + "$"):
        arguments.run()
    after = [storage_bytes(t) for t in tensors]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert [t._version for t in tensors] == versions


@pytest.mark.parametrize(("good", "spoil", "text"), CASES.values(), ids=CASES)
def test_error(device, good, spoil, text):
    arguments = good(device)
    spoil(arguments)
    assert_refused(arguments, text)


HOST_CASES = error_cases_positions.HOST_CASES


@pytest.mark.parametrize(("good", "spoil", "text"), HOST_CASES.values(), ids=HOST_CASES)
def test_values_on_the_host(good, spoil, text):
    """On a GPU nobody looks at them: that would be a synchronisation."""
    arguments = good("cpu")
    spoil(arguments)
    assert_refused(arguments, text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
def test_frequencies_on_the_host_are_looked_at(device, dtype, value):
    a = Arguments(device)
    before = a.q.clone()
    a.keywords["inv_freq"] = torch.tensor([1.0, 0.5, value, 0.1], dtype=dtype)
    with pytest.raises(
        RuntimeError, match=r"^rope::apply: inv_freq must be finite, got -?(nan|inf)"
    ):
        a.run()
    assert same_bits(a.q, before)


FREQUENCIES = ["old_inv_freq", "new_inv_freq"]


@pytest.mark.parametrize("name", FREQUENCIES)
def test_frequencies_of_a_rerotation_are_looked_at(device, name):
    a = RerotateArguments(device)
    a.keywords[name] = torch.tensor([1.0, 0.5, float("nan"), 0.1])
    assert_refused(a, f"{name} must be finite, got nan at index 2")


# What may be given beside each other, by the rank of q.
ELSEWHERE = {
    "k": (4, lambda: torch.ones(B, S, 1, D)),
    "pos": (4, lambda: torch.arange(S)),
    "offsets": (4, lambda: torch.zeros(B, dtype=torch.int32)),
    "cu_seqlens": (3, lambda: torch.tensor([0, S])),
    "cos_sin": (4, lambda: torch.ones(4, D)),
    "cos": (4, lambda: torch.ones(4, D // 2)),
    "sin": (4, lambda: torch.ones(4, D // 2)),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_tensors_on_other_devices(device, name):
    other = "meta" if device == "cpu" else "cpu"
    rank, make = ELSEWHERE[name]
    q = random(B, S, H, D, dtype=torch.float32, device=device)
    q = q if rank == 4 else q[0]
    beside = {"cos": "sin", "sin": "cos"}.get(name)
    keywords = {} if beside is None else {beside: make().to(device)}
    keywords[name] = make().to(other)
    text = (
        rf"rope::apply: {name} is on {other} and q on {device}(:0)?; move {name} to {device}(:0)?"
    )
    with pytest.raises(RuntimeError, match=f"^{text} first$"):
        torch.ops.rope.apply(q, **keywords)


@pytest.mark.parametrize("name", ["old_pos", "new_pos"])
def test_positions_of_a_rerotation_on_other_devices(device, name):
    a = RerotateArguments(device)
    other = "meta" if device == "cpu" else "cpu"
    setattr(a, name, getattr(a, name).to(other))
    text = rf"rope::rerotate: {name} is on {other} and k on {device}(:0)?; move {name} to {device}"
    with pytest.raises(RuntimeError, match=f"^{text}(:0)? first$"):
        a.run()


def test_frequencies_without_values_are_refused(device):
    """On the CPU they may be beside any q; on the meta device they have none."""
    q = random(B, S, H, D, dtype=torch.float32, device=device)
    with pytest.raises(RuntimeError, match=r"^rope::apply: inv_freq is on meta and q on "):
        torch.ops.rope.apply(q, inv_freq=torch.ones(4, device="meta"))


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


@pytest.mark.parametrize(("good", "spoil", "text"), CASES.values(), ids=CASES)
def test_fake_tensors_get_the_same_text(good, spoil, text):
    with torch._subclasses.FakeTensorMode():
        arguments = good("cpu")
        spoil(arguments)
        with pytest.raises(RuntimeError, match=re.escape(f"{arguments.op}: {text}")):
            arguments.run()
