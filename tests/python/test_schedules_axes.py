"""M-RoPE and axial schedules: which axis each pair counts, and with which frequency.

The expected axes are written out as their models' papers and code state them: blocks, or the
interleaving t, h, w, t, h, w, ... with t alone at the end. Frequencies are those of `default`,
which test_schedules.py holds against mpmath.
"""

import re

import pytest
import torch

from torch_rope import schedules


def assert_axes(schedule, expected):
    """expected: for each pair its axis and its frequency."""
    inv_freq = schedule.inv_freq
    for pair, (axis, frequency) in enumerate(expected):
        column = [0.0] * inv_freq.shape[0]
        column[axis] = frequency
        assert inv_freq[:, pair].tolist() == column
    assert schedule.attention_factor == 1.0


@pytest.mark.parametrize(
    ("sections", "interleaved", "axes"),
    [
        pytest.param([16, 24, 24], False, "t" * 16 + "h" * 24 + "w" * 24, id="qwen2-vl"),
        pytest.param([24, 20, 20], True, "thw" * 20 + "tttt", id="qwen3-vl"),
        pytest.param([2, 3, 1], False, "tthhhw", id="blocks"),
        pytest.param([4, 2, 1], True, "thwthtt", id="interleaved"),
        pytest.param([6, 0, 0], True, "tttttt", id="text-alone"),
        pytest.param([0, 3, 3], False, "hhhwww", id="no-time"),
    ],
)
def test_mrope(sections, interleaved, axes):
    dim = 2 * len(axes)
    schedule = schedules.mrope(dim=dim, base=1e6, sections=sections, interleaved=interleaved)
    frequencies = schedules.default(dim, 1e6).inv_freq.tolist()
    assert schedule.inv_freq.shape == (3, dim // 2)
    assert_axes(schedule, [("thw".index(a), f) for a, f in zip(axes, frequencies, strict=True)])


@pytest.mark.parametrize(
    "axes_dim",
    [
        pytest.param([16, 56, 56], id="flux"),
        pytest.param([44, 42, 42], id="wan"),
        pytest.param([32, 32], id="2d"),
        pytest.param([64], id="1d"),
        pytest.param([2, 4, 6, 8], id="4d"),
        pytest.param([1024], id="widest"),
    ],
)
@pytest.mark.parametrize("shared", [False, True], ids=["restarting", "shared"])
def test_axial(axes_dim, shared):
    schedule = schedules.axial(axes_dim=axes_dim, base=1e4, shared=shared)
    whole = schedules.default(sum(axes_dim), 1e4).inv_freq.tolist()
    expected = []
    for axis, part in enumerate(axes_dim):
        own = schedules.default(part, 1e4).inv_freq.tolist()
        first = len(expected)
        values = whole[first : first + part // 2] if shared else own
        expected += [(axis, value) for value in values]
    assert schedule.inv_freq.shape == (len(axes_dim), sum(axes_dim) // 2)
    assert_axes(schedule, expected)


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(schedules.mrope(32, 1e4, [4, 6, 6]), id="mrope"),
        pytest.param(schedules.axial([8, 24], 100.0), id="axial"),
    ],
)
def test_text_positions_turn_as_one_axis(schedule):
    """The same position on all axes is a plain rotation by the sum of the columns, bit for bit."""
    x = torch.randn(1, 7, 2, 32)
    pos = torch.tensor([0, 1, 5, -3, 100, 2**31, 12345])
    axes = pos.expand(schedule.num_axes, -1)
    one = {"inv_freq": schedule.inv_freq.sum(0)}
    rotated = torch.ops.rope.rotate(x, axes, **schedule.kwargs())
    assert torch.equal(rotated, torch.ops.rope.rotate(x, pos, **one))


REFUSALS = [
    (
        lambda: schedules.mrope(128, 1e4, [16, 24, 23]),
        "mrope: sections must be three counts (t, h, w) that sum to dim / 2 = 64, got [16, 24, 23]",
    ),
    (
        lambda: schedules.mrope(128, 1e4, [32, 32]),
        "mrope: sections must be three counts (t, h, w) that sum to dim / 2 = 64, got [32, 32]",
    ),
    (
        lambda: schedules.mrope(8, 1e4, [-1, 3, 2]),
        "mrope: sections must be three counts (t, h, w) that sum to dim / 2 = 4, got [-1, 3, 2]",
    ),
    (
        lambda: schedules.mrope(8, 1e4, [2**62, 2**62, 4 - 2**63]),
        "mrope: sections must be three counts (t, h, w) that sum to dim / 2 = 4, got [461168601842",
    ),
    (
        lambda: schedules.mrope(128, 1e4, [16, 24, 24], interleaved=True),
        "mrope: interleaved sections must fit by turns of three into dim / 2 = 64,"
        " got [16, 24, 24]",
    ),
    (
        lambda: schedules.axial([], 1e4),
        "axial: axes_dim must have between 1 and 4 entries, got []",
    ),
    (
        lambda: schedules.axial([2, 2, 2, 2, 2], 1e4),
        "axial: axes_dim must have between 1 and 4 entries, got [2, 2, 2, 2, 2]",
    ),
    (
        lambda: schedules.axial([16, 15], 1e4),
        "axial: axes_dim[1] must be even and between 2 and 1024, got 15",
    ),
    (
        lambda: schedules.axial([1024, 2], 1e4),
        "axial: the sum of axes_dim must be even and between 2 and 1024, got 1026",
    ),
    (
        lambda: schedules.axial([16, 16], -1.0),
        "axial: base must be positive and finite, got -1",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS, ids=[m[:44] for _, m in REFUSALS])
def test_refusal_names_scheme_rule_and_value(call, message):
    with pytest.raises(ValueError, match=f"^rope::schedules::{re.escape(message)}"):
        call()
