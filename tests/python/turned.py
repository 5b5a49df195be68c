"""Angles and rotations in numpy's float64, for tests that write a model's angles themselves.

With u = 2^-24, as bounds.py derives: 3.1 u of a pair, 5.1 u with an attention factor, and the
rounding of the frequencies, 2^-65 turn times the position. The angles themselves come by three
roundings of at most 2^-52 for each axis, which is less than 2^-50 of their size.
"""

import math

import numpy as np
from cases import same_bits

UNIT = 2.0**-24


def powers(dim, base):
    return base ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)


def split(dim, start=0):
    """Where the first and the second component of each pair are."""
    return np.arange(start, start + dim // 2), np.arange(start + dim // 2, start + dim)


def interleaved(dim, start=0):
    return np.arange(start, start + dim, 2), np.arange(start + 1, start + dim, 2)


def assert_turned(result, x, angles, pairs, *, factor=1.0, largest=2**20, angle_error=0.0):
    """x, (1, T, H, D), was turned by angles, (T, n), and everything outside the pairs kept.

    largest: of |p| in the unit it is counted in. factor: a number, or one for each token.
    """
    before, after = (t.cpu().double().numpy()[0] for t in (x, result))
    first, second = pairs
    factor = np.broadcast_to(factor, len(angles))[:, None, None]
    complex_pairs = factor * (before[..., first] + 1j * before[..., second])
    error = (after[..., first] + 1j * after[..., second]) - complex_pairs * np.exp(
        1j * angles[:, None]
    )
    roundings = np.where(factor == 1.0, 3.1, 5.1) * UNIT
    phase = largest * 2 * math.pi * 2.0**-65 + np.abs(angles) * 2.0**-50 + angle_error
    allowed = np.abs(complex_pairs) * (roundings + phase[:, None])
    assert (np.maximum(np.abs(error.real), np.abs(error.imag)) <= allowed).all()
    rest = np.setdiff1d(np.arange(x.shape[-1]), np.concatenate(pairs))
    assert same_bits(result[..., rest].cpu(), x[..., rest].cpu())
