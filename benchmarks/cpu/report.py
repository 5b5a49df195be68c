"""What came out of a run: tables on the screen, and the file under benchmarks/results/.

For __main__.py and the test. It reads a document of runner.run, new or loaded from a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.cpu import graph, host, losses, machine, tables, targets
from benchmarks.cpu.providers import APPLY, LIMIT

RESULTS = machine.ROOT / "benchmarks" / "results"
# CPUs that other work may take: three quarters of the time are then undisturbed, and the fastest
# tenth of the samples comes from them.
TOLERABLE_NEIGHBOURS = 0.25
HINT = (
    "ms: mean of the fastest tenth of the samples. The limit moves the same components without a "
    "rotation. ÷ apply_table: a peer's time over that of apply_table; below 1 the peer wins. A "
    "backward pass is held against ours."
)

Document = dict[str, Any]


def save(document: Document, name: str | None = None, results: Path = RESULTS) -> Path:
    """Writes <results>/cpu-<processor>/<name>.json and returns its path; the name is the date and
    the number of threads unless given."""
    device = document["device"]
    name = name or f"{document['date'][:10]}-{device['threads']}-threads"
    path = results / f"cpu-{machine.slug(device['cpu'])}" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(document), indent=1) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Document:
    """Of this format or the one before, which held peers against apply_table alone."""
    document = dict(json.loads(path.read_text(encoding="utf-8")))
    for case in document["cases"]:
        for figures in case["providers"].values():
            if "apply_is_faster" in figures:
                figures["ahead"] = {APPLY: figures.pop("apply_is_faster")}
    return document


def _rounded(value: Any) -> Any:
    """Five digits: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def show(document: Document, console: Console) -> None:
    _show_setting(document, console)
    groups: dict[str, list[Document]] = {}
    for case in document["cases"]:
        groups.setdefault(case["group"], []).append(case)
    for title, cases in groups.items():
        console.print(Text(f" {title}", style="bold"))
        console.print(_table(cases, document["providers"]))
    if "graph" in document:
        graph.show(document["graph"], console)
    if "table" in document:
        tables.show(document["table"], console)
    if "host" in document:
        host.show(document["host"], console)
    _say(console, HINT)
    for line in _missing(document):
        _say(console, line)
    _show_summary(groups, console)
    losses.show(losses.losses(document), console)
    if "targets" in document:
        targets.show(document["targets"], document["device"]["threads"], console)
    _show_doubts(document, console)


def _say(console: Console, text: str) -> None:
    console.print(Padding(Text(text), (0, 0, 1, 1)))


def _show_doubts(document: Document, console: Console) -> None:
    others = {case["id"]: case["cpus_used_by_others"] for case in document["cases"]}
    known = {name: cpus for name, cpus in others.items() if cpus is not None}
    disturbed = [name for name, cpus in known.items() if cpus > TOLERABLE_NEIGHBOURS]
    if len(known) < len(others):
        _say(console, "This system does not tell whether other work disturbed the timing.")
    if disturbed:
        _say(
            console,
            f"Do not trust {len(disturbed)} of {len(others)} cases: other work took up to "
            f"{max(known.values()):.1f} CPUs ({disturbed[0]}{' …' if disturbed[1:] else ''}).",
        )


def _show_setting(document: Document, console: Console) -> None:
    device, kinds = document["device"], document["providers"]
    modified = ", modified" if document["modified"] else ""
    rows = {
        "processor": f"{device['cpu']}{', virtual' if device['virtual'] else ''}; "
        f"{device['threads']} threads on {device['cpus']} CPUs; torch_rope's vectors: "
        f"{device['vector_bytes']} bytes",
        "versions": ", ".join(f"{name} {found}" for name, found in document["versions"].items()),
        "commit": f"{(document['commit'] or 'unknown')[:12]}{modified}; {document['date']}",
        **{name: kinds[name]["about"] for name in kinds},
    }
    table = Table(show_header=False, box=box.SIMPLE_HEAD)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)


def _table(cases: list[Document], providers: Document) -> Table:
    """A column a case; milliseconds, then ratios to the limit, then how far apply is ahead."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for case in cases:
        header = case["column"].replace(" ", "\n").replace("interleaved", "inter-\nleaved")
        table.add_column(header, justify="right", no_wrap=True)

    here = [
        name
        for name in providers
        if any(name in case["providers"] or name in case["missing"] for case in cases)
    ]

    def section(title: str, names: list[str], value: Callable[[Document], float]) -> None:
        table.add_row(Text(title, style="italic"))
        for name in names:
            found = (case["providers"].get(name) for case in cases)
            cells = (three_digits(value(figures)) if figures else "–" for figures in found)
            table.add_row(name, *cells, end_section=name == names[-1])

    if all(case["providers"][LIMIT]["ms"] < 0.1 for case in cases):
        section("µs", here, lambda figures: 1e3 * figures["ms"])
    else:
        section("ms", here, lambda figures: figures["ms"])
    others = [name for name in here if name != LIMIT]
    section("× the limit", others, lambda figures: figures["over_limit"])
    peers = [name for name in here if providers[name]["kind"] == "peer"]
    section(f"÷ {APPLY}", peers, lambda figures: next(iter(figures["ahead"].values())))
    return table


def three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _missing(document: Document) -> list[str]:
    """A line for each provider and reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for case in document["cases"]:
        for name, reason in case["missing"].items():
            reasons.setdefault((name, reason), []).append(case["id"])
    return [
        f"missing: {name} in {len(ids)} of {len(document['cases'])} cases ({ids[0]} …): {reason}"
        for (name, reason), ids in reasons.items()
    ]


def _show_summary(groups: dict[str, list[Document]], console: Console) -> None:
    """A line a group: how far apply_table is from the limit and the peers, its worst cases too."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(APPLY, vertical="bottom")
    for header in ("× the limit,\nbest to worst", "nearest peer", "÷ apply_table"):
        table.add_column(header, justify="right", vertical="bottom", no_wrap=True)
    for title, cases in groups.items():
        ratios = [case["providers"][APPLY]["over_limit"] for case in cases]
        limit = f"{three_digits(min(ratios))} to {three_digits(max(ratios))}"
        least, peer = losses.nearest(cases, APPLY) or (None, "none ran")
        table.add_row(title, limit, peer, "–" if least is None else three_digits(least))
    console.print(table)
