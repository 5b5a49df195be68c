"""The benchmark on a GPU: python -m benchmarks.gpu.bench --out bench.json [--scale LIBRARY]
[--peers FOLDER] [--seconds N] [--cases TEXT] [--no-compile]. --device cpu rehearses the whole path
on a few small cases.

A line for each case and mode (screen.py), with medians and, in brackets, how many times the
ceiling's that is; the ceiling is the quickest of the in-place scale kernels.
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

from benchmarks.gpu import facts, predictions, screen
from benchmarks.gpu.agreement import verify
from benchmarks.gpu.cases import Case, Workload, all_cases, tiny_cases
from benchmarks.gpu.clock import (
    WALL_CALLS,
    Call,
    EmptyCache,
    GraphReplay,
    Loop,
    Timed,
    cycled,
    take_turns,
)
from benchmarks.gpu.peers import adapters
from benchmarks.gpu.provider import CEILING, PEER, NotServed, Provider
from benchmarks.gpu.providers import all_providers

METHOD = (
    "us: median microseconds of a call. cold: graph replay over sets of q and k together past twice"
    " the L2 cache, which is emptied before each replay where 512 sets do not reach that. hot:"
    " graph replay over one set, where it fits the L2 cache. repeat: the same where it does not,"
    " for cases with a goal. chain: graph replay of 2048 launches on one set. wall: calls without a"
    " graph, by the host's clock. Providers take turns round by round; data is random."
    " counted_bytes is the same for every provider: rotated components read and written once, 8"
    " bytes of position a token; tables are not counted. scale-N moves the rotated components'"
    " bytes without gaps, N 16-byte vectors a thread; eager and compile get cos and sin ready-made."
    " backward: the gradient alone, sets are what arrives. predicted: predictions.py, microseconds."
)
# For one case in one mode: some 50 rounds of 16 providers whose replay takes 0.5 ms.
TURN_SECONDS = 0.8
FEW_TURN_SECONDS = 0.5  # where this library and the ceiling are alone
REHEARSAL_CACHE = 1 << 14


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.deadline = time.monotonic() + options.seconds
        self.out: Path = options.out
        self.on_gpu = self.device.type == "cuda"
        self.cache_bytes, self.empty_cache = REHEARSAL_CACHE, None
        name = None
        if self.on_gpu:
            properties = torch.cuda.get_device_properties(self.device)
            self.cache_bytes, name = properties.L2_cache_size, properties.name
            self.empty_cache = EmptyCache(self.cache_bytes, self.device)
        self.predicted_for = predictions.device_of(name)
        self.providers = all_providers(options.scale, with_compile=options.compile)
        peers, self.peers = adapters.find_all(options.peers)
        # Their kernels want a GPU. A rehearsal tells which there are.
        self.providers += peers if self.on_gpu else []
        kinds = {p.name: {"kind": p.kind, "about": p.about} for p in self.providers}
        self.report: dict[str, Any] = {
            "facts": facts.collect(),
            "method": METHOD,
            "providers": kinds,
            "peers": self.peers,
            "predicted_for": self.predicted_for.name if self.predicted_for else None,
            "cases": [],
        }

    @property
    def failed(self) -> bool:
        """What others raise is told, and fails nothing."""
        cases = self.report["cases"]
        mine = {p.name for p in self.providers if p.kind != PEER} | {"eager", "compile"}
        return not cases or any(mine & set(case["errors"]) for case in cases)

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def write(self) -> None:
        self.out.write_text(json.dumps(self.report, indent=1) + "\n", "utf-8")

    def run(self, case: Case) -> None:
        work = Workload(case, self.device, case.num_sets(self.cache_bytes))
        errors: dict[str, str] = {}
        not_served: dict[str, str] = {}

        def prepared(provider: Provider) -> list[Call] | None:
            try:
                return self._prepared(provider, work)
            except NotServed as reason:
                not_served[provider.name] = str(reason)
                return None

        calls = self._guarded(self.providers, errors, prepared)
        calls = {name: made for name, made in calls.items() if made is not None}
        modes = self._modes(case)
        results = {mode: self._mode(mode, work, calls, errors) for mode in modes}
        facts_of_case = {
            **case.facts(),
            "goal_us": predictions.goal_of(case),
            "predicted": self._predicted(case, modes),
        }
        told = {"results": results, "errors": errors, "not_served": not_served}
        self.report["cases"].append({"id": case.id, **facts_of_case, **told})
        self.write()

    def _predicted(self, case: Case, modes: Sequence[str]) -> dict[str, dict[str, float]]:
        """mode → provider → µs, where predictions.py knows the device."""
        if self.predicted_for is None:
            return {}
        made: dict[str, dict[str, float]] = {mode: {} for mode in modes}
        for provider in self.providers:
            name = "ceiling" if provider.kind == CEILING else provider.name
            for mode in modes:
                us = predictions.predicted_us(case, mode, name, provider.kind, self.predicted_for)
                if us is not None:
                    made[mode][name] = round(us, 3)
        return made

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
        if not work.case.everybody and provider.kind == PEER:
            raise NotServed("for this library and the ceiling")
        calls = provider.make(work)
        verify(provider, calls[0], work)
        return calls

    def _modes(self, case: Case) -> list[str]:
        if case.chain:
            return ["chain"]
        modes = ["cold"]
        if 2 * case.rotated_bytes <= self.cache_bytes:
            modes.append("hot")
        elif predictions.goal_of(case) is not None:
            modes.append("repeat")
        return [*modes, "wall"]

    def _mode(
        self, mode: str, work: Workload, calls: Mapping[str, list[Call]], errors: dict[str, str]
    ) -> dict[str, Any]:
        chosen = [p for p in self.providers if p.name in calls]
        timed = self._guarded(chosen, errors, lambda p: self._timed(mode, work, calls[p.name]))
        most = TURN_SECONDS if work.case.everybody else min(FEW_TURN_SECONDS, TURN_SECONDS)
        seconds = min(most, max(self.left(), 0) / 4)
        return {name: summary(times) for name, times in take_turns(timed, seconds).items()}

    def _timed(self, mode: str, work: Workload, calls: list[Call]) -> Timed:
        sets = 1 if mode in ("hot", "repeat") else len(calls)
        count = work.case.num_calls(sets) if self.on_gpu else sets
        if mode == "wall":
            return Loop(cycled(calls, min(WALL_CALLS, count)), self.device)
        some = cycled(calls[:sets], count)
        if not self.on_gpu:
            return Loop(some, self.device)
        reached = sets * work.case.rotated_bytes >= 2 * self.cache_bytes
        return GraphReplay(some, None if mode != "cold" or reached else self.empty_cache)


def summary(times: Sequence[float]) -> dict[str, Any]:
    # Within what was measured, where there are few rounds.
    tenths = statistics.quantiles(times, n=10, method="inclusive")
    return {
        "us": statistics.median(times),
        "p10": tenths[0],
        "p90": tenths[-1],
        "rounds": len(times),
    }


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times the rotation on a GPU.")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for a rehearsal")
    parser.add_argument("--scale", type=Path, help="the library made of scale.cu")
    parser.add_argument(
        "--peers",
        type=Path,
        default=facts.ROOT / "build" / "cuda-peers",
        help="where the libraries made of peers/ are",
    )
    parser.add_argument("--seconds", type=float, default=240.0, help="begin no case after that")
    parser.add_argument("--cases", default="", help="those with this text in their ids")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args(arguments)


def run_all(bench: Bench, cases: Sequence[Case]) -> None:
    for number, case in enumerate(cases, start=1):
        if bench.left() <= 0:
            print(f"| {case.id}: no time left", flush=True)
            bench.report.setdefault("left_out", []).append(case.id)
            continue
        bench.run(case)
        left = f"{number} of {len(cases)}, {max(bench.left(), 0):.0f} s left"
        print("\n".join(screen.lines_of(bench.report["cases"][-1], left)), flush=True)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        print("There is no CUDA device: --device cpu rehearses without one.")
        return 1
    if options.scale is not None and not options.scale.exists():
        print(f"{options.scale} is not there: the ceiling is torch's neg_, in two launches.")
        options.scale = None
    bench = Bench(options)
    for name, told in bench.peers.items():
        print(f"| {name}: {told}", flush=True)
    print(screen.header(), flush=True)
    cases = all_cases() if bench.on_gpu else tiny_cases()
    run_all(bench, [case for case in cases if options.cases in case.id])
    bench.write()
    for line in screen.goal_lines(bench.report["cases"]):
        print(line, flush=True)
    print(screen.summary_line(bench.report["cases"]), flush=True)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
