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


def test_comparison():
    ax = PLAIN.plot(YARN, labels=["plain", "YaRN"], trained_length=2048)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["plain", "YaRN"]
    assert [2048, 2048] in [[y for _, y in line] for line in drawn(ax)]
    differ = (PLAIN.inv_freq / YARN.inv_freq - 1).abs() > 0.01
    assert 0 < differ.sum() < 8
    assert len(ax.patches) == differ.sum()


def test_pairs_that_do_not_turn_are_left_out():
    (line,) = drawn(schedules.proportional(16, 10000.0, 0.5).plot())
    assert [pair for pair, _ in line] == [0, 1, 2, 3]


def test_axes_and_heads():
    (line,) = drawn(schedules.mrope(16, 10000.0, [2, 3, 3]).plot())
    assert line == drawn(PLAIN.plot())[0]
    per_head = Schedule(torch.rand(2, 3, 8) + 0.1)
    assert len(drawn(per_head.plot())) == 3


def test_into_given_axes():
    _, ax = pyplot.subplots()
    assert PLAIN.plot(ax=ax) is ax


def test_labels_are_counted():
    with pytest.raises(
        ValueError, match="labels must have 2 entries, one for each schedule, got 1"
    ):
        PLAIN.plot(YARN, labels=["plain"])
