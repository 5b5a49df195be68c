"""Whether a provider rotates at all: its result against torch_rope.reference (float64).

For providers.py and the test. What is timed but wrong would be worth nothing.

With u the unit roundoff of q's type, a pair (x, y) and its norm, whoever computes x c - y s in that
type or wider is off by at most

    c and s are within 0.75 * 2^-24 of the exact values (the table)      1.07 * 2^-24 norm
    c and s are rounded to q's type                                      u (|x c| + |y s|) <= u norm
    x c and y s are rounded                                              u norm
    the sum is rounded                                                   u norm

which is 3.1 u norm with the terms of second order, in the 16-bit types; in float32 the second line
is part of the first, and it is again 3.1 u norm. torch_rope rounds a float32 result to q's type:
less than that. Products and sums in the subnormal range are off by half the smallest subnormal
each, three times 2^-25 in float16: at most 0.1 u norm where the norm is 2^-9 or more, and where it
is less, the error is held against 2^-9. So a result is wrong where it is off by more than 3.2 u.

A gradient is the rotation back, with the same products and sums, and the bound is the same.

Whoever makes the angle p f in float32 himself is off by more, and only he is allowed that: each
rounding on the way to the angle moves it by at most 2^-24 p f, which moves the result by as much of
its norm, f <= 1 being the largest frequency. float32's cos and sin are within 2 ulp of those of the
angle, 2^-23 each, which is less than 2^-22.4 norm for both.
"""

from __future__ import annotations

import math
from enum import Enum

import torch
from torch import Tensor

import torch_rope
from benchmarks.cpu.call import Call
from benchmarks.cpu.workload import Pair, Workload

ALLOWED_ROUNDOFFS = 3.2
ALLOWED_COS_SIN = 2.0**-22.4
SMALLEST_NORM = 2.0**-9
CHECKED_TOKENS = 16


class Wrong(Exception):
    """A result that rounding cannot explain."""


class Expected(Enum):
    """What a call makes of the workload's q and k."""

    ROTATED = "rotated"
    UNCHANGED = "unchanged"
    ROTATED_BACK = "rotated back"  # a gradient, of which q and k are the gradients given


def allowed_error(dtype: torch.dtype) -> float:
    """As a fraction of the norm of the pair."""
    return ALLOWED_ROUNDOFFS * torch.finfo(dtype).eps / 2


def verify(call: Call, work: Workload, expected: Expected, angle_roundings: int = 0) -> None:
    """Runs the call on the workload's first values. angle_roundings: how often a provider rounds an
    angle to float32 that it makes itself."""
    work.reset()
    with call.setting():
        call.run()
    worst = largest_excess(call.result(), work, expected, angle_roundings)
    if not worst <= 1.0:
        raise Wrong(f"off by {worst:.3g} times the part of a pair's norm that rounding explains")


def largest_excess(
    result: Pair, work: Workload, expected: Expected, angle_roundings: int = 0
) -> float:
    """The largest error over the allowed one, of the components of some first and last tokens. An
    error is a fraction of the pair's norm; for components outside any pair, of their own size."""
    tokens = torch.arange(work.case.tokens)
    tokens = torch.cat((tokens[:CHECKED_TOKENS], tokens[CHECKED_TOKENS:][-CHECKED_TOKENS:]))
    pos = work.pos[..., tokens]
    allowed = _allowed(work, pos, angle_roundings)
    ratios = []
    for x, y in zip(work.original, result, strict=True):
        given, got = x[:, tokens % x.shape[1]].double(), y[:, tokens].double()
        if expected is Expected.UNCHANGED:
            ratios.append(0.0 if torch.equal(given, got) else math.inf)
            continue
        exact = _reference(given, work, pos, expected)
        errors = (got - exact).abs() / _norms(given, work).clamp(min=SMALLEST_NORM)
        ratios.append(float((errors / allowed).nan_to_num(nan=math.inf).max()))
    return max(ratios)


def _allowed(work: Workload, pos: Tensor, angle_roundings: int) -> Tensor:
    """(…, S, 1, 1), to go with (B, S, H, D)."""
    rounding = torch.full(pos.shape, allowed_error(work.case.dtype), dtype=torch.float64)
    if angle_roundings:
        rounding += angle_roundings * 2.0**-24 * pos.double() + ALLOWED_COS_SIN
    return rounding[..., None, None]


def _reference(x: Tensor, work: Workload, pos: Tensor, expected: Expected) -> Tensor:
    return torch_rope.reference.rotate(
        x,
        pos,
        inv_freq=work.inv_freq,
        interleaved=work.case.interleaved,
        rotary_offset=work.case.rotary_offset,
        inverse=expected is Expected.ROTATED_BACK,
    )


def _norms(x: Tensor, work: Workload) -> Tensor:
    """Of every component's pair."""
    case = work.case
    first = case.rotary_offset
    before, rotated, after = x.tensor_split((first, first + case.rotary_dim), dim=-1)
    # (…, 2, n) or (…, n, 2): the partners' dimension is summed over and comes back by expanding.
    extents, dim = ((-1, 2), -1) if case.interleaved else ((2, case.rotary_dim // 2), -2)
    pairs = rotated.unflatten(-1, extents)
    norms = torch.linalg.vector_norm(pairs, dim=dim, keepdim=True).expand_as(pairs).flatten(-2)
    return torch.cat((before.abs(), norms, after.abs()), dim=-1)
