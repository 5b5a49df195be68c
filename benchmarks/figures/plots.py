"""The plots: time over tokens with the limit drawn, and how many times our time each peer takes.

For __main__.py and the test. Without pyplot, so that no window opens; on white, as all figures of
docs/figures, so that they can be read on a dark page too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from benchmarks.cpu import machine
from benchmarks.figures.results import LIMIT, Result, Row

LOOK = machine.ROOT / "docs" / "figures" / "look.mplstyle"
WIDTH = 8.6
GREY, BLUE, SKY = "#5b656d", "#0072b2", "#56b4e9"
# The rest of Okabe and Ito's colours, which colour-blind people tell apart, and one of Tol's.
PEER_COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#b8860b", "#332288", "#e69f00", "#000000")
LABELS = {
    LIMIT: "limit: the same bytes moved",
    "apply_table": "torch_rope, table",
    "table": "torch_rope, table",
    "apply_computed": "torch_rope, computed",
    "computed": "torch_rope, computed",
    "rotate_qk_table": "torch_rope, new tensors",
    "new": "torch_rope, new tensors",
    "transformers": "transformers",
    "eager": "plain torch",
    "torch_compile": "torch.compile",
    "compile": "torch.compile",
    "torch_compile_in_place": "torch.compile, in place",
    "onnxruntime": "ONNX Runtime",
    "rotary_embedding_torch": "rotary-embedding-torch",
}
# How ours and the limit are drawn: colour, line style.
LINES = {
    LIMIT: (GREY, (0, (4, 2))),
    "apply_table": (BLUE, "-"),
    "table": (BLUE, "-"),
    "apply_computed": (SKY, "-"),
    "computed": (SKY, "-"),
    "rotate_qk_table": (BLUE, (0, (1, 1.5))),
    "new": (BLUE, (0, (1, 1.5))),
}
MODES = {"hot": "in the caches", "cold": "out of every cache", "wall": "called from Python"}
FEWEST_SIZES = 3
BAR_PANELS = 3
GPU_BARS = (1, 2048, 8192)


def label(provider: str) -> str:
    return LABELS.get(provider, provider)


def colours(result: Result) -> dict[str, str]:
    """Each peer's, the same in every plot of a result."""
    count = len(PEER_COLOURS)
    return {peer: PEER_COLOURS[n % count] for n, peer in enumerate(result.peers)}


def short(count: float) -> str:
    """32768 as 32k."""
    return f"{count / 1024:.0f}k" if count >= 1024 else f"{count:.0f}"


def panels_of_curve(result: Result) -> dict[str, list[Row]]:
    """mode → its rows, of modes with enough numbers of tokens."""
    modes = {mode: [row for row in result.curve if row.mode == mode] for mode in MODES}
    return {
        mode: rows
        for mode, rows in modes.items()
        if len({row.tokens for row in rows}) >= FEWEST_SIZES
    }


def panels_of_bars(result: Result) -> dict[str, list[tuple[str, Row]]]:
    """title → (what tells a bar from its neighbour, row)."""
    rows = [row for row in result.main if any(peer in row.us for peer in result.peers)]
    panels: dict[str, list[tuple[str, Row]]] = {}
    for row in rows:
        if result.kind == "cpu":
            panels.setdefault(row.dtype, []).append((row.pairing, row))
        elif row.tokens in GPU_BARS:
            panels.setdefault(f"tokens: {row.tokens}", []).append((row.mode, row))
    return dict(list(panels.items())[:BAR_PANELS])


def _draw_tokens(figure: Figure, result: Result) -> None:
    panels = panels_of_curve(result)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.13, right=0.985, top=0.86, bottom=0.3, wspace=0.07)
    for axes, (mode, rows) in zip(all_axes, panels.items(), strict=True):
        _draw_curves(axes, result, rows)
        axes.set_title(MODES[mode])
        axes.set_xlabel("tokens")
    all_axes[0].set_ylabel("µs a call")
    handles: dict[str, object] = {}
    for axes in all_axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(
        handles.values(), handles.keys(), loc="lower center", ncols=4, frameon=False, fontsize=8.5
    )


