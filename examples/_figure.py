"""The figure of `make demo`: what rotation does to attention scores, and how exactly transformers'
rotary function and torch_rope do it. compute_scores measures, draw draws, show_figure does both.

For transformers_llama.py. Only draw needs matplotlib, and imports it.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from _models import Llama
from _report import Report
from torch import Tensor

import torch_rope

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED = 0
VECTORS = 32
FAR = 1_000_000  # where the upper panel's queries stand
DISTANCES = 128  # how far before them its keys stand, at most
DISTANCE = 64  # between the lower panel's two tokens
OCTAVES = 20  # the lower panel's key positions: 1, 2, 4 … 2^OCTAVES
WINDOW = 128  # an error there is the largest of so many neighbouring positions
SUFFIXES = (".svg", ".png")

TITLE = (
    "Rotation makes a score tell how far apart two tokens are:\n"
    f"with torch_rope as exactly at position {FAR:,} as at 100"
)
# Vermilion and blue of Okabe and Ito, whose colours colour-blind people can tell apart too.
STOCK, OURS, GREY = "#d55e00", "#0072b2", "#5b656d"
LOOK = Path(__file__).parents[1] / "docs" / "figures" / "look.mplstyle"

Rotate = Callable[[Tensor, Tensor], Tensor]  # x (1, S, H, D), positions int64 (1, S) → like x


@dataclass(frozen=True)
class Scores:
    """Scores of vectors with themselves, rotated for two positions; 1 is a score without rotation.

    Rotations are in float32 and dot products in float64, so that nothing but the rotation rounds.
    Sides are "exact" (float64), "transformers" and "torch_rope". Scores and errors are float64, on
    the CPU.
    """

    vectors: Tensor  # (VECTORS, D), float32
    distances: Tensor  # (DISTANCES + 1,), int64
    by_distance: dict[str, Tensor]  # side → (DISTANCES + 1, VECTORS), the query at FAR
    positions: Tensor  # (OCTAVES + 1,), int64: of the key; the query is DISTANCE later
    errors: dict[str, Tensor]  # side → (OCTAVES + 1,): largest |score − exact| of all vectors
    bfloat16: float  # the largest where exactly rotated vectors are rounded to bfloat16


def windows(positions: Tensor) -> Tensor:
    """Each position and those just before it, (len(positions), WINDOW); none is below 1."""
    return (positions[:, None] - torch.arange(WINDOW)).clamp(min=1)


def compute_scores(llama: Llama, rope: torch_rope.RotaryEmbedding) -> Scores:
    random = torch.Generator().manual_seed(SEED)
    vectors = torch.randn(VECTORS, llama.settings.head_dim, generator=random)
    sides: dict[str, Rotate] = {
        "exact": llama.exact,
        "transformers": lambda x, at: llama.stock_rotation(x, x, *llama.cos_and_sin(x, at))[0],
        "torch_rope": lambda x, at: rope(x, x, at)[0],
    }

    def rotated(rotate: Rotate, positions: Tensor) -> Tensor:
        x = vectors.to(llama.device).expand(1, len(positions), -1, -1)
        return rotate(x, positions.to(llama.device)[None]).double().cpu()[0]

    def scores(rotate: Rotate, query: Tensor, key: Tensor) -> Tensor:
        products = (rotated(rotate, query) * rotated(rotate, key)).sum(dim=-1)
        return products / vectors.double().square().sum(dim=-1)

    positions = 2 ** torch.arange(OCTAVES + 1)
    key = windows(positions).flatten()
    exact = scores(llama.exact, key + DISTANCE, key)

    def errors(rotate: Rotate) -> Tensor:
        apart = (scores(rotate, key + DISTANCE, key) - exact).abs()
        return apart.reshape(len(positions), -1).amax(dim=-1)

    distances = torch.arange(DISTANCES + 1)
    query = torch.full_like(distances, FAR)
    return Scores(
        vectors=vectors,
        distances=distances,
        by_distance={side: scores(sides[side], query, query - distances) for side in sides},
        positions=positions,
        errors={side: errors(sides[side]) for side in ("transformers", "torch_rope")},
        bfloat16=float(errors(lambda x, at: llama.exact(x, at).bfloat16()).max()),
    )


def draw(scores: Scores, path: Path) -> None:
    """Writes the figure as an .svg or a .png; the same scores make the same bytes."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", LOOK]):
        # Without pyplot: savefig takes the canvas that the suffix asks for, and no window opens.
        figure = Figure(figsize=(8.6, 7.4), facecolor="white")
        upper, lower = figure.subplots(2, 1)
        figure.subplots_adjust(left=0.09, right=0.955, top=0.845, bottom=0.135, hspace=0.47)
        figure.text(0.02, 0.975, TITLE, fontsize=13, fontweight="bold", va="top")
        _draw_scores(upper, scores)
        _draw_errors(lower, scores)
        note = (
            f"{VECTORS} random vectors of {scores.vectors.shape[1]}, each as query and as key; "
            "Llama 3.2's frequencies; rotated in float32, multiplied in float64.\n"
            "Above: their mean. Below: the largest error of all, at up to "
            f"{WINDOW} neighbouring positions, against a rotation in float64."
        )
        figure.text(0.02, 0.015, note, fontsize=8, color=GREY, linespacing=1.4)
        # The date and the versions stay out of the file.
        unwanted = ("Date", "Creator") if path.suffix == ".svg" else ("Software",)
        figure.savefig(path, dpi=110, metadata=dict.fromkeys(unwanted))


