"""What a provider hands to the clock. For providers.py and the modules that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import Tensor

from benchmarks.cpu.workload import Pair


class Missing(Exception):
    """Why a provider cannot serve a workload; the text goes into the results."""


def reason_of(error: Exception) -> str:
    """One line, for a Missing."""
    first = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {first}"


@dataclass(frozen=True)
class Call:
    """run: what is timed. result: q and k as the last run left them, (B, S, H, D) each, of calls
    that rotate. setting: entered around whole turns, outside of what is timed; one for all calls of
    a provider."""

    run: Callable[[], object]
    result: Callable[[], Pair] | None = None
    setting: Callable[[], AbstractContextManager[object]] = nullcontext


def from_pair(
    function: Callable[[], tuple[Tensor, ...]],
    setting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Call:
    """A call that returns new tensors; they live until the next one, as the allocator sees it in a
    model that has handed the last layer's on."""
    latest: list[tuple[Tensor, ...]] = []

    def run() -> None:
        latest.clear()
        latest.append(function())

    return Call(run, lambda: Pair(*latest[-1]), setting)
