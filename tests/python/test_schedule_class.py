"""Schedule as a value: what it holds, what it refuses, how it is compared, copied and used.

The builders' numbers are judged in test_schedules.py.
"""

import copy
import math
import pickle

import pytest
import torch
from cases import random, same_bits

import torch_rope
from torch_rope import Schedule

VALUES = [1.0, 0.25, 1 / 3, -2e-5]


def schedule(factor=1.0):
    return Schedule(torch.tensor(VALUES, dtype=torch.float64), factor)


@pytest.mark.parametrize(
    "given",
    [VALUES, tuple(VALUES), torch.tensor(VALUES, dtype=torch.float64)],
    ids=["list", "tuple", "tensor"],
)
def test_holds_float64_on_the_cpu(given):
    s = Schedule(given)
    assert s.inv_freq.dtype == torch.float64
    assert s.inv_freq.device.type == "cpu"
    assert s.inv_freq.tolist() == VALUES
    assert (s.rotary_dim, s.num_axes, s.per_head, s.attention_factor) == (8, 1, False, 1.0)


def test_float32_is_taken_as_exact():
    given = torch.tensor(VALUES, dtype=torch.float32)
    assert torch.equal(Schedule(given).inv_freq, given.double())


@pytest.mark.parametrize(
    ("extents", "rotary_dim", "axes", "per_head"),
    [((3,), 6, 1, False), ((1, 3), 6, 1, False), ((4, 3), 6, 4, False), ((2, 5, 3), 6, 2, True)],
    ids=["n", "1n", "An", "AHn"],
)
def test_extents(extents, rotary_dim, axes, per_head):
    values = random(*extents, dtype=torch.float64, device="cpu")
    s = Schedule(values)
    assert (s.rotary_dim, s.num_axes, s.per_head) == (rotary_dim, axes, per_head)
    assert torch.equal(s.inv_freq, values)
    assert s.kwargs()["inv_freq"].shape == extents


@pytest.mark.parametrize(
    ("inv_freq", "factor", "error", "text"),
    [
        (
            torch.ones(4, dtype=torch.float16),
            1.0,
            TypeError,
            "float32 or float64, got torch.float16",
        ),
        (torch.ones(4, dtype=torch.int64), 1.0, TypeError, "float32 or float64, got torch.int64"),
        (torch.ones(()), 1.0, ValueError, r"must be \(n,\), \(A, n\) or \(A, H, n\), got \(\)"),
        (torch.ones(0), 1.0, ValueError, r"got \(0,\)"),
        (torch.ones(1, 1, 1, 1), 1.0, ValueError, r"got \(1, 1, 1, 1\)"),
        (torch.ones(513), 1.0, ValueError, r"at most 512 pairs, got \(513,\)"),
        (torch.ones(5, 4), 1.0, ValueError, r"at most 4 axes, got \(5, 4\)"),
        ([1.0, math.nan], 1.0, ValueError, "must be finite, got nan"),
        ([1.0, -math.inf], 1.0, ValueError, "must be finite, got -inf"),
        ([1.0], 0.0, ValueError, "attention_factor must be finite and > 0, got 0.0"),
        ([1.0], -1.0, ValueError, "attention_factor must be finite and > 0, got -1.0"),
        ([1.0], math.nan, ValueError, "attention_factor must be finite and > 0, got nan"),
        ([1.0], math.inf, ValueError, "attention_factor must be finite and > 0, got inf"),
    ],
)
def test_refuses(inv_freq, factor, error, text):
    with pytest.raises(error, match=f"^Schedule: .*{text}$"):
        Schedule(inv_freq, factor)


@pytest.mark.parametrize("name", ["inv_freq", "attention_factor", "rotary_dim", "anything"])
def test_attributes_cannot_be_set(name):
    with pytest.raises(AttributeError):
        setattr(schedule(), name, 1.0)


def test_the_values_cannot_be_changed_from_outside():
    given = torch.tensor(VALUES, dtype=torch.float64)
    s = Schedule(given)
    before = hash(s)
    given.zero_()
    s.inv_freq.zero_()
    s.kwargs()["inv_freq"].zero_()
    assert s == schedule()
    assert hash(s) == before
    assert torch.equal(s.kwargs()["inv_freq"], torch_rope.turns(s.inv_freq))


def test_equality_and_hash():
    assert schedule() == schedule()
    assert hash(schedule()) == hash(schedule())
    assert len({schedule(), schedule(), schedule(2.0)}) == 2


