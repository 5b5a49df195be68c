"""Result files of benchmarks/cpu and benchmarks/gpu, read as one kind of thing: rows of times.

For plots.py, readme.py and the test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cpu import machine, report
from benchmarks.cpu.cases import MAIN
from benchmarks.cpu.providers import APPLY

RESULTS = machine.ROOT / "benchmarks" / "results"
LIMIT = "limit"
# What of ours a file of the GPU benchmark holds all else against.
GPU_TABLE = "table"
# The kinds of its providers, where a file does not tell them: all that is not here are peers.
GPU_KINDS = {"table": "ours", "computed": "ours", "new": "ours"}

Document = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One case in one mode. us: provider → microseconds, the limit's as LIMIT. facts: the case as
    the file has it."""

    facts: Document
    mode: str
    us: dict[str, float]

    @property
    def tokens(self) -> int:
        return int(self.facts["tokens"])

    @property
    def dtype(self) -> str:
        return str(self.facts["dtype"])

    @property
    def pairing(self) -> str:
        return "interleaved" if self.facts["interleaved"] else "split"

    @property
    def is_of_curve(self) -> bool:
        """One of those that differ in nothing but the number of tokens."""
        heads = [self.facts[name] for name in ("heads_q", "heads_k", "head_dim", "rotary_dim")]
        usual = {"interleaved": False, "batch": 1, "rotary_offset": 0, "head_dim_k": None}
        usual |= dict.fromkeys(("shuffled", "packed", "backward", "chain"), False)
        plain = all(self.facts.get(name, value) == value for name, value in usual.items())
        return plain and self.dtype == "bf16" and heads == [32, 8, 128, 128]


@dataclass(frozen=True)
class Result:
    """ours: the provider that all ratios are to. others: what else of ours was timed. name: of its
    figures, as in speed-<name>-tokens.svg."""

    kind: str
    name: str
    title: str
    date: str
    path: Path
    rows: tuple[Row, ...]
    ours: str
    others: tuple[str, ...]
    peers: tuple[str, ...]
    document: Document

    @property
    def curve(self) -> list[Row]:
        return sorted((row for row in self.rows if row.is_of_curve), key=lambda row: row.tokens)

    @property
    def main(self) -> list[Row]:
        """Those that the ratio bars are of."""
        if self.kind == "cpu":
            return [row for row in self.rows if row.facts["group"] == MAIN]
        return [row for row in self.curve if row.mode == "cold"]


def load(path: Path) -> Result:
    document = json.loads(path.read_text(encoding="utf-8"))
    return _gpu(path, document) if "facts" in document else _cpu(path, report.load(path))


def newest(kind: str, folder: Path = RESULTS) -> list[Result]:
    """cpu: the newest file of all that is not of some cases only, or none. gpu: the newest of each
    device."""
    found: dict[str, Result] = {}
    for result in _all(folder):
        key = result.name if result.kind == kind else ""
        if key and (key not in found or found[key].date < result.date):
            found[key] = result
    return [found[key] for key in sorted(found)]


def _all(folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*/*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not document.get("cases"):
            continue
        if "--cases" in document.get("command", ""):
            continue
        if "facts" in document or document.get("benchmark") == "cpu":
            yield load(path)


def _cpu(path: Path, document: Document) -> Result:
    device, kinds = document["device"], document["providers"]
    rows = tuple(
        Row(
            {name: value for name, value in case.items() if name not in ("providers", "missing")},
            "cold" if case["cold"] else "hot",
            {name: 1e3 * figures["ms"] for name, figures in case["providers"].items()},
        )
        for case in document["cases"]
    )
    ours = tuple(name for name, facts in kinds.items() if facts["kind"] == "ours")
    return Result(
        "cpu",
        "cpu",
        f"{device['cpu']}, {device['threads']} threads",
        document["date"],
        path,
        rows,
        APPLY,
        tuple(name for name in ours if name != APPLY),
        tuple(name for name, facts in kinds.items() if facts["kind"] == "peer"),
        document,
    )


def _gpu_kind(document: Document, provider: str) -> str:
    """ceiling, floor, ours or peer."""
    told = document.get("providers", {}).get(provider)
    if told is not None:
        return str(told["kind"])
    return "ceiling" if provider.startswith("scale") else GPU_KINDS.get(provider, "peer")


def _gpu(path: Path, document: Document) -> Result:
    rows = []
    for case in document["cases"]:
        facts = {name: value for name, value in case.items() if name != "results"}
        for mode, providers in case["results"].items():
            kinds = {name: _gpu_kind(document, name) for name in providers}
            us = {
                name: found["us"]
                for name, found in providers.items()
                if kinds[name] in ("ours", "peer")
            }
            scales = [found["us"] for n, found in providers.items() if kinds[n] == "ceiling"]
            if scales:
                us[LIMIT] = min(scales)
            rows.append(Row(facts, mode, us))
    names = list(dict.fromkeys(name for row in rows for name in row.us if name != LIMIT))
    kinds = {name: _gpu_kind(document, name) for name in names}
    gpus = document["facts"].get("gpus") or [{"name": path.parent.name}]
    return Result(
        "gpu",
        path.parent.name,
        gpus[0]["name"],
        document["facts"]["time"],
        path,
        tuple(rows),
        GPU_TABLE,
        tuple(name for name in names if kinds[name] == "ours" and name != GPU_TABLE),
        tuple(name for name in names if kinds[name] == "peer"),
        document,
    )