def _draw_curves(axes: Axes, result: Result, rows: list[Row]) -> None:
    of_peers = {peer: (colour, "-") for peer, colour in colours(result).items()}
    for provider, (colour, line) in {**of_peers, **LINES}.items():
        points = [(row.tokens, row.us[provider]) for row in rows if provider in row.us]
        if len(points) > 1:
            axes.loglog(
                *zip(*points, strict=True),
                color=colour,
                linestyle=line,
                linewidth=2.2 if provider == result.ours else 1.4,
                marker="o" if provider == result.ours else None,
                label=label(provider),
            )
    sizes = sorted({row.tokens for row in rows})
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(lambda at, _: short(at))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(lambda at, _: f"{at:,.0f}" if at >= 1 else f"{at:g}")
    axes.tick_params(axis="both", which="minor", left=False, bottom=False)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def _draw_peers(figure: Figure, result: Result) -> None:
    panels = panels_of_bars(result)
    shown = [row for rows in panels.values() for _, row in rows]
    peers = [peer for peer in result.peers if any(_ratio(result, row, peer) for row in shown)]
    all_axes = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.24, right=0.985, top=0.82, bottom=0.16, wspace=0.08)
    for axes, (title, rows) in zip(all_axes, panels.items(), strict=True):
        _draw_bars(axes, result, rows, peers)
        axes.set_title(title)
    all_axes[0].set_yticks(range(len(peers)), [label(peer) for peer in peers])
    all_axes[0].invert_yaxis()
    figure.text(0.61, 0.025, "times our time, in place with a table", ha="center")


def _ratio(result: Result, row: Row, peer: str) -> float | None:
    """A peer's time over that of what of ours it is held against: in results of a CPU the file says
    which that is."""
    rivals = result.document.get("providers", {}).get(peer, {}).get("rivals", [result.ours])
    if result.ours not in rivals or peer not in row.us or result.ours not in row.us:
        return None
    return row.us[peer] / row.us[result.ours]


def _draw_bars(axes: Axes, result: Result, rows: list[tuple[str, Row]], peers: list[str]) -> None:
    """A bar for each row beside each peer; on a logarithmic axis it begins at 1, level with us."""
    height, colour_of = 0.8 / len(rows), colours(result)
    for number, (name, row) in enumerate(rows):
        for at, peer in enumerate(peers):
            ratio = _ratio(result, row, peer)
            if ratio is None:
                continue
            middle = at - 0.4 + height * (number + 0.5)
            axes.barh(
                middle,
                ratio - 1,
                0.86 * height,
                left=1,
                color=colour_of[peer],
                alpha=1.0 if number == 0 else 0.55,
            )
            text = f" {ratio:.1f}" if ratio < 10 else f" {ratio:.0f}"
            text += f" {name}" if len(rows) > 1 else ""
            axes.text(max(ratio, 1), middle, text, va="center", fontsize=7.5)
    axes.axvline(1, color=BLUE, linewidth=1.6)
    axes.set_xscale("log")
    # Room for the words beside the longest bar.
    longest = max(_ratio(result, row, peer) or 1 for _, row in rows for peer in peers)
    axes.set_xlim(min(0.5, axes.get_xlim()[0]), max(axes.get_xlim()[1], longest * 40))
    axes.xaxis.set_major_formatter(lambda at, _: f"{at:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="both", which="minor", left=False, bottom=False)
    axes.tick_params(axis="y", left=False)


DRAWN: dict[str, tuple[Callable[[Figure, Result], None], str, float]] = {
    "tokens": (_draw_tokens, "bfloat16, half-split, 32 + 8 heads of 128", 4.4),
    "peers": (_draw_peers, "how many times our time others take", 4.2),
}


def drawn(result: Result) -> list[str]:
    """Names of DRAWN for which this result has enough cases."""
    panels = {"tokens": panels_of_curve(result), "peers": panels_of_bars(result)}
    return [name for name, found in panels.items() if found]


def file_name(result: Result, name: str) -> str:
    return f"speed-{result.name}-{name}"


def draw(result: Result, folder: Path, suffix: str = ".svg") -> list[Path]:
    """One file for each name of drawn(result), the suffix .svg or .png."""
    # The date and the versions stay out of the file.
    unwanted = ("Date", "Creator") if suffix == ".svg" else ("Software",)
    paths = []
    with style.context(["default", LOOK]):
        for name in drawn(result):
            draw_one, what, height = DRAWN[name]
            figure = Figure(figsize=(WIDTH, height), facecolor="white")
            draw_one(figure, result)
            figure.text(
                0.02, 0.965, f"{result.title}, {result.date[:10]}: {what}", fontsize=11, va="top"
            )
            paths.append(folder / f"{file_name(result, name)}{suffix}")
            figure.savefig(paths[-1], dpi=110, metadata=dict.fromkeys(unwanted))
    return paths
