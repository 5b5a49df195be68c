"""The operators end to end against mpmath with 300 bits: guarantee 1 of docs/numerics.md.

    |result - exact| <= 1/2 ulp(result's type)
                        + (3.1 * 2^-24 + |p| * 2 pi * 2^-65) * |pair| + 1/2 smallest subnormal

element by element, exact being the rotation by p * f for the given float32 or float64 f, times the
attention factor. In units of 2^-24 and of |pair|, the norm of the pair (x, y):

    0.75 * sqrt(2) = 1.07   cos and sin are each within 0.75 (cos_sin_exhaustive_test.cpp), and
                            |x| + |y| <= sqrt(2) |pair|
    1                       y * sin is rounded: half an ulp is at most 2^-24 of it
    1                       fma(x, cos, -y * sin) is rounded: it is at most |pair| in magnitude
    0.03                    the second order: 0.75 * 2^-24 of the roundings, far below

together 3.1. With an attention factor m, m is rounded to float32 and its product with cos or sin is
rounded again: at most 1 each for m * |pair| (of the row's pair (cos, sin), whose norm is 1), so
5.1 * m. F, the frequency in 64-bit turns, is within half a unit, 2^-65 turns, of the exact one;
p * F modulo 2^64 is exact: |p| * 2 pi * 2^-65 radians, times |pair|, whatever p is. Where turns are
given there is no such term. The result is rounded to its type once; bounds.py adds the oracle's own
2^-49 and has the terms in code.

Positions of 2^20 and more take inv_freq as given: base stands for a float64, and p times what that
differs from the real power is no longer small.
"""

import functools
import math

import exact
import half_way
import mpmath
import pytest
import torch
from backends import BACKENDS, PLACES, running_on
from bounds import assert_within, error_bound
from cases import DTYPES, PAIRINGS, random, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from worst_ratios import record

import torch_rope

BASES = [1e4, 5e5, 1e6, 1e7]
PAIRS = 24
FACTOR = 1.2079441541679836

