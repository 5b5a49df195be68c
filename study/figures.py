"""The figures of docs/article.md, from results.json; the same results make the same bytes. On
white, as all figures of docs/figures, so that they can be read on a dark page too; without pyplot.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import extension
from study.model import TRAINED_LENGTH

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "figures"
LOOK = FOLDER / "look.mplstyle"
WIDTH = 8.6
GREY = "#5b656d"
# Okabe and Ito's colours, which colour-blind people tell apart, and one of Tol's.
BLACK, RED, ORANGE, BLUE = "#000000", "#d55e00", "#b8860b", "#0072b2"
GREEN, PINK, VIOLET, SKY = "#009e73", "#cc79a7", "#332288", "#56b4e9"
DOTS, DASHES = (0, (1, 1.5)), (0, (4, 2))

Drawing = Callable[[Figure, dict[str, Any]], None]
# How the left panel's curves are drawn: colour, line style, label.
STRETCHED = {
    "nothing": (BLACK, "-", "nothing"),
    "linear, factor 2": (ORANGE, "-", "linear, factor 2 (the article, to 2×)"),
    "linear, factor 8": (ORANGE, DOTS, "linear, factor 8"),
    "NTK, α = 8": (RED, "-", "NTK, α = 8 (the article, to 8×)"),
    extension.DYNAMIC: (PINK, "-", "dynamic NTK, factor 8"),
    "YaRN, factor 8": (BLUE, "-", "YaRN, factor 8"),
    extension.TUNED: (GREEN, "-", "linear, factor 8, briefly fine-tuned"),
    extension.WINDOWED: (GREY, DASHES, "the last 256 bytes only"),
}
OTHERS = {
    "nothing": (BLACK, "-", "rotation, nothing done"),
    "learned": (ORANGE, "-", "learned: no row after 256"),
    "sinusoidal": (RED, "-", "sinusoidal"),
    "t5": (BLUE, "-", "T5's bias"),
    "none": (VIOLET, DOTS, "no positions"),
    extension.WINDOWED: (GREY, DASHES, "rotation, the last 256 bytes only"),
}


def _draw_losses(axes: Axes, curves: dict[str, list[float]], lines: dict[str, Any]) -> None:
    half = extension.BUCKET / 2
    for name, (colour, line, label) in lines.items():
        values = curves[name]
        middles = [half + extension.BUCKET * n for n in range(len(values))]
        axes.plot(middles, values, color=colour, linestyle=line, label=label)
        if middles[-1] + half < extension.LONGEST:  # where there is no more to draw
            axes.plot(middles[-1], values[-1], "o", color=colour)
    axes.axvspan(0, TRAINED_LENGTH, color=GREY, alpha=0.13, linewidth=0)
    axes.text(TRAINED_LENGTH / 2, 4.8, "trained", ha="center", color=GREY, fontsize=7)
    axes.set(xlim=(0, extension.LONGEST), ylim=(1.2, 5.0))
    ticks = [TRAINED_LENGTH * times for times in (1, 2, 4, 8)]
    axes.set_xticks(ticks, [f"{tick}\n{tick // TRAINED_LENGTH}×" for tick in ticks])
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
    axes.set_xlabel("position, bytes (below: times the trained length)")


def _draw_reach(axes: Axes, results: dict[str, Any]) -> None:
    """A ring on each curve where the first pair of components meets an untrained angle."""
    label = "the first untrained angles"
    for name in ("nothing", "linear, factor 2", "NTK, α = 8"):
        at, curve = results["reach"]["small"][name], results["curves"][name]
        place = at / extension.BUCKET - 0.5  # bucket n is drawn at its middle
        before = int(place)
        height = curve[before] + (place - before) * (curve[before + 1] - curve[before])
        axes.plot(at, height, "o", mfc="white", mec=STRETCHED[name][0], markersize=7, label=label)
        label = "_"  # in the legend once


def _draw_extension(figure: Figure, results: dict[str, Any]) -> None:
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
    figure.subplots_adjust(left=0.07, right=0.975, top=0.86, bottom=0.37, wspace=0.07)
    title = "Loss beyond the trained length: lower is better, flat is what was promised"
    figure.text(0.02, 0.965, title, fontsize=11, va="top")
    _draw_losses(left, results["curves"], STRETCHED)
    _draw_losses(right, results["curves"], OTHERS)
    _draw_reach(left, results)
    left.set_title("a model of rotations, stretched")
    right.set_title("other positions, trained alike, as they are")
    left.set_ylabel("loss, nats a byte")
    for axes, at in ((left, 0.31), (right, 0.775)):
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper center",
            bbox_to_anchor=(at, 0.235),
            ncols=2 if axes is left else 1,
            frameon=False,
            fontsize=8.2,
            columnspacing=1.2,
        )


def _draw_relative(figure: Figure, results: dict[str, Any]) -> None:
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.97, top=0.89, bottom=0.15)
    relative = results["relative"]
    axes.loglog(relative["shift"], relative["float32"], color=RED)
    axes.loglog(relative["shift"], relative["ours"], color=BLUE)
    axes.set_title("A score at distance 64 when both tokens move: the largest change")
    axes.text(2e4, 3e-3, "float32 angles, the usual way", color=RED, ha="right")
    axes.text(2e4, 3.5e-9, "torch_rope, integer phase", color=BLUE, ha="right")
    axes.set(xlim=(1, 2**31), ylim=(1e-9, 1))
    axes.set_xlabel("shift of both tokens, tokens")
    axes.set_ylabel("|change| / |q| |k|")
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def _draw_decay(figure: Figure, results: dict[str, Any]) -> None:
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.97, top=0.89, bottom=0.15)
    curves = dict(results["decay_curves"])
    distance = curves.pop("distance")
    shades = (BLACK, BLUE, SKY, GREEN, ORANGE, RED)
    for (name, values), colour in zip(curves.items(), shades, strict=True):
        of_base = name.startswith("base")
        label = name if of_base else f"{name}, base 1e4"
        axes.semilogx(
            distance, values, color=colour, linestyle="-" if of_base else DASHES, label=label
        )
    axes.set_title("RoFormer's upper bound of a score by distance: it falls, in waves")
    axes.set(xlim=(1, distance[-1]), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(lambda at, _: f"{at:,.0f}")
    axes.set_xlabel("distance, tokens")
    axes.set_ylabel("bound (at distance 0: 1)")
    axes.legend(frameon=False, loc="upper right")
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


DRAWN: dict[str, tuple[Drawing, float]] = {
    "article-extension": (_draw_extension, 5.2),
    "article-relative": (_draw_relative, 3.4),
    "article-decay": (_draw_decay, 3.6),
}


def draw(results: dict[str, Any], folder: Path = FOLDER, suffix: str = ".svg") -> list[Path]:
    """A file for each name of DRAWN, the suffix .svg or .png."""
    # The date and the versions stay out of the file.
    unwanted = ("Date", "Creator") if suffix == ".svg" else ("Software",)
    written = []
    with style.context(["default", LOOK]):
        for name, (draw_one, height) in DRAWN.items():
            figure = Figure(figsize=(WIDTH, height), facecolor="white")
            draw_one(figure, results)
            written.append(folder / f"{name}{suffix}")
            figure.savefig(written[-1], dpi=110, metadata=dict.fromkeys(unwanted))
    return written
