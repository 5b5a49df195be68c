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
"""

from __future__ import annotations

import torch
from torch import Tensor

import torch_rope
from benchmarks.cpu.call import Call
from benchmarks.cpu.cases import Pair, Workload

ALLOWED_ROUNDOFFS = 3.2
SMALLEST_NORM = 2.0**-9
CHECKED_TOKENS = 16


class Wrong(Exception):
    """A result that rounding cannot explain."""


def allowed_error(dtype: torch.dtype) -> float:
    """As a fraction of the norm of the pair."""
    return ALLOWED_ROUNDOFFS * torch.finfo(dtype).eps / 2


def verify(call: Call, work: Workload, *, exact: bool) -> None:
    """Runs the call on the workload's first values. exact: its result must be these values."""
    work.reset()
    call.run()
    error = largest_error(call.result(), work, rotated=not exact)
    allowed = 0.0 if exact else allowed_error(work.case.dtype)
    if not error <= allowed:
        raise Wrong(f"off by {error:.3g} of a pair's norm, where rounding explains {allowed:.3g}")


def largest_error(result: Pair, work: Workload, *, rotated: bool) -> float:
    """Over the components of some first and last tokens, as a fraction of the pair's norm; for
    components outside any pair, of their own size."""
    tokens = torch.arange(work.case.tokens)
    tokens = torch.cat((tokens[:CHECKED_TOKENS], tokens[CHECKED_TOKENS:][-CHECKED_TOKENS:]))
    errors = []
    for x, y in zip(work.original, result, strict=True):
        given, got = x[:, tokens].double(), y[:, tokens].double()
        expected = _reference(given, work, work.pos[tokens]) if rotated else given
        norms = _norms(given, work).clamp(min=SMALLEST_NORM)
        errors.append(((got - expected).abs() / norms).nan_to_num(nan=torch.inf).max())
    return float(torch.stack(errors).max())


def _reference(x: Tensor, work: Workload, pos: Tensor) -> Tensor:
    interleaved = work.case.interleaved
    return torch_rope.reference.rotate(x, pos, inv_freq=work.inv_freq, interleaved=interleaved)


def _norms(x: Tensor, work: Workload) -> Tensor:
    """Of every component's pair."""
    rotary_dim = work.case.rotary_dim
    rotated, rest = x[..., :rotary_dim], x[..., rotary_dim:]
    # (…, 2, n) or (…, n, 2): the partners' dimension is summed over and comes back by expanding.
    extents, dim = ((-1, 2), -1) if work.case.interleaved else ((2, rotary_dim // 2), -2)
    pairs = rotated.unflatten(-1, extents)
    norms = torch.linalg.vector_norm(pairs, dim=dim, keepdim=True).expand_as(pairs).flatten(-2)
    return torch.cat((norms, rest.abs()), dim=-1)
