"""README's tables of times, losing cases included: what stands between its marks is made here.

    <!-- speed:begin cpu -->  …  <!-- speed:end -->

For __main__.py and the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.cpu import losses, machine, targets
from benchmarks.cpu.providers import APPLY, LIMIT
from benchmarks.cpu.report import three_digits as digits
from benchmarks.figures import plots
from benchmarks.figures.results import RESULTS, Result, Row, newest

README = machine.ROOT / "README.md"
BLOCK = re.compile(
    r"(?P<begin><!-- speed:begin (?P<kind>\w+)[^>]*-->\n).*?(?P<end>^<!-- speed:end -->)",
    re.DOTALL | re.MULTILINE,
)
Lines = list[str]


def rewritten(text: str, folder: Path = RESULTS) -> str:
    """text with each block made anew from the newest results in the folder."""

    def block(match: re.Match[str]) -> str:
        lines = lines_of(match["kind"], folder)
        return "\n".join([match["begin"].rstrip("\n"), *lines, match["end"]])

    return BLOCK.sub(block, text)


def lines_of(kind: str, folder: Path = RESULTS) -> Lines:
    results = newest(kind, folder)
    if not results:
        return [f"No result of a {kind.upper()} is here yet."]
    make = {"cpu": _cpu, "gpu": _gpu}[kind]
    return [line for result in results for line in make(result)]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Lines:
    lines = [list(header), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


def span(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"{digits(found[0])} to {digits(found[-1])}" if found else "–"


def _where(result: Result) -> str:
    """As one finds it from the checkout's root."""
    inside = result.path.is_relative_to(machine.ROOT)
    return result.path.relative_to(machine.ROOT).as_posix() if inside else result.path.name


def _figures(result: Result) -> Lines:
    alternatives = {
        "tokens": "time over the number of tokens, with the limit drawn",
        "peers": "how many times our time others take",
    }
    lines = []
    for name in plots.drawn(result):
        path = f"docs/figures/{plots.file_name(result, name)}.svg"
        lines += [f"![{result.title}: {alternatives[name]}]({path})", ""]
    return lines


def _cpu(result: Result) -> Lines:
    document = result.document
    versions, device = document["versions"], document["device"]
    commit = f"; commit {document['commit'][:12]}" if document["commit"] else ""
    lines = [
        f"From `{_where(result)}` (`make bench ARGS=--save`; {device['cpu']}, vectors of "
        f"{device['vector_bytes']} bytes, {device['threads']} threads, torch "
        f"{versions['torch'].split('+')[0]}{commit}): in place with a cached table, as a multiple "
        "of an in-place `mul_` (float32) or a `copy_` (16-bit types) of the same components.",
        "",
        *_groups(document),
        *_figures(result),
        *_ways(result),
        *_goals(document),
        *_losses(document),
    ]
    return lines


def _groups(document: dict[str, Any]) -> Lines:
    groups: dict[str, list[Any]] = {}
    for case in document["cases"]:
        groups.setdefault(case["group"], []).append(case)
    rows = []
    for title, cases in groups.items():
        least = losses.nearest(cases, APPLY)
        nearest = f"{digits(least[0])} ({plots.label(least[1])})" if least else "–"
        some = [case["providers"] for case in cases]
        limit = span(providers[APPLY]["ms"] / providers[LIMIT]["ms"] for providers in some)
        computed = [
            p["apply_computed"]["ms"] / p[APPLY]["ms"] for p in some if "apply_computed" in p
        ]
        rows.append((title, limit, span(computed), nearest))
    header = ("case", "× the limit", "computed ÷ table", "nearest peer's time over ours")
    return table(header, rows)


def _ways(result: Result) -> Lines:
    """Each of ours, instruction sets one by one, in the cases that all of them are measured in."""
    about = result.document["providers"]
    rows = []
    for name in (result.ours, *result.others):
        spans = [row.us[name] / row.us[LIMIT] for row in result.main if name in row.us]
        if spans:
            rows.append((f"`{name}`", span(spans), about[name].get("about", "")))
    return table(("ours, on whole heads in the caches", "× the limit", ""), rows)


def _goals(document: dict[str, Any]) -> Lines:
    checked = document.get("targets", [])
    if not checked:
        return []
    rows = (
        (
            one["name"],
            targets.bound(one),
            "–" if one["worst"] is None else digits(one["worst"]),
            targets.verdict(one),
        )
        for one in checked
    )
    return table(("goal", "bound", "worst case", "met"), rows)


def _losses(document: dict[str, Any]) -> Lines:
    """A line for each kind of case, what of ours and peer: the ratios of its cases."""
    found = losses.grouped(losses.losses(document))
    if not found:
        return ["Where we lose: nowhere in this file.", ""]
    rows = (
        (
            group,
            f"`{ours}`",
            plots.label(peer),
            "; ".join(f"{one.case} {losses.below_one(one.ratio)}" for one in some),
        )
        for (group, ours, peer), some in found.items()
    )
    header = ("where we lose", "ours", "peer", "the peer's time over ours")
    return table(header, rows)


def _gpu(result: Result) -> Lines:
    facts = result.document["facts"]
    driver = result.document["facts"]["gpus"][0].get("driver_version") if facts["gpus"] else None
    commit = f", commit {facts['commit'][:12]}" if facts.get("commit") else ""
    lines = [
        f"From `{_where(result)}` ({result.title}, driver {driver}{commit}): in place with a "
        "cached table, as a multiple of the quickest in-place scale kernel on the same bytes.",
        "",
        *_gpu_cases(result),
        *_figures(result),
    ]
    lost = [
        (f"`{row.facts['id']}`, {row.mode}", plots.label(peer), losses.below_one(ratio))
        for row in result.rows
        for peer, ratio in _ratios(result, row).items()
        if ratio < 1
    ]
    if not lost:
        return [*lines, "Where we lose: nowhere in this file.", ""]
    return [*lines, *table(("where we lose", "peer", "its time over ours"), lost)]


def _gpu_cases(result: Result) -> Lines:
    """Out of the caches all of them; in the caches those that differ in nothing but the tokens."""
    rows = []
    for row in result.rows:
        shown = row.mode == "cold" or (row.mode == "hot" and row.is_of_curve)
        if not shown or result.ours not in row.us:
            continue
        ours, limit = row.us[result.ours], row.us.get(LIMIT)
        computed = row.us.get("computed")
        ratios = _ratios(result, row)
        nearest = min(ratios, key=ratios.__getitem__, default=None)
        rows.append(
            (
                f"`{row.facts['id']}`, {row.mode}",
                digits(ours),
                digits(ours / limit) if limit else "–",
                digits(computed / ours) if computed else "–",
                f"{digits(ratios[nearest])} ({plots.label(nearest)})" if nearest else "–",
            )
        )
    header = ("case", "µs", "× the limit", "computed ÷ table", "nearest peer's time over ours")
    return table(header, rows)


def _ratios(result: Result, row: Row) -> dict[str, float]:
    if result.ours not in row.us:
        return {}
    return {peer: row.us[peer] / row.us[result.ours] for peer in result.peers if peer in row.us}