def _draw_scores(axes: Axes, scores: Scores) -> None:
    means = {side: values.mean(dim=-1) for side, values in scores.by_distance.items()}
    axes.set_title("Two tokens that match: their score falls with the distance, in waves")
    axes.axhline(1, color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    axes.text(DISTANCES, 1.03, "without rotation: 1 at every distance", ha="right", color=GREY)
    axes.plot(scores.distances, means["torch_rope"], color=OURS)
    axes.plot(scores.distances, means["transformers"], ".", color=STOCK)
    here = float(means["exact"][DISTANCE])
    axes.plot(DISTANCE, here, "o", mfc="none", mec="black", markersize=11)
    axes.text(DISTANCE, here - 0.32, f"{DISTANCE} tokens apart:\nthe pair below", ha="center")
    axes.text(2, 0.25, "torch_rope (line)", color=OURS, fontweight="bold")
    axes.text(2, 0.14, "transformers (dots)", color=STOCK, fontweight="bold")
    axes.text(2, 0.03, "too close to tell apart here", color=GREY)
    axes.set(xlim=(0, DISTANCES), ylim=(0, 1.15), xticks=range(0, DISTANCES + 1, 16))
    axes.set_xlabel(f"distance from the key to the query at position {FAR:,}, tokens")
    axes.set_ylabel("score (without rotation: 1)")


def _draw_errors(axes: Axes, scores: Scores) -> None:
    last = int(scores.positions[-1])
    axes.set_title(
        f"Moved along the text, still {DISTANCE} apart, they should keep their score: the error"
    )
    for side, colour in (("transformers", STOCK), ("torch_rope", OURS)):
        axes.loglog(scores.positions, scores.errors[side], ".-", color=colour, clip_on=False)
    axes.axhline(scores.bfloat16, color=GREY, linestyle=(0, (1, 2)), linewidth=1)
    cost = "rounding q and k to bfloat16 alone costs this, however exact the rotation"
    axes.text(1.2, 1.3 * scores.bfloat16, cost, color=GREY)
    bold = {"fontweight": "bold", "ha": "right"}
    growing = "transformers: float32 angles,\nthe error grows with the position"
    axes.text(2500, 5e-5, growing, color=STOCK, **bold)
    axes.text(last, 1e-7, "torch_rope: integer phase, the error stays", color=OURS, **bold)
    axes.set(xlim=(1, last), ylim=(4e-9, 2e-2))
    axes.tick_params(axis="y", which="minor", left=False)
    axes.xaxis.set_major_formatter(lambda position, _: f"{position:,.0f}")
    axes.set_xlabel("position of the key, tokens")
    axes.set_ylabel("|score − exact score|")


def figure_path(name: str) -> Path:
    """An argument of the command line."""
    path = Path(name)
    if path.suffix not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{name!r} ends in neither {' nor '.join(SUFFIXES)}")
    return path


def show_figure(llama: Llama, report: Report, rope: torch_rope.RotaryEmbedding, path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        report.say("No figure: matplotlib is not installed (make setup installs it).")
        return
    with report.step("drawing scores by distance and their errors by position"):
        scores = compute_scores(llama, rope)
        draw(scores, path)
    last = {side: float(errors[-1]) for side, errors in scores.errors.items()}
    here = Path.cwd()
    report.say(
        f"A figure is in {path.relative_to(here) if path.is_relative_to(here) else path}: what "
        "rotation does to scores by distance and, beneath, the scores' error by position. At "
        f"position {int(scores.positions[-1]):,} that is {last['transformers']:.1e} of a score "
        f"without rotation for transformers, {last['torch_rope']:.1e} for torch_rope."
    )