# The extremes, then a thousandth of each power of two, with both signs.
SPREAD = [(1 << k) + (1 << k) // 1000 for k in range(4, 63, 3)]
POSITIONS = [0, 1, -1, 2, 3, 100, 4095, 131072, 2**20 + 1]
POSITIONS += [sign * 2**31 + near for sign in (1, -1) for near in (-2, -1, 0, 1, 2)]
POSITIONS += [2**63 - 1, -(2**63), 2**62, 2**53 + 1, -(2**53) - 1]
POSITIONS += [sign * p for p in SPREAD for sign in (1, -1)]


@functools.cache
def power(base, exponent):
    with mpmath.workprec(exact.PRECISION):
        return mpmath.mpf(base) ** exponent


@functools.cache
def powers(base, rotary_dim):
    """The real base^(-2i / rotary_dim)."""
    with mpmath.workprec(exact.PRECISION):
        exponents = [mpmath.mpf(-2 * i) / rotary_dim for i in range(rotary_dim // 2)]
    return [power(base, exponent) for exponent in exponents]


def of_bases(dtype):
    values = [float(f) for base in BASES for f in powers(base, 2 * PAIRS)]
    return torch.tensor(values, dtype=torch.float64).to(dtype)


def of_any_kind(dtype):
    """Zero, subnormal, huge and negative ones, multiples of pi, and hard to round ones."""
    info = torch.finfo(dtype)
    values = [0.0, -0.0, info.smallest_normal * info.eps, -info.smallest_normal / 3, 2.0**-66]
    values += [info.max, -info.max / 3, 1.0, -2.5, 1e22, 1e-9, -(2.0**30)]
    values += [sign * math.pi * k for k in (0.5, 1, 2, 1000) for sign in (1, -1)]
    bits = 53 if dtype == torch.float64 else 24
    values += [math.ldexp(half_way.nearest(e, bits, True)[1], e) for e in (-80, -53, -20, 60)]
    return torch.tensor(values, dtype=torch.float64).to(dtype)


WORDS = [0, 1, -1, 2**61, 2**62, -(2**63), 2**63 - 1, 0x0123456789ABCDEF, -0x7654321FEDCBA987]

FREQUENCIES = {
    "bases-f64": of_bases(torch.float64),
    "bases-f32": of_bases(torch.float32),
    "any-f64": of_any_kind(torch.float64),
    "any-f32": of_any_kind(torch.float32),
    "turns": torch.tensor(WORDS),
}


def numbers(inv_freq):
    """The frequencies as the oracle takes them."""
    exactly = exact.TurnsPerPosition if inv_freq.dtype == torch.int64 else float
    return [exactly(f) for f in inv_freq.tolist()]


def tables(positions, inv_freq, factor=1.0):
    """A row for each of the positions, whatever they are: (S, 2n)."""
    make = functools.partial(torch_rope.cos_sin_table, inv_freq, 1, attention_factor=factor)
    return torch.cat([make(start=p) for p in positions])


def rotated(x, positions, inv_freq, place, *, table, factor, interleaved):
    """Runs the operator on x, (B, S, H, D); table: on one that has the rows of the positions."""
    keywords = {"attention_factor": factor, "interleaved": interleaved}
    with running_on(place) as device:
        x, inv_freq = x.to(device), inv_freq.to(device)
        if table:
            rows = tables(positions, inv_freq, factor)
            return torch_rope.rotate(x, cos_sin=rows, **keywords).cpu()
        pos = torch.tensor(positions, device=device)
        return torch_rope.rotate(x, pos, inv_freq=inv_freq, **keywords).cpu()


def judge(result, x, positions, inv_freq, *, factor, interleaved, angle_error=0.0):
    """Fails outside guarantee 1; returns the ratios of error to bound, (B, S, H, 2n)."""
    frequencies = inv_freq if isinstance(inv_freq, list) else numbers(inv_freq)
    cos, sin = exact.angles(positions, frequencies)
    in_turns = isinstance(frequencies[0], exact.TurnsPerPosition)
    magnitudes = torch.tensor([0.0 if in_turns else abs(float(p)) for p in positions])
    y = exact.rotate(x, cos, sin, interleaved=interleaved, factor=factor)
    bound = error_bound(
        x,
        y,
        rotary_dim=2 * len(frequencies),
        interleaved=interleaved,
        largest_position=magnitudes.double()[:, None, None],
        factor=factor,
        angle_error=angle_error,
    )
    return assert_within(result, y, bound)


def keep(record_property, name, positions, ratios):
    """Positions in 32 bits apart: beyond, the frequency's rounding is most of the bound."""
    near = torch.tensor([abs(p) <= 2**31 for p in positions])
    record(record_property, f"{name}, |p| <= 2^31", ratios[:, near].max())
    record(record_property, f"{name}, any p", ratios.max())


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("factor", [1.0, FACTOR], ids=["plain", "factor"])
@pytest.mark.parametrize("table", [False, True], ids=["computed", "table"])
@pytest.mark.parametrize("inv_freq", FREQUENCIES.values(), ids=FREQUENCIES)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
def test_rotation(place, dtype, interleaved, inv_freq, table, factor, record_property):
    shape = (1, len(POSITIONS), 1, 2 * len(inv_freq))
    x = random(*shape, dtype=dtype, device="cpu")
    options = {"factor": factor, "interleaved": interleaved}
    result = rotated(x, POSITIONS, inv_freq, place, table=table, **options)
    ratios = judge(result, x, POSITIONS, inv_freq, **options)
    name = name_of(dtype) + ("" if factor == 1.0 else " with a factor")
    keep(record_property, name, POSITIONS, ratios)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_base(device, dtype, interleaved, base):
    """Against the real powers: the float64 nearest to one is within 2^-53 of it, relatively, and
    none is above 1, so that the angle is off by at most |p| * 2^-53 more.
    """
    positions = [p for p in POSITIONS if abs(p) < 2**20]
    x = random(1, len(positions), 1, 2 * PAIRS, dtype=dtype, device="cpu")
    pos = torch.tensor(positions, device=device)
    result = torch_rope.rotate(x.to(device), pos, base=base, interleaved=interleaved)
    judge(
        result.cpu(),
        x,
        positions,
        powers(base, 2 * PAIRS),
        factor=1.0,
        interleaved=interleaved,
        angle_error=pos.cpu().abs().double()[:, None, None] * 2.0**-53,
    )


SOME_POSITIONS = st.one_of(
    st.sampled_from(POSITIONS),
    st.integers(-(2**20), 2**20),
    st.integers(-(2**31) - 16, 2**31 + 16),
    st.integers(-(2**63), 2**63 - 1),
)


def some_frequencies(width):
    """As a tensor: any finite ones, ordinary ones (which are rare among those), or turns."""
    finite = st.floats(width=width, allow_nan=False, allow_infinity=False)
    ordinary = st.floats(-8, 8, width=width)
    dtype = torch.float64 if width == 64 else torch.float32
    return st.lists(st.one_of(finite, ordinary), min_size=1, max_size=6).map(
        lambda values: torch.tensor(values, dtype=dtype)
    )


SOME_WORDS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6).map(torch.tensor)

# Powers of two that x is multiplied by: down to subnormals, up to where the result stays finite.
MAGNITUDES = {torch.float32: (-149, 123), torch.bfloat16: (-133, 123), torch.float16: (-24, 11)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_anything(dtype, record_property):
    worst = {}
    smallest, largest = MAGNITUDES[dtype]

    @settings(deadline=None, derandomize=True, database=None, max_examples=1000)
    @given(
        inv_freq=st.one_of(some_frequencies(64), some_frequencies(32), SOME_WORDS),
        positions=st.lists(SOME_POSITIONS, min_size=1, max_size=6),
        magnitude=st.one_of(st.just(0), st.integers(smallest, largest)),
        seed=st.integers(0, 999),
        place=st.sampled_from(BACKENDS),
        table=st.booleans(),
        interleaved=st.booleans(),
        # Up to 2, which MAGNITUDES allows for.
        factor=st.one_of(st.just(1.0), st.floats(0.03125, 2.0)),
    )
    def holds(inv_freq, positions, magnitude, seed, place, table, interleaved, factor):
        shape = (1, len(positions), 2, 2 * len(inv_freq))
        unit = random(*shape, dtype=torch.float64, device="cpu", seed=seed).clamp(-4, 4)
        x = (unit * 2.0**magnitude).to(dtype)
        options = {"factor": factor, "interleaved": interleaved}
        result = rotated(x, positions, inv_freq, place, table=table, **options)
        ratios = judge(result, x, positions, inv_freq, **options)
        worst[dtype] = max(worst.get(dtype, 0.0), ratios.max().item())

    holds()
    record(record_property, f"{name_of(dtype)}, drawn by hypothesis", worst[dtype])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("inv_freq", FREQUENCIES.values(), ids=FREQUENCIES)
def test_table_values(place, inv_freq, record_property):
    """Within 0.75 * 2^-24, and F's rounding: closer than a rotation by them can show."""
    with running_on(place) as device:
        rows = tables(POSITIONS, inv_freq.to(device)).cpu()
    exactly = torch.cat(exact.angles(POSITIONS, numbers(inv_freq)), dim=-1)
    positions = torch.tensor([abs(float(p)) for p in POSITIONS], dtype=torch.float64)[:, None]
    phase = 0.0 if inv_freq.dtype == torch.int64 else positions * 2 * math.pi * 2.0**-65
    bound = (0.75 * 2.0**-24 + 2.0**-54 + phase) * torch.ones_like(exactly)
    ratios = assert_within(rows, exactly, bound)
    keep(record_property, "cos and sin", POSITIONS, ratios[None])


def test_the_backends_differ_in_nothing():
    x = random(1, len(POSITIONS), 2, 2 * len(WORDS), dtype=torch.float32, device="cpu")
    options = {"table": False, "factor": FACTOR, "interleaved": False}
    results = [rotated(x, POSITIONS, FREQUENCIES["turns"], name, **options) for name in BACKENDS]
    assert all(same_bits(result, results[0]) for result in results)
