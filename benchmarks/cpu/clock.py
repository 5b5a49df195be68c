"""How calls are timed: all providers of a case take turns, round by round, until the time is up.

For runner.py and the test; it knows nothing about rotations.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.cpu.call import Call

FEWEST_ROUNDS = 3
# A sample is as many calls as it takes to make the clock's own cost (some 100 ns) invisible.
SAMPLE_SECONDS = 100e-6
# A turn is as many samples as fit, so that the quick ones are sampled more often.
TURN_SECONDS = 8e-3
MOST_SAMPLES = 8
# Threads that a runtime leaves spinning after its work (libgomp's do, for milliseconds) would take
# a core from the next provider's. So a turn begins with a call that is not timed, unless it would
# outlast them by far anyway.
SETTLE_SECONDS = 10e-3
# Who needs longer for a call than that takes part in fewer rounds, so that he does not spend what
# all others need for theirs.
SLOW_SECONDS = 32e-3


@dataclass
class Track:
    """One provider's calls, gone round in order, and its samples in seconds a call."""

    calls: Sequence[Call]
    times: list[float] = field(default_factory=list)
    _quickest: float = math.inf
    _next: int = 0

    def warm_up(self) -> None:
        """So that the first turn knows about how long a call takes."""
        with self.calls[0].setting():
            for _ in range(FEWEST_ROUNDS):
                self._sample(1)
                if self._quickest > SLOW_SECONDS:
                    break

    def takes_part(self, number: int) -> bool:
        """In the round of that number: always in the first ones, then in every n-th if n calls of
        SLOW_SECONDS would take as long as one of this one's."""
        return number < FEWEST_ROUNDS or number % math.ceil(self._quickest / SLOW_SECONDS) == 0

    def turn(self) -> None:
        with self.calls[0].setting():
            self._turn()

    def _turn(self) -> None:
        # From the quickest sample so far: a machine that is busy at first changes no plan for good.
        alone = len(self.calls) == 1
        repeat = max(1, int(SAMPLE_SECONDS / self._quickest)) if alone else 1
        whole = self._quickest * repeat
        if whole < SETTLE_SECONDS:
            self._step().run()
        for _ in range(min(max(1, int(TURN_SECONDS / whole)), MOST_SAMPLES)):
            self.times.append(self._sample(repeat))

    def _step(self) -> Call:
        call = self.calls[self._next]
        self._next = (self._next + 1) % len(self.calls)
        return call

    def _sample(self, repeat: int) -> float:
        run = self._step().run
        start = time.perf_counter()
        for _ in range(repeat):
            run()
        taken = (time.perf_counter() - start) / repeat
        self._quickest = min(self._quickest, taken)
        return taken


def take_turns(calls: Mapping[str, Sequence[Call]], seconds: float) -> dict[str, list[float]]:
    """name → seconds a call, one for each sample. Every round has a new order, so that nobody
    always comes after the same neighbour."""
    tracks = {name: Track(some) for name, some in calls.items()}
    order, shuffle = list(tracks.values()), random.Random(0).shuffle
    enabled = gc.isenabled()
    gc.disable()
    try:
        for track in order:
            track.warm_up()
        end, rounds = time.perf_counter() + seconds, 0
        while rounds < FEWEST_ROUNDS or time.perf_counter() < end:
            shuffle(order)
            for track in order:
                if track.takes_part(rounds):
                    track.turn()
            rounds += 1
    finally:
        if enabled:
            gc.enable()
    return {name: track.times for name, track in tracks.items()}


def figures(
    times: Mapping[str, Sequence[float]], reference: str, ratio: str, unit: str = "ms"
) -> dict[str, dict[str, Any]]:
    """name → its fastest tenth and its median in the unit, its samples and, as `ratio`, how many
    times the reference's fastest tenth its own is. times: seconds a call."""
    scale = {"ms": 1e3, "us": 1e6}[unit]
    best = {name: fastest_tenth(samples) for name, samples in times.items()}
    return {
        name: {
            unit: scale * best[name],
            f"median_{unit}": scale * statistics.median(samples),
            "samples": len(samples),
            ratio: best[name] / best[reference],
        }
        for name, samples in times.items()
    }


def fastest_tenth(times: Sequence[float]) -> float:
    """Their mean, of one at least. On a shared machine other work and the barriers between threads
    stall whole calls, so a median tells about the neighbours."""
    count = max(1, len(times) // 10)
    return sum(sorted(times)[:count]) / count