@pytest.mark.parametrize(
    "other",
    [schedule(2.0), schedule().scaled(2), Schedule([VALUES]), Schedule(VALUES[:3]), None, VALUES],
    ids=["factor", "values", "1n", "length", "none", "list"],
)
def test_inequality(other):
    assert schedule() != other


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("extents", [(3,), (2, 3), (2, 5, 3)], ids=["n", "An", "AHn"])
def test_copies_are_equal(copied, extents):
    s = Schedule(random(*extents, dtype=torch.float64, device="cpu"), 1.1)
    again = copied(s)
    assert again == s
    assert torch.equal(again.inv_freq, s.inv_freq)
    assert torch.equal(again.kwargs()["inv_freq"], s.kwargs()["inv_freq"])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (VALUES, "rotary_dim=8, inv_freq=(4,): 1 ... -2e-05"),
        ([1.0, 0.5, 0.0], "rotary_dim=6, inv_freq=(3,): 1 ... 0.5, 2 of 3 pairs turn"),
        ([0.0], "rotary_dim=2, inv_freq=(1,): 0 ... 0, 0 of 1 pairs turn"),
        ([[0.0, 0.5], [1.0, 0.0]], "rotary_dim=4, inv_freq=(2, 2): 1 ... 0.5"),
        ([[[1.0, 0.5], [0.25, 0.125]]], "rotary_dim=4, inv_freq=(1, 2, 2): 1 ... 0.125"),
    ],
    ids=["one-axis", "partial", "nothing", "axes", "heads"],
)
def test_repr(given, text):
    """The first and the last frequency that is not 0, in the order of pairs."""
    assert repr(Schedule(given, 1.25)) == f"Schedule({text}, attention_factor=1.25)"


def test_kwargs(device):
    keywords = schedule(1.5).kwargs(device)
    assert set(keywords) == {"inv_freq", "attention_factor"}
    assert keywords["inv_freq"].dtype == torch.int64
    assert keywords["inv_freq"].device.type == device
    assert keywords["attention_factor"] == 1.5
    x = random(1, 4, 2, 8, dtype=torch.float32, device=device)
    frequencies = torch.tensor(VALUES, dtype=torch.float64, device=device)
    assert same_bits(
        torch_rope.rotate(x, **keywords),
        torch_rope.rotate(x, inv_freq=frequencies, attention_factor=1.5),
    )


def test_kwargs_are_on_the_cpu_unless_told():
    assert schedule().kwargs()["inv_freq"].device.type == "cpu"


def test_table(device):
    table = schedule(1.5).table(6, device)
    frequencies = torch.tensor(VALUES, dtype=torch.float64, device=device)
    expected = torch_rope.cos_sin_table(frequencies, 6, attention_factor=1.5)
    assert table.device.type == device
    assert torch.equal(table, expected)


def test_scaled():
    s = schedule(1.5).scaled(0.125)
    assert s.inv_freq.tolist() == [value * 0.125 for value in VALUES]
    assert s.attention_factor == 1.5


@pytest.mark.parametrize("x", [math.nan, math.inf])
def test_scaled_refuses(x):
    with pytest.raises(ValueError, match="must be finite"):
        schedule().scaled(x)


@pytest.mark.parametrize(
    "given", [[0, 2, 1, 0], torch.tensor([0, 2, 1, 0])], ids=["list", "tensor"]
)
def test_on_axes(given):
    s = schedule(1.5).on_axes(given)
    a, b, c, d = VALUES
    assert s.inv_freq.tolist() == [[a, 0, 0, d], [0, 0, c, 0], [0, b, 0, 0]]
    assert s.attention_factor == 1.5


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ([0, 0, 0], "must have 4 entries, one for each pair, got 3"),
        ([0, 0, 4, 0], r"must lie in 0 \.\.\. 3, got 4"),
        ([0, -1, 0, 0], r"must lie in 0 \.\.\. 3, got -1"),
    ],
)
def test_on_axes_refuses(axes, text):
    with pytest.raises(ValueError, match=f"^Schedule.on_axes: axis_of_pair {text}"):
        schedule().on_axes(axes)


def test_on_axes_needs_one_axis():
    with pytest.raises(ValueError, match=r"must have one axis and no heads, got .* \(1, 4\)"):
        Schedule([VALUES]).on_axes([0, 0, 0, 0])


@pytest.mark.parametrize("other", ["meta", "cpu"])
def test_a_default_device_changes_nothing(other):
    with torch.device(other):
        s = Schedule(VALUES).on_axes([0, 1, 0, 1])
        built = torch_rope.schedules.default(8, 10000.0)
    assert s == schedule().on_axes([0, 1, 0, 1])
    assert built.inv_freq.device.type == "cpu"


def test_made_in_inference_mode_it_serves_training():
    with torch.inference_mode():
        s = Schedule(torch.tensor(VALUES))
    x = random(1, 4, 2, 8, dtype=torch.float32, device="cpu").requires_grad_()
    torch_rope.rotate(x, **s.kwargs()).sum().backward()
    assert x.grad is not None
