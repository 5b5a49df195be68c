"""Errors of cosines and sines, and the measurements of rotations.py, gathered for one page. For
run.py and its test.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from accuracy import rotations
from accuracy.rotations import Curve
from accuracy.sides import POWER_SIDES, TABLE_SIDES, Table, TableSide

# Powers of two to 2^23, then ten million; errors are those of all positions below an edge.
EDGES = (*(2**exponent for exponent in range(24)), 10_000_000)
DENSE = 2**20  # below this every position is measured; above, blocks of them
BLOCK = 2**11  # positions; its tensors stay in the cache
BLOCKS = 255  # so many at random in each octave, and its last one
SEED = 0
QUICK_EDGES = tuple(edge for edge in EDGES if edge <= 2**15)


@dataclass(frozen=True)
class Results:
    """What the page shows. Keys are names of sides."""

    tables: Mapping[str, Curve]  # largest error of cos and sin so far, by position
    powers: Mapping[str, Curve]  # the same against exact powers of the base
    rotated: Mapping[torch.dtype, Mapping[str, Curve]]
    relative: Mapping[torch.dtype, Mapping[str, Curve]]
    drift: Mapping[torch.dtype, Mapping[str, Curve]]
    logits: Mapping[str, Curve]


def blocks(first: int, last: int, generator: torch.Generator) -> Iterator[tuple[int, int]]:
    """Start and rows of what is measured of positions first … last - 1."""
    if last <= DENSE:
        for start in range(first, last, BLOCK):
            yield start, min(BLOCK, last - start)
        return
    starts = torch.randint(first, last - BLOCK, (BLOCKS,), generator=generator)
    for start in (*starts.tolist(), last - BLOCK):
        yield start, BLOCK


def largest_errors(sides: Sequence[TableSide], edges: Sequence[int]) -> dict[str, Curve]:
    generator = torch.Generator().manual_seed(SEED)
    worst = {side.name: 0.0 for side in sides}
    curves: dict[str, Curve] = {side.name: {} for side in sides}
    for first, last in zip((0, *edges), edges, strict=False):
        for start, rows in blocks(first, last, generator):
            # Sides share their oracle.
            oracle: Callable[[Table], tuple[Tensor, Tensor]] = functools.cache(
                lambda table, start=start, rows=rows: table(start, rows)
            )
            for side in sides:
                pairs = zip(side.table(start, rows), oracle(side.exact), strict=True)
                errors = [float((given - right).abs().max()) for given, right in pairs]
                worst[side.name] = max(worst[side.name], *errors)
        for name, error in worst.items():
            curves[name][last] = error
    return curves


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors here are too small to be shared out: on busy cores a second thread costs 100×."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(*, quick: bool = False) -> Results:
    """quick: cosines and sines for the lowest positions alone; all else is the same."""
    edges = QUICK_EDGES if quick else EDGES
    with torch.inference_mode(), one_thread():
        return Results(
            tables=largest_errors(TABLE_SIDES, edges),
            powers=largest_errors(POWER_SIDES, edges),
            rotated=rotations.by_type(rotations.rotated_errors, EDGES),
            relative=rotations.by_type(rotations.relative_errors, rotations.SHIFTS),
            drift=rotations.by_type(rotations.drift, rotations.STEPS),
            logits=rotations.logit_errors(rotations.LENGTHS),
        )
