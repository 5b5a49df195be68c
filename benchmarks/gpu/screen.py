"""What bench.py prints: a line a case and mode while it runs, and the goals at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.predictions import GOALS

SHOWN = ("computed", "new", "eager", "compile")
OTHERS = (
    *("liger", "flash_attn", "flashinfer", "sglang"),
    *("vllm", "transformer_engine", "apex"),
)
WIDTH, CELL = 54, 17
Case = Mapping[str, Any]


def ceiling_of(results: Mapping[str, Any]) -> float | None:
    scales = [found["us"] for name, found in results.items() if name.startswith("scale")]
    return min(scales) if scales else None


def header() -> str:
    titles = ("table", "predicted", *SHOWN, "best other")
    names = "".join(f"{name:>{CELL}}" for name in titles)
    return f"| {'µs (times the ceiling)':<{WIDTH}} {'':<6}{'ceiling':>9}  TB/s{names}"


def cell(us: float | None, ratio: float | None) -> str:
    if us is None or ratio is None:
        return f"{'—':>{CELL}}"
    return f"{f'{us:.2f} ({ratio:.2f})':>{CELL}}"


def predicted_cell(case: Case, mode: str) -> str:
    """Of the table; in brackets, measured over predicted."""
    predicted = case.get("predicted", {}).get(mode, {}).get("table")
    measured = case["results"][mode].get("table")
    if predicted is None or measured is None:
        return cell(None, None)
    return cell(predicted, measured["us"] / predicted)


def best_other(results: Mapping[str, Any], ceiling: float) -> str:
    there = {name: results[name]["us"] for name in OTHERS if name in results}
    if not there:
        return cell(None, None)
    name, us = min(there.items(), key=lambda item: item[1])
    return f"{cell(us, us / ceiling)} {name}"


def line_of(case: Case, mode: str) -> str:
    results = case["results"][mode]
    ceiling = ceiling_of(results)
    start = f"| {case['id']:<{WIDTH}} {mode:<6}"
    if ceiling is None:
        return f"{start} no ceiling"
    rate = case["counted_bytes"] / ceiling / 1e6
    cells = [f"{start}{ceiling:9.2f} {rate:5.2f}"]
    for name in ("table", *SHOWN):
        us = results[name]["us"] if name in results else None
        cells.append(cell(us, None if us is None else us / ceiling))
        if name == "table":
            cells.append(predicted_cell(case, mode))
    return "".join(cells) + best_other(results, ceiling)


def lines_of(case: Case, left: str) -> list[str]:
    """left: what is said of the rest of the run, behind the first line."""
    lines = [line_of(case, mode) for mode in case["results"]]
    lines[:1] = [f"{line}   [{left}]" for line in lines[:1]]
    lines += [f"| {case['id']} {name}: {error}" for name, error in case["errors"].items()]
    floors = case["results"].get("chain", {})
    told = ", ".join(f"{name} {floors[name]['us']:.2f}" for name in floors if "floor" in name)
    return lines + ([f"| a launch that does nothing, µs a node: {told}"] if told else [])


def goal_lines(cases: Sequence[Case]) -> list[str]:
    """Of those that were measured."""
    lines = []
    for case in cases:
        goal = case.get("goal_us")
        for mode in ("hot", "repeat"):
            found = case["results"].get(mode, {}).get("table")
            if goal is None or found is None:
                continue
            verdict = "reached" if found["us"] <= goal else "missed"
            said = f"{case['tokens']} tokens, {mode}: {found['us']:.2f} µs, goal {goal}, {verdict}"
            lines.append(f"| {said}")
    if lines:
        lines.insert(0, f"| {len(lines)} of {len(GOALS)} goals, which are for an H200")
    return lines


def summary_line(cases: Sequence[Case]) -> str:
    """For the first case, cold."""
    if not cases:
        return "summary: nothing was measured"
    results = cases[0]["results"]["cold"]
    ceiling, table = ceiling_of(results), results.get("table")
    if ceiling is None or table is None:
        return f"summary: {cases[0]['id']} lacks the ceiling or the table"
    others = ", ".join(
        f"{name} {results[name]['us'] / table['us']:.2f}"
        for name in ("eager", "compile", *OTHERS)
        if name in results
    )
    ratio = table["us"] / ceiling
    return f"summary: {cases[0]['id']}: {ratio:.3f} × the ceiling; times ours: {others or 'none'}"
