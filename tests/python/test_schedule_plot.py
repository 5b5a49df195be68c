"""Schedule.plot: what is drawn are wavelengths, the trained length and where schedules differ."""

import math

import matplotlib
import pytest
import torch
from matplotlib import pyplot

from torch_rope import Schedule, schedules

matplotlib.use("Agg")
PLAIN = schedules.default(16, 10000.0)
YARN = schedules.yarn(16, 10000.0, 4.0, 2048)


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def drawn(ax):
    return [line.get_xydata().tolist() for line in ax.get_lines()]


def test_wavelengths():
    (line,) = drawn(PLAIN.plot())
    assert [pair for pair, _ in line] == list(range(8))
    expected = [2 * math.pi * 10000.0 ** (2 * i / 16) for i in range(8)]
    assert [value for _, value in line] == pytest.approx(expected, rel=1e-12)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def shaded(ax):
    """The pairs whose middle lies in a shaded area."""
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    return [pair for pair in range(8) if any(start < pair < end for start, end in spans)]


def test_comparison():
    ax = PLAIN.plot(YARN, labels=["plain", "YaRN"], trained_length=2048)
    assert legend(ax) == ["plain", "YaRN", "more than 1 % apart"]
    assert [2048, 2048] in [[y for _, y in line] for line in drawn(ax)]
    assert [text.get_text() for text in ax.texts] == ["trained length, 2048"]
    differ = (PLAIN.inv_freq / YARN.inv_freq - 1).abs() > 0.01
    assert 0 < differ.sum() < 8
    assert shaded(ax) == differ.nonzero().flatten().tolist()


def test_each_area_that_differs():
    """Pairs 1, 2 and 5, the last of which does not turn in the other; the legend has them once."""
    other = PLAIN.inv_freq * torch.tensor([1, 1.02, 0.5, 1, 1.001, 0, 1, 1])
    ax = PLAIN.plot(Schedule(other))
    assert shaded(ax) == [1, 2, 5]
    assert len(ax.patches) == 2
    assert legend(ax) == ["schedule 1", "schedule 2", "more than 1 % apart"]


def test_equal_schedules_are_not_shaded():
    """Pairs that turn in neither do not differ."""
    half = schedules.proportional(16, 10000.0, 0.5)
    ax = half.plot(half)
    assert shaded(ax) == []
    assert legend(ax) == ["schedule 1", "schedule 2"]


def test_one_alone_has_a_legend_where_it_has_a_name():
    assert PLAIN.plot().get_legend() is None
    assert legend(PLAIN.plot(labels=["plain"])) == ["plain"]


def test_pairs_that_do_not_turn_are_left_out():
    (line,) = drawn(schedules.proportional(16, 10000.0, 0.5).plot())
    assert [pair for pair, _ in line] == [0, 1, 2, 3]


def test_axes_and_heads():
    """The fastest axis of each pair; a head's curves have their schedule's colour and name."""
    (line,) = drawn(schedules.mrope(16, 10000.0, [2, 3, 3]).plot())
    assert line == drawn(PLAIN.plot())[0]
    per_head = Schedule(torch.rand(2, 3, 8) + 0.1)
    ax = per_head.plot(PLAIN, labels=["heads", "plain"])
    assert len(drawn(ax)) == 4
    assert len({line.get_color() for line in ax.get_lines()}) == 2
    assert legend(ax) == ["heads", "plain"]


def test_into_given_axes():
    _, ax = pyplot.subplots()
    assert PLAIN.plot(ax=ax) is ax


def test_labels_are_counted():
    with pytest.raises(
        ValueError, match="labels must have 2 entries, one for each schedule, got 1"
    ):
        PLAIN.plot(YARN, labels=["plain"])
