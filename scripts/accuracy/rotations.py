"""What rotated vectors are off by: each component, scores under a common shift, keys rotated again
and again, and attention logits. For measure.py.

Vectors are random, in the type that is measured, from there on exact: the oracle rotates the same
ones. Scores and errors are in float64.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

import torch_rope
from accuracy.sides import (
    FREQUENCIES,
    HEAD_DIM,
    ROTATIONS,
    Rotate,
    exact,
    transformers_rotate,
)

Curve = dict[int, float]  # position, shift, length or number of steps → error
DTYPES = (torch.float32, torch.bfloat16)

WINDOW = 128  # positions just below an edge
HEADS = 8
SHIFTS = tuple(2**exponent for exponent in range(25))
DISTANCE = 64
UNIFORM = 12  # each has a variance of 1/12
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
CACHED_BELOW = 2**17  # where the re-rotated keys were
LENGTHS = (4096, 32768, 131072, 2**20, 10_000_000)
QUERIES, KEYS = 64, 8192

Errors = Callable[[torch.dtype, Sequence[int]], Mapping[str, Curve]]


def by_type(measured: Errors, at: Sequence[int]) -> dict[torch.dtype, Mapping[str, Curve]]:
    return {dtype: measured(dtype, at) for dtype in DTYPES}


def random(tokens: int, heads: int, dtype: torch.dtype, seed: int) -> Tensor:
    """(1, tokens, heads, HEAD_DIM), of variance 1 and nearly normal: sums of UNIFORM integers.

    float32 holds these exactly, so every processor makes the same; torch.randn's differ by an ulp.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (1, tokens, heads, HEAD_DIM)
    drawn = (torch.randint(-(2**15), 2**15, shape, generator=generator) for _ in range(UNIFORM))
    return (sum(drawn, torch.zeros(shape, dtype=torch.int64)).float() / 2**16).to(dtype)


def norms(x: Tensor) -> Tensor:
    """Of each component's pair."""
    return torch.hypot(*x.double().chunk(2, dim=-1)).tile(2)


def rotated_errors(dtype: torch.dtype, edges: Sequence[int]) -> dict[str, Curve]:
    """Largest |component - exact| / |its pair|, of up to WINDOW positions just below each edge."""
    curves: dict[str, Curve] = {name: {} for name in ROTATIONS}
    for edge in edges:
        positions = torch.arange(max(0, edge - WINDOW), edge)
        x = random(len(positions), HEADS, dtype, seed=edge)
        right, norm = exact(x, positions), norms(x)
        for name, rotate in ROTATIONS.items():
            off = (rotate(x, positions).double() - right).abs() / norm
            curves[name][edge] = float(off.max())
    return curves


def relative_errors(dtype: torch.dtype, shifts: Sequence[int]) -> dict[str, Curve]:
    """Largest |<R(m)q, R(n)k> - <R(m+s)q, R(n+s)k>| / |q| |k|, for each s in shifts.

    n is 0 … WINDOW - 1 and m is n + DISTANCE.
    """
    q, k = (random(WINDOW, HEADS, dtype, seed) for seed in (1, 2))
    n = torch.arange(WINDOW)
    size = q.double().norm(dim=-1) * k.double().norm(dim=-1)

    def scores(rotate: Rotate, shift: int) -> Tensor:
        rotated = rotate(q, n + DISTANCE + shift).double() * rotate(k, n + shift).double()
        return rotated.sum(dim=-1) / size

    def largest(rotate: Rotate, shift: int) -> float:
        return float((scores(rotate, shift) - scores(rotate, 0)).abs().max())

    return {
        name: {shift: largest(rotate, shift) for shift in shifts}
        for name, rotate in ROTATIONS.items()
    }


def drift(dtype: torch.dtype, steps: Sequence[int]) -> dict[str, Curve]:
    """Root mean square of |component - exact| / |its pair| of keys moved on by so many positions:
    one at a time, each result rounded to the type, or at once.
    """
    generator = torch.Generator().manual_seed(3)
    old = torch.randint(CACHED_BELOW, (WINDOW,), generator=generator)
    keys = torch_rope.rotate(random(WINDOW, HEADS, dtype, 3), old, inv_freq=FREQUENCIES)
    norm = norms(keys)
    one = torch.ones_like(old)

    def error(moved: Tensor, count: int) -> float:
        off = (moved.double() - exact(keys, count * one)) / norm
        return float(off.square().mean().sqrt())

    def rerotated(x: Tensor, start: Tensor, end: Tensor) -> Tensor:
        moved = x.clone()
        torch_rope.rerotate(moved, start, end, old_inv_freq=FREQUENCIES)
        return moved

    def repeated(step: Callable[[Tensor, int], Tensor]) -> Curve:
        curve, moved = {}, keys
        for count in range(1, steps[-1] + 1):
            moved = step(moved, count)
            if count in steps:
                curve[count] = error(moved, count)
        return curve

    return {
        "transformers' function, one position at a time": repeated(
            lambda x, _: transformers_rotate(x, one)
        ),
        "torch_rope.rerotate, one position at a time": repeated(
            lambda x, count: rerotated(x, old + count - 1, old + count)
        ),
        "torch_rope.rerotate, at once": {
            count: error(rerotated(keys, old, old + count), count) for count in steps
        },
    }


def logit_errors(lengths: Sequence[int]) -> dict[str, Curve]:
    """Root mean square error of q·k / sqrt(HEAD_DIM), which has unit variance, with q and k in
    bfloat16 before and after the rotation: the queries among a context's last WINDOW positions, the
    keys anywhere in it.
    """
    q, k = random(QUERIES, 1, torch.bfloat16, 4), random(KEYS, 1, torch.bfloat16, 5)
    curves: dict[str, Curve] = {name: {} for name in ROTATIONS}
    for length in lengths:
        generator = torch.Generator().manual_seed(length)
        late = torch.randint(length - WINDOW, length, (QUERIES,), generator=generator)
        anywhere = torch.randint(length, (KEYS,), generator=generator)

        def logits(rotate: Rotate, late: Tensor = late, anywhere: Tensor = anywhere) -> Tensor:
            rotated = rotate(q, late).double()[0, :, 0], rotate(k, anywhere).double()[0, :, 0]
            return rotated[0] @ rotated[1].T / math.sqrt(HEAD_DIM)

        right = logits(exact)
        for name, rotate in ROTATIONS.items():
            curves[name][length] = float((logits(rotate) - right).square().mean().sqrt())
    return curves
