"""The oracle of the test_exact_*.py files: rotations through mpmath with 300 bits, and turns.

Shares no code with the kernels or with torch_rope.reference. An angle p * f is exact in 300 bits: p
has 64 of them and f 53; mpmath then takes as many bits of pi as the angle's size asks for.
"""

import functools

import mpmath
import torch

PRECISION = 300
# The largest float64 is 2^1024, turns end 2^-64 below one, and no frequency is nearer than 2^-70 of
# that to the middle of two (test_exact_turns.py): 1,158 bits and some to spare.
TURNS_PRECISION = 1300


def signed(word):
    """Returns an integer modulo 2^64 as an int64 has it."""
    return (word + 2**63) % 2**64 - 2**63


@functools.cache
def turns(frequency):
    """Returns round(f / 2 pi * 2^64) modulo 2^64, as an int64."""
    with mpmath.workprec(TURNS_PRECISION):
        return signed(int(mpmath.nint(mpmath.ldexp(mpmath.mpf(frequency), 63) / mpmath.pi)))


@functools.cache
def cos_sin(position, frequency):
    """Returns cosine and sine of p * f, each the nearest float64; an mpf is a frequency too."""
    with mpmath.workprec(PRECISION):
        c, s = mpmath.mp.cos_sin(mpmath.mpf(position) * mpmath.mpf(frequency))
        return float(c), float(s)


@functools.cache
def cos_sin_of_turns(phase):
    """Returns cosine and sine of phase * 2^-64 turns, each the nearest float64."""
    with mpmath.workprec(PRECISION):
        c, s = mpmath.mp.cos_sin(mpmath.ldexp(mpmath.pi * phase, -63))
        return float(c), float(s)


def angles(positions, frequencies):
    """Returns float64 cosines and sines, (S, n) each, of S positions and n frequencies.

    Both are sequences of Python numbers, a frequency in turns as TurnsPerPosition.
    """
    pairs = [[_angle(p, f) for f in frequencies] for p in positions]
    both = torch.tensor(pairs, dtype=torch.float64)
    return both[..., 0], both[..., 1]


class TurnsPerPosition(int):
    """A frequency that is given as its 64-bit word of turns, and is exactly that."""


def _angle(position, frequency):
    if isinstance(frequency, TurnsPerPosition):
        return cos_sin_of_turns(signed(position * frequency))
    return cos_sin(position, frequency)


def rotate(x, cos, sin, *, interleaved=False, factor=1.0):
    """Returns x, (B, S, H, 2n), rotated in float64: within 2^-51 * factor * |pair| of exact.

    cos and sin, (S, n), are within 2^-54, together 1.42 * 2^-54 * |pair|; factor times them, the
    two products and their sum are each rounded, by 2^-53 * |pair| at most.
    """
    wide = x.double()
    real, imaginary = (wide[..., ::2], wide[..., 1::2]) if interleaved else wide.chunk(2, dim=-1)
    c, s = factor * cos[:, None], factor * sin[:, None]
    first, second = real * c - imaginary * s, real * s + imaginary * c
    if interleaved:
        return torch.stack((first, second), dim=-1).flatten(-2)
    return torch.cat((first, second), dim=-1)
