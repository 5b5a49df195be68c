"""Wavelengths of schedules as a picture, for Schedule.plot: the only module that wants
matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch_rope.schedule import Schedule


def wavelengths(schedule: Schedule) -> Tensor:
    """Positions in a whole turn of each pair, of the axes whichever turns it the fastest; infinite
    where a pair does not turn. (n,) or, with frequencies for each head, (H, n)."""
    inv_freq = schedule.inv_freq.abs()
    if schedule.num_axes > 1 or schedule.per_head:
        inv_freq = inv_freq.amax(0)
    return 2 * math.pi / inv_freq


def plot(
    schedules: Sequence[Schedule],
    labels: Sequence[str],
    trained_length: float | None,
    ax: Any,
) -> Any:
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    drawn = [wavelengths(schedule) for schedule in schedules]
    for values, label in zip(drawn, labels, strict=True):
        _draw(ax, values, label)
    _shade(ax, _different(drawn), "more than 1 % apart")
    if trained_length is not None:
        ax.axhline(trained_length, color="0.5", linestyle="--", linewidth=1)
        text = f"trained length, {trained_length:g}"
        ax.annotate(text, (0, trained_length), xytext=(0, 3), textcoords="offset points")
    ax.set_yscale("log")
    ax.set_xlabel("pair of components")
    ax.set_ylabel("wavelength (positions)")
    if ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax


def _draw(ax: Any, values: Tensor, label: str) -> None:
    """A curve of each head, all of one colour and one name."""
    colour = None
    for row in values.reshape(-1, values.shape[-1]):
        turning = row.isfinite().nonzero().flatten()
        name = label if colour is None else f"_{label}"  # which a legend leaves out
        x, y = turning.tolist(), row[turning].tolist()
        (line,) = ax.plot(x, y, marker=".", label=name, color=colour)
        colour = line.get_color()


def _shade(ax: Any, pairs: Sequence[int], label: str) -> None:
    """Neighbours as one area: seams would show."""
    starts = [pair for pair in pairs if pair - 1 not in pairs]
    ends = [pair for pair in pairs if pair + 1 not in pairs]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        name = label if number == 0 else f"_{label}"
        ax.axvspan(start - 0.5, end + 0.5, color="0.5", alpha=0.12, linewidth=0, label=name)


def _different(drawn: Sequence[Tensor]) -> list[int]:
    """Pairs whose wavelengths differ by more than a percent from those of the first."""
    first = drawn[0]
    same_extents = [values for values in drawn[1:] if values.shape == first.shape]
    differs = torch.zeros(first.shape[-1], dtype=torch.bool, device="cpu")
    for values in same_extents:
        apart = ((values / first - 1).abs() > 0.01).reshape(-1, first.shape[-1])
        differs |= apart.any(0)
    return list(differs.nonzero().flatten().tolist())
