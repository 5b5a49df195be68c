"""The figures of docs/numerics.md; the same results make the same bytes. For run.py and its test.

Without pyplot, so that no window opens.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from accuracy.measure import Results
from accuracy.rotations import Curve

# Vermilion, blue, purple and green of Okabe and Ito, whose colours colour-blind people tell apart.
STOCK, OURS, MODEL, MIXED, GREY = "#d55e00", "#0072b2", "#aa4499", "#009e73", "#5b656d"
LOOK = Path(__file__).parents[2] / "docs" / "figures" / "look.mplstyle"
WIDTH = 8.6

# How sides are drawn, by name: colour, line style.
LINES = {
    "transformers: float32 angle": (STOCK, "-"),
    "the same, as a bfloat16 model gets it": (STOCK, ":"),
    "a model of `__sincosf` of that angle": (MODEL, "-"),
    "float64 angle, float32 table": (GREY, "--"),
    "transformers": (STOCK, "-"),
    "torch_rope on transformers' table": (MIXED, "--"),
    "torch_rope": (OURS, "-"),
    "exact, rounded once": (GREY, ":"),
    "transformers' function, one position at a time": (STOCK, "-"),
    "torch_rope.rerotate, one position at a time": (MIXED, "--"),
    "torch_rope.rerotate, at once": (OURS, "-"),
}


def short(count: float) -> str:
    """10,000 as 10k."""
    for unit, sign in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count / unit:.0f}{sign}"
    return f"{count:.0f}"


def draw_curves(
    axes: Axes, curves: Mapping[str, Curve], *, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """An error of 0 is not drawn: logarithms have no place for it."""
    for name, curve in curves.items():
        colour, line = LINES[name]
        points = [(at, error) for at, error in curve.items() if error > 0]
        axes.loglog(
            *zip(*points, strict=True), color=colour, linestyle=line, label=name.replace("`", "")
        )
    axes.set(xlim=x, ylim=y)
    axes.tick_params(axis="both", which="minor", left=False, bottom=False)
    axes.xaxis.set_major_formatter(lambda at, _: short(at))
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def draw_cos_sin(figure: Figure, results: Results) -> None:
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.97, top=0.92, bottom=0.13)
    draw_curves(axes, results.tables, x=(1, 1e7), y=(1e-8, 3))
    axes.set_title("Cosine and sine: the largest error of all positions so far")
    axes.set_xlabel("position, tokens")
    axes.set_ylabel("largest |error|")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.12), frameon=False)


def two_panels(
    figure: Figure,
    measured: Mapping[torch.dtype, Mapping[str, Curve]],
    limits: Mapping[str, tuple[float, float]],
    titles: Sequence[str],
) -> tuple[Axes, Axes]:
    """float32 left, bfloat16 right, with one legend below."""
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.085, right=0.975, top=0.85, bottom=0.26, wspace=0.09)
    figure.text(0.02, 0.965, titles[0], fontsize=11, va="top")
    for axes, (dtype, curves) in zip((left, right), measured.items(), strict=True):
        draw_curves(axes, curves, x=limits["x"], y=limits["y"])
        axes.set_title(str(dtype).removeprefix("torch."))
        axes.set_xlabel(titles[1])
    left.set_ylabel(titles[2])
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False)
    return left, right


def draw_rotated(figure: Figure, results: Results) -> None:
    titles = ("Rotated vectors: the largest error of a component", "position", "|error| / |pair|")
    two_panels(figure, results.rotated, {"x": (1, 1e7), "y": (2e-8, 1)}, titles)


def draw_relative(figure: Figure, results: Results) -> None:
    title = "A score when both tokens move by the same shift: the largest change"
    titles = (title, "shift, tokens", "|change| / |q| |k|")
    two_panels(figure, results.relative, {"x": (1, 2**24), "y": (5e-9, 1)}, titles)


def draw_drift(figure: Figure, results: Results) -> None:
    title = "Cached keys moved along: one position at a time, or at once"
    titles = (title, "positions moved", "rms |error| / |pair|")
    two_panels(figure, results.drift, {"x": (1, 1000), "y": (1e-8, 2)}, titles)


DRAWN: Mapping[str, tuple[Callable[[Figure, Results], None], float]] = {
    "accuracy-cos-sin": (draw_cos_sin, 4.2),
    "accuracy-rotated": (draw_rotated, 4.0),
    "accuracy-relative": (draw_relative, 4.0),
    "accuracy-drift": (draw_drift, 4.0),
}


def draw(results: Results, folder: Path, suffix: str = ".svg") -> None:
    """One file for each name of DRAWN, the suffix .svg or .png."""
    # The date and the versions stay out of the file.
    unwanted = ("Date", "Creator") if suffix == ".svg" else ("Software",)
    with style.context(["default", LOOK]):
        for name, (draw_one, height) in DRAWN.items():
            figure = Figure(figsize=(WIDTH, height), facecolor="white")
            draw_one(figure, results)
            path = folder / f"{name}{suffix}"
            figure.savefig(path, dpi=110, metadata=dict.fromkeys(unwanted))
