"""How calls are timed: as CUDA graphs of many calls, between events, all providers taking turns
round by round; and as an application sees single calls, by the wall clock. For bench.py.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Protocol

import torch

Call = Callable[[], object]  # returns new (q, k), or writes to its set

MOST_ROUNDS = 60
FEWEST_ROUNDS = 5
WALL_CALLS = 100


class Timed(Protocol):
    def sample(self) -> float:
        """Microseconds a call."""


@lru_cache(maxsize=1)
def side_stream() -> torch.cuda.Stream:
    """Where all calls are captured and timed, and where a forward pass runs whose way back is
    timed: autograd runs that on the same stream, and a capture allows no other."""
    return torch.cuda.Stream()


@contextmanager
def at_side(device: torch.device) -> Iterator[None]:
    """On a GPU: on the side stream, after what was enqueued before, and before what comes next."""
    if device.type != "cuda":
        yield
        return
    side_stream().wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream()):
        yield
    torch.cuda.current_stream().wait_stream(side_stream())


class GraphReplay:
    """The calls, captured into one graph. Each sample replays it twice and times the second: while
    the first runs the host enqueues the rest, so that the GPU never waits for it."""

    def __init__(self, calls: Sequence[Call], before: Callable[[], object] | None = None) -> None:
        self.count, self.before = len(calls), before
        with at_side(torch.device("cuda")):
            for call in calls[:3]:
                call()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=side_stream()):
            for call in calls:
                call()
        self.start, self.end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def sample(self) -> float:
        self.graph.replay()
        if self.before is not None:
            self.before()
        self.start.record()
        self.graph.replay()
        self.end.record()
        self.end.synchronize()
        return self.start.elapsed_time(self.end) * 1000 / self.count


class Loop:
    """The calls one after the other by the wall clock, the last one finished."""

    def __init__(self, calls: Sequence[Call], device: torch.device) -> None:
        self.calls, self.device = calls, device
        with at_side(device):
            for call in calls[:3]:
                call()

    def sample(self) -> float:
        with at_side(self.device):
            self._wait()
            start = time.perf_counter()
            for call in self.calls:
                call()
            self._wait()
            return (time.perf_counter() - start) * 1e6 / len(self.calls)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class EmptyCache:
    """Fills the L2 cache with other data that need not be written back: by reading it."""

    def __init__(self, cache_bytes: int, device: torch.device) -> None:
        self.data = torch.ones(2 * cache_bytes // 4, device=device)

    def __call__(self) -> None:
        self.data.sum()


def cycled(calls: Sequence[Call], count: int) -> list[Call]:
    return [calls[i % len(calls)] for i in range(count)]


def take_turns(timed: Mapping[str, Timed], seconds: float) -> dict[str, list[float]]:
    """name → microseconds a call, one for each round. Every round has a new order, so that nobody
    always comes after the same neighbour."""
    times: dict[str, list[float]] = {name: [] for name in timed}
    order, shuffle = list(timed), random.Random(0).shuffle
    end = time.perf_counter() + seconds
    gc.collect()
    gc.disable()
    try:
        for name in order:
            timed[name].sample()
        for number in range(MOST_ROUNDS):
            if number >= FEWEST_ROUNDS and time.perf_counter() > end:
                break
            shuffle(order)
            for name in order:
                times[name].append(timed[name].sample())
    finally:
        gc.enable()
    return times
