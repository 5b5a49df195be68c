"""Coordinates between the integers, counted in a finer unit: the phase stays integer arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor

_MOST_BITS = 62
# Beyond it a position loses more than 2^-27 turn to the rounding of the frequency.
_LARGEST = 2**38


def fixed_point(x: Tensor, bits: int = 30) -> Tensor:
    """Returns round(x * 2^bits) as int64: positions for a schedule scaled by 2^-bits.

    x: floating-point or integer coordinates of any shape, |x| * 2^bits <= 2^38; halves are rounded
    to even. Use it as ``rotate(q, fixed_point(x), **schedule.scaled(2.0**-30).kwargs())``.

    TypeError for other types, ValueError for bits outside 0 ... 62 and, on the CPU, for coordinates
    that are not finite or too large (another device is not waited for).
    """
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"fixed_point: x must hold real numbers, got {x.dtype}")
    if not 0 <= bits <= _MOST_BITS:
        raise ValueError(f"fixed_point: bits must be between 0 and {_MOST_BITS}, got {bits}")
    scaled = x.detach().double() * 2.0**bits
    if scaled.device.type == "cpu":
        wrong = x[~(scaled.abs() <= _LARGEST)]
        if wrong.numel() > 0:
            raise ValueError(
                f"fixed_point: |x| * 2^bits must be at most 2^38, got x = {wrong[0].item()} and"
                f" bits = {bits}"
            )
    return scaled.round().long()
