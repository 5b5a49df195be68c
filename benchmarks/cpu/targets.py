"""What this library wants to reach on a CPU, as data, and whether a result reaches it.

For runner.py, report.py, benchmarks/figures and the test. Nothing fails when a goal is missed: it
is shown, and stored beside the times.

Each ratio is of two times of one case in one run, so that both met the same machine, and what
counts is the worst case of those that the goal is about. Its limit is the one that moves the bytes
in question and does nothing else:

- Whole heads are held against what is rotated, moved: `mul_` in place in float32, `copy_` in the
  16-bit types, where torch's `mul_` computes and is not a limit. The goal is to be level with it,
  1.0; 1.25 is what must not be exceeded. That is 2048 tokens of 40 heads of 128, in the caches.
- Computed angles are held against the table, in the same cases.
- Where 32 of 128 components are rotated, a quarter of the bytes has to move: in float32 within 0.52
  of the time that rotating all 128 components of the same tensors takes, and in the 16-bit types
  within 0.8 of `copy_` of whole heads, which is nearer to the memory's speed.
- One token costs a call and no bandwidth: the limit is one `add_` of its queries, and the call is
  the op with all its checks, on one thread, its angles computed or from a table.
- Peers are held against apply_table, on whole heads, whatever their results go to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.cpu.cases import MAIN, PARTIAL
from benchmarks.cpu.providers import APPLY, LIMIT

Document = dict[str, Any]
Ratios = Iterable[tuple[float, str]]  # with the case's id


@dataclass(frozen=True)
class Target:
    """goal: the ratio wanted, at most or at least. ceiling: what must not be exceeded, if that is
    another. ratios: those of a document that the goal is about."""

    name: str
    goal: float
    ratios: Callable[[Document], Ratios]
    at_most: bool = True
    ceiling: float | None = None


def _cases(document: Document, group: str, narrow: bool | None) -> Iterator[Document]:
    """narrow: of 16-bit types only, or of float32 only."""
    for case in document["cases"]:
        if case["group"] == group and narrow in (None, case["dtype"] != "f32"):
            yield case


def _over(
    group: str, provider: str, other: str, narrow: bool | None = None
) -> Callable[[Document], Ratios]:
    def ratios(document: Document) -> Iterator[tuple[float, str]]:
        for case in _cases(document, group, narrow):
            found = case["providers"]
            if provider in found and other in found:
                yield found[provider]["ms"] / found[other]["ms"], case["id"]

    return ratios


def _one_token(document: Document) -> Iterator[tuple[float, str]]:
    for name in ("apply", "apply, table"):
        found = document.get("host", {}).get("providers", {}).get(name)
        if found:
            yield found["over_add"], name


def _ahead(name: str, goal: float, peer: str) -> Target:
    return Target(f"{name}, ÷ apply_table", goal, _over(MAIN, peer, APPLY), at_most=False)


TARGETS = [
    Target("table, float32, × mul_", 1.0, _over(MAIN, APPLY, LIMIT, False), ceiling=1.25),
    Target("table, 16 bits, × copy_", 1.0, _over(MAIN, APPLY, LIMIT, True), ceiling=1.25),
    Target("computed, × table", 1.1, _over(MAIN, "apply_computed", APPLY), ceiling=1.35),
    Target(
        "32 of 128, float32, × all 128",
        0.52,
        _over(PARTIAL, APPLY, "apply_table_whole", False),
    ),
    Target(
        "32 of 128, 16 bits, × copy_ of whole heads",
        0.8,
        _over(PARTIAL, APPLY, "limit_whole_heads", True),
    ),
    Target("1 token, × add_", 2.5, _one_token),
    _ahead("transformers", 5.0, "transformers"),
    _ahead("torch.compile", 2.0, "torch_compile"),
    _ahead("torch.compile in place", 2.0, "torch_compile_in_place"),
    _ahead("ONNX Runtime", 1.0, "onnxruntime"),
    _ahead("mlx", 1.0, "mlx"),
    _ahead("rotary-embedding-torch", 1.0, "rotary_embedding_torch"),
]


def check(document: Document) -> list[Document]:
    """One entry a target, in order; worst, where, met and within are None where nothing ran that
    the goal is about."""
    return [_check(target, document) for target in TARGETS]


def _check(target: Target, document: Document) -> Document:
    ratios = list(target.ratios(document))
    worst, where = (max if target.at_most else min)(ratios, default=(None, None))
    ceiling = target.goal if target.ceiling is None else target.ceiling
    return {
        "name": target.name,
        "goal": target.goal,
        "ceiling": ceiling,
        "at_most": target.at_most,
        "worst": worst,
        "where": where,
        "cases": len(ratios),
        "met": _reaches(worst, target.goal, target.at_most),
        "within": _reaches(worst, ceiling, target.at_most),
    }


def _reaches(worst: float | None, bound: float, at_most: bool) -> bool | None:
    if worst is None:
        return None
    return worst <= bound if at_most else worst >= bound


def verdict(checked: Document) -> str:
    if checked["met"] is None:
        return "not measured"
    if checked["met"]:
        return "yes"
    return "no, within its ceiling" if checked["within"] else "no"


def bound(checked: Document) -> str:
    goal = f"{'≤' if checked['at_most'] else '≥'} {checked['goal']:g}"
    return goal if checked["ceiling"] == checked["goal"] else f"{goal} ({checked['ceiling']:g})"


def show(checked: list[Document], threads: int, console: Console) -> None:
    title = f" Goals, {threads} threads; in brackets what must not be exceeded"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("goal")
    for header in ("bound", "worst"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("met?")
    for one in checked:
        worst = "–" if one["worst"] is None else f"{one['worst']:.2f}"
        table.add_row(one["name"], bound(one), worst, verdict(one))
    console.print(table)
