"""The error bound that results are judged by, as docs/numerics.md derives it (guarantee 1).

With u = 2^-24 and a pair (x, y) rotated in float32 as x' = fma(x, c, -(y * s)):

    c and s are within 0.75 u of the exact values    |x| 0.75 u + |y| 0.75 u <= 1.07 u |pair|
    y * s is rounded                                                            1 u |pair|
    the fma is rounded                                                          1 u |pair|

which is 3.07 u, and 3.1 u with the terms of second order. An attention factor m is rounded to
float32, and multiplied in float32: 1 u each, so 5.1 m u. The frequency in turns is rounded to
2^-65 turn, which position p makes |p| * 2 pi * 2^-65 radians. The sum is rounded once to the
output's type: half an ulp of a value that is off by the terms above; in the subnormal range of the
type or of float32, half the smallest subnormal. The oracle adds its own 2^-49 |pair|.
"""

import math

import torch

FLOAT32_UNIT = 2.0**-24
ORACLE_UNIT = 2.0**-49


def ulp(magnitude, dtype):
    """Returns the distance of adjacent numbers of the type at a float64 magnitude."""
    info = torch.finfo(dtype)
    exponent = torch.frexp(magnitude.clamp(min=info.tiny)).exponent - 1
    return torch.ldexp(torch.full_like(magnitude, info.eps), exponent)


def pair_norms(x, rotary_dim, interleaved):
    """Returns, for every component of x, the norm of its pair: 0 outside the first rotary_dim."""
    rotated = x[..., :rotary_dim].double()
    real, imaginary = (
        (rotated[..., ::2], rotated[..., 1::2]) if interleaved else rotated.chunk(2, dim=-1)
    )
    norm = torch.hypot(real, imaginary)
    norms = torch.stack((norm, norm), dim=-1).flatten(-2) if interleaved else norm.tile(2)
    return torch.nn.functional.pad(norms, (0, x.shape[-1] - rotary_dim))


def error_bound(
    x, exact, *, rotary_dim, interleaved=False, largest_position=0, factor=1.0, angle_error=0.0
):
    """Returns the largest allowed |result - exact|, elementwise, for the input x of an operator.

    largest_position: of |p|, summed over the axes. angle_error: what the oracle's angle may be off
    by, in radians. Both are numbers, or float64 tensors that broadcast to x.
    """
    unit = 3.1 * FLOAT32_UNIT if factor == 1.0 else 5.1 * factor * FLOAT32_UNIT
    phase = factor * (largest_position * 2 * math.pi * 2.0**-65 + angle_error)
    inner = (unit + phase + factor * ORACLE_UNIT) * pair_norms(x, rotary_dim, interleaved)
    step = ulp(exact.abs() + inner, x.dtype)
    smallest_subnormal = torch.finfo(x.dtype).tiny * torch.finfo(x.dtype).eps
    return inner + step / 2 + smallest_subnormal / 2


def assert_within(actual, exact, bound):
    """Fails where |actual - exact| exceeds the bound, and names the worst element.

    Returns the ratios of error to bound, elementwise.
    """
    assert actual.shape == exact.shape
    error = (actual.double() - exact).abs()
    ratio = torch.where(error == 0, 0.0, error / bound).nan_to_num(nan=math.inf)
    if actual.numel() == 0:
        return ratio
    worst = int(ratio.argmax())
    assert (error <= bound).all(), (
        f"element {worst} of {tuple(actual.shape)}: got {actual.flatten()[worst].item()!r}, exactly"
        f" {exact.flatten()[worst].item()!r}, error {error.flatten()[worst].item():.3g}, allowed"
        f" {bound.flatten()[worst].item():.3g}"
    )
    return ratio
