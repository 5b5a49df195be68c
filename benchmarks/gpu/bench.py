"""The benchmark on a GPU: python -m benchmarks.gpu.bench --out bench.json [--scale LIBRARY]
[--seconds N] [--no-compile]. --device cpu rehearses the whole path on a few small cases.

A line for each case, with medians and, in brackets, how many times the ceiling's that is; the
ceiling is the quickest of the in-place scale kernels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import facts
from benchmarks.gpu.agreement import verify
from benchmarks.gpu.cases import Case, Workload, all_cases, tiny_cases
from benchmarks.gpu.clock import (
    WALL_CALLS,
    EmptyCache,
    GraphReplay,
    Loop,
    Timed,
    cycled,
    take_turns,
)
from benchmarks.gpu.providers import Call, Provider, all_providers

METHOD = (
    "us: median microseconds of a call. cold: graph replay over sets of q and k together past twice"
    " the L2 cache, which is emptied before each replay where 512 sets do not reach that. hot:"
    " graph replay over one set, where it fits the L2 cache. wall: calls without a graph, by the"
    " host's clock. Providers take turns round by round; data is random. counted_bytes is the same"
    " for every provider: rotated components read and written once, 8 bytes of position a token;"
    " tables are not counted. scale-N moves the rotated components' bytes without gaps, N 16-byte"
    " vectors a thread; eager and compile get cos and sin ready-made."
)
TURN_SECONDS = 1.5  # for one case in one mode
SHOWN = ("table", "computed", "new", "compile", "eager")
REHEARSAL_CACHE = 1 << 14


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.deadline = time.monotonic() + options.seconds
        self.out: Path = options.out
        self.on_gpu = self.device.type == "cuda"
        self.cache_bytes, self.empty_cache = REHEARSAL_CACHE, None
        if self.on_gpu:
            self.cache_bytes = torch.cuda.get_device_properties(self.device).L2_cache_size
            self.empty_cache = EmptyCache(self.cache_bytes, self.device)
        self.providers = all_providers(options.scale, with_compile=options.compile)
        self.report: dict[str, Any] = {"facts": facts.collect(), "method": METHOD, "cases": []}

    @property
    def failed(self) -> bool:
        cases = self.report["cases"]
        return not cases or any(case["errors"] for case in cases)

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def write(self) -> None:
        self.out.write_text(json.dumps(self.report, indent=1) + "\n", "utf-8")

    def run(self, case: Case) -> None:
        work = Workload(case, self.device, case.num_sets(self.cache_bytes))
        errors: dict[str, str] = {}
        calls = self._guarded(self.providers, errors, lambda p: self._prepared(p, work))
        results = {mode: self._mode(mode, work, calls, errors) for mode in self._modes(case)}
        self.report["cases"].append(
            {"id": case.id, **case.facts(), "results": results, "errors": errors}
        )
        self.write()

    def _guarded(
        self, providers: Sequence[Provider], errors: dict[str, str], make: Callable[[Provider], Any]
    ) -> dict[str, Any]:
        """name → what make gives; a provider that raises leaves the others alone."""
        made = {}
        for provider in providers:
            try:
                made[provider.name] = make(provider)
            except Exception as error:  # whatever somebody else's code raises is his result
                errors[provider.name] = f"{type(error).__name__}: {error}"[:500]
        return made

    def _prepared(self, provider: Provider, work: Workload) -> list[Call]:
        calls = provider.make(work)
        verify(provider, calls[0], work)
        return calls

    def _modes(self, case: Case) -> list[str]:
        hot = 2 * case.rotated_bytes <= self.cache_bytes
        return ["cold", *(["hot"] if hot else []), "wall"]

    def _mode(
        self, mode: str, work: Workload, calls: Mapping[str, list[Call]], errors: dict[str, str]
    ) -> dict[str, Any]:
        chosen = [p for p in self.providers if p.name in calls]
        timed = self._guarded(chosen, errors, lambda p: self._timed(mode, work, calls[p.name]))
        seconds = min(TURN_SECONDS, max(self.left(), 0) / 4)
        return {name: summary(times) for name, times in take_turns(timed, seconds).items()}

    def _timed(self, mode: str, work: Workload, calls: list[Call]) -> Timed:
        sets = 1 if mode == "hot" else len(calls)
        count = work.case.num_calls(sets) if self.on_gpu else sets
        if mode == "wall":
            return Loop(cycled(calls, min(WALL_CALLS, count)), self.device)
        some = cycled(calls[:sets], count)
        if not self.on_gpu:
            return Loop(some, self.device)
        reached = sets * work.case.rotated_bytes >= 2 * self.cache_bytes
        return GraphReplay(some, None if mode == "hot" or reached else self.empty_cache)


def summary(times: Sequence[float]) -> dict[str, Any]:
    tenths = statistics.quantiles(times, n=10)
    return {
        "us": statistics.median(times),
        "p10": tenths[0],
        "p90": tenths[-1],
        "rounds": len(times),
    }


def ceiling_of(results: Mapping[str, Any]) -> float | None:
    scales = [found["us"] for name, found in results.items() if name.startswith("scale")]
    return min(scales) if scales else None


def line_of(case: Mapping[str, Any], mode: str) -> str:
    results = case["results"][mode]
    ceiling = ceiling_of(results)
    if ceiling is None:
        return f"| {case['id']:<44} {mode:<5} no ceiling"
    rate = case["counted_bytes"] / ceiling / 1e6
    line = f"| {case['id']:<44} {mode:<5}{ceiling:9.2f} {rate:5.2f}"
    for name in SHOWN:
        found = results.get(name)
        cell = f"{found['us']:.2f} ({found['us'] / ceiling:.2f})" if found else "—"
        line += f"{cell:>17}"
    return line


HEADER = f"| {'µs (times the ceiling)':<44} {'':<5}{'ceiling':>9}  TB/s" + "".join(
    f"{name:>17}" for name in SHOWN
)


def summary_line(cases: Sequence[Mapping[str, Any]]) -> str:
    """For the first case, cold."""
    if not cases:
        return "summary: nothing was measured"
    results = cases[0]["results"]["cold"]
    ceiling, table = ceiling_of(results), results.get("table")
    if ceiling is None or table is None:
        return f"summary: {cases[0]['id']} lacks the ceiling or the table"
    others = ", ".join(
        f"{name} {results[name]['us'] / table['us']:.2f}"
        for name in ("eager", "compile")
        if name in results
    )
    ratio = table["us"] / ceiling
    return f"summary: {cases[0]['id']}: {ratio:.3f} × the ceiling; times ours: {others or 'none'}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times the rotation on a GPU.")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for a rehearsal")
    parser.add_argument("--scale", type=Path, help="the library made of scale.cu")
    parser.add_argument("--seconds", type=float, default=130.0, help="begin no case after that")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        print("There is no CUDA device: --device cpu rehearses without one.")
        return 1
    if options.scale is not None and not options.scale.exists():
        print(f"{options.scale} is not there: the ceiling is torch's neg_, in two launches.")
        options.scale = None
    bench = Bench(options)
    print(HEADER, flush=True)
    cases = all_cases() if bench.on_gpu else tiny_cases()
    for case in cases:
        if bench.left() <= 0:
            print(f"| {case.id}: no time left", flush=True)
            bench.report.setdefault("left_out", []).append(case.id)
            continue
        bench.run(case)
        latest = bench.report["cases"][-1]
        for mode in latest["results"]:
            print(line_of(latest, mode), flush=True)
        for name, error in latest["errors"].items():
            print(f"| {case.id} {name}: {error}", flush=True)
    bench.write()
    print(summary_line(bench.report["cases"]), flush=True)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
