"""One run: every case, all its providers interleaved, and the document that comes out.

For __main__.py and the test. Times are milliseconds of wall clock a call from Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import torch

import torch_rope
from benchmarks.cpu import graph, host, machine, tables, targets
from benchmarks.cpu.cases import DTYPES, Case
from benchmarks.cpu.clock import figures, take_turns
from benchmarks.cpu.providers import LIMIT, PROVIDERS, prepare_all, providers_for
from benchmarks.cpu.workload import Workload

FORMAT = 4
# Of the seconds of timing: about twenty rounds of its slowest way, twice; and some thousand calls.
TABLE_SHARE = 0.12
HOST_SHARE = 0.04
GRAPH_SHARE = 0.06
METHOD = (
    "Wall clock of a call from Python. All providers of a case take turns, in a new order each "
    "round; a turn starts with a call that is not timed; who takes longer than 32 ms a call takes "
    "part in fewer rounds, three at least. ms is the mean of the fastest tenth of the samples, "
    "median_ms their median. over_limit is ms over the limit's ms; ahead is how many times the "
    "time of each of ours a peer takes. Random normal values, repeated every 2048 tokens; each "
    "result was checked against float64 before timing. data_bytes counts what a rotation in place "
    "reads and writes of q and k. sets is how many sets of q and k the calls go round among: with "
    "1, data stays in the caches where it fits; a cold case's sets exceed them. Times of new "
    "tensors include getting their memory. cpus_used_by_others is an average over the case's "
    "timing."
)


@dataclass(frozen=True)
class Settings:
    """seconds: of timing, all cases together; preparing and compiling come on top."""

    threads: int
    seconds: float
    command: str


def run(
    cases: Sequence[Case], settings: Settings, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """The document that report.py shows and saves: only numbers, texts, lists and dicts."""
    total = sum(case.weight for case in cases)
    results = []
    with _threads(settings.threads), torch.inference_mode():
        # First: what other cases free would serve as new memory.
        say("the cached table")
        table = tables.measure(settings.seconds * TABLE_SHARE)
        for number, case in enumerate(cases, start=1):
            say(f"{number} of {len(cases)}: {case.id}")
            seconds = settings.seconds * case.weight / total
            results.append(_measure(case, settings.threads, seconds))
        vector_bytes = _vector_bytes()
        say("inside a compiled graph")
        inside = graph.measure(settings.seconds * GRAPH_SHARE)
    with _threads(1), torch.inference_mode():
        say("the cost of a call")
        call = host.measure(settings.seconds * HOST_SHARE)
    document = {
        "format": FORMAT,
        "benchmark": "cpu",
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": settings.command,
        **machine.commit(),
        "device": {
            **machine.processor(),
            "cache_bytes": machine.cache_bytes(),
            "vector_bytes": vector_bytes,
            "threads": settings.threads,
        },
        "versions": machine.versions(),
        "method": METHOD,
        "providers": {
            provider.name: {
                "kind": provider.kind.value,
                "about": provider.about,
                "rivals": list(provider.rivals),
            }
            for provider in PROVIDERS
        },
        "cases": results,
        "graph": inside,
        "table": table,
        "host": call,
    }
    return {**document, "targets": targets.check(document)}


@contextmanager
def _threads(count: int):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _vector_bytes() -> int:
    """How wide torch_rope's vectors are on this processor, which tells the instruction set."""
    return int(torch_rope.explain(torch.empty(1, 1, 1, 128))["vector_bytes"])


def _measure(case: Case, threads: int, seconds: float) -> dict[str, Any]:
    work = Workload(case, threads, machine.cache_bytes())
    calls, missing = prepare_all(work)
    with machine.Neighbours() as neighbours:
        times = take_turns(calls, seconds)
    for pair in work.sets:
        if not all(x.isfinite().all() for x in pair):
            raise RuntimeError(f"{case.id}: values did not stay finite")
    return {
        "id": case.id,
        "group": case.group,
        "column": case.column,
        "dtype": DTYPES[case.dtype],
        "interleaved": case.interleaved,
        "tokens": case.tokens,
        "heads_q": case.heads_q,
        "heads_k": case.heads_k,
        "head_dim": case.head_dim,
        "rotary_dim": case.rotary_dim,
        "rotary_offset": case.rotary_offset,
        "batch": case.batch,
        "shuffled": case.shuffled,
        "first_position": case.first_position,
        "cold": case.cold,
        "sets": len(work.sets),
        "data_bytes": case.data_bytes,
        "cpus_used_by_others": neighbours.cpus,
        "providers": _figures(case, times),
        "missing": missing,
    }


def _figures(case: Case, times: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    found = figures(times, LIMIT, "over_limit")
    for provider in providers_for(case):
        if provider.rivals and provider.name in found:
            own = found[provider.name]
            own["ahead"] = {ours: own["ms"] / found[ours]["ms"] for ours in provider.rivals}
    return found
