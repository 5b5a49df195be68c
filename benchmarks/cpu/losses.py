"""Where we lose: every case in which another implementation is faster than ours, as a result says.

For report.py, benchmarks/figures and the test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

Document = dict[str, Any]
GRAPH = "inside a compiled graph"


@dataclass(frozen=True)
class Loss:
    """ratio: the peer's time over ours, below 1."""

    group: str
    case: str
    ours: str
    peer: str
    ratio: float


def nearest(cases: Iterable[Document], ours: str) -> tuple[float, str] | None:
    """(its time over ours, the peer), of the one that comes nearest to ours in any of the cases."""
    ahead = (
        (figures["ahead"][ours], peer)
        for case in cases
        for peer, figures in case["providers"].items()
        if ours in figures.get("ahead", {})
    )
    return min(ahead, default=None)


def losses(document: Document) -> list[Loss]:
    """In the order of the cases; a group's worst is not first."""
    found = [
        Loss(case["group"], case["column"], ours, peer, ratio)
        for case in document["cases"]
        for peer, figures in case["providers"].items()
        for ours, ratio in figures.get("ahead", {}).items()
        if ratio < 1
    ]
    return found + _in_graph(document.get("graph", {"cases": []}))


def _in_graph(graph: Document) -> list[Loss]:
    return [
        Loss(GRAPH, f"{case['dtype']}, {case['tokens']} tokens", name, "inlined", 1 / over)
        for case in graph["cases"]
        for name, figures in case["providers"].items()
        if (over := figures["over_inlined"]) > 1
    ]


def below_one(ratio: float) -> str:
    """Rounded down, so that what is below 1 looks like it."""
    places = 100 if ratio < 0.99 else 1000
    return f"{math.floor(places * ratio) / places:.{2 if places == 100 else 3}f}"


def grouped(found: list[Loss]) -> dict[tuple[str, str, str], list[Loss]]:
    """(group, ours, peer) → its cases."""
    groups: dict[tuple[str, str, str], list[Loss]] = {}
    for loss in found:
        groups.setdefault((loss.group, loss.ours, loss.peer), []).append(loss)
    return groups


def show(found: list[Loss], console: Console) -> None:
    title = " Where we lose: a peer's time over ours, below 1"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for header in ("cases", "ours", "peer", "ratios"):
        table.add_column(header)
    for (group, ours, peer), some in grouped(found).items():
        table.add_row(
            group, ours, peer, "; ".join(f"{one.case} {below_one(one.ratio)}" for one in some)
        )
    if not found:
        table.add_row("nowhere in this run", "", "", "")
    console.print(table)
