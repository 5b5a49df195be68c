"""What a provider hands to the clock. For providers.py and peers.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from benchmarks.cpu.cases import Pair


class Missing(Exception):
    """Why a provider cannot serve a workload; the text goes into the results."""


@dataclass(frozen=True)
class Call:
    """run: what is timed. result: q and k as the last run left them, (1, S, H, D) each, of calls
    that rotate."""

    run: Callable[[], object]
    result: Callable[[], Pair] | None = None


def from_pair(function: Callable[[], tuple[Tensor, Tensor]]) -> Call:
    """A call that returns new tensors; they live until the next one, as the allocator sees it in a
    model that has handed the last layer's on."""
    latest: list[tuple[Tensor, Tensor]] = []

    def run() -> None:
        latest.clear()
        latest.append(function())

    return Call(run, lambda: Pair(*latest[-1]))
