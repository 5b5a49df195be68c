"""Frequency to turns to phase, exact to the last bit: against mpmath with 1,300 bits.

No tolerance: turns are round(f / 2 pi * 2^64) modulo 2^64, and a phase is their product with a
position, modulo 2^64. What comes nearest to being rounded the wrong way is searched for.
"""

import functools
import math

import exact
import half_way
import pytest
import torch
from cases import DTYPES, random, same_bits
from hypothesis import example, given, settings
from hypothesis import strategies as st

FREE = settings(deadline=None, derandomize=True, database=None)
INT64 = st.integers(-(2**63), 2**63 - 1)

# Bits of the mantissa, exponents of m * 2^e from 2^-63 (turns of 1/4) on, and the type.
FORMATS = [
    pytest.param(53, range(-115, 972), torch.float64, id="f64"),
    pytest.param(24, range(-86, 105), torch.float32, id="f32"),
]


def turns(frequencies, dtype, device="cpu"):
    return torch.ops.rope.turns(torch.tensor(frequencies, dtype=dtype, device=device)).tolist()


def exact_turns(frequencies):
    return [exact.turns(f) for f in frequencies]


KINDS = {
    "zero": 0.0,
    "minus-zero": -0.0,
    "one": 1.0,
    "tenth": 0.1,
    "pi": math.pi,
    "two-pi": 2 * math.pi,
    "integer": 12345.0,
    "below-half-a-unit": math.nextafter(math.ldexp(math.pi, -64), 0.0),
    "above-half-a-unit": math.ldexp(math.pi, -64) * (1 + 2.0**-23),
    "f32-smallest-subnormal": 2.0**-149,
    "f32-largest-subnormal": 2.0**-126 - 2.0**-149,
    "f32-smallest-normal": 2.0**-126,
    "f32-largest": 2.0**128 - 2.0**104,
    "f64-smallest-subnormal": 5e-324,
    "f64-largest-subnormal": math.nextafter(2.0**-1022, 0.0),
    "f64-smallest-normal": 2.0**-1022,
    "f64-largest": 1.7976931348623157e308,
    "two-to-the-64": 2.0**64,
}


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["positive", "negative"])
@pytest.mark.parametrize("frequency", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
def test_every_kind(device, dtype, frequency, sign):
    frequency = torch.tensor(sign * frequency, dtype=dtype)
    if frequency.isinf():
        frequency = torch.nextafter(frequency, torch.zeros_like(frequency))
    assert turns([frequency.item()], dtype, device) == [exact.turns(frequency.item())]


@pytest.mark.parametrize("width", [64, 32])
def test_any_finite_frequency(width):
    dtype = torch.float64 if width == 64 else torch.float32

    @settings(FREE, max_examples=300)
    @given(st.lists(st.floats(width=width, allow_nan=False, allow_infinity=False), min_size=1))
    def holds(frequencies):
        assert turns(frequencies, dtype) == exact_turns(frequencies)

    holds()


@functools.cache
def worst_cases(bits, exponents):
    """(distance to half-way, frequency) of the worst above and the worst below, per exponent."""
    found = [(half_way.nearest(e, bits, above), e) for e in exponents for above in (False, True)]
    return [(near[0], math.ldexp(near[1], e)) for near, e in found if near is not None]


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["positive", "negative"])
@pytest.mark.parametrize(("bits", "exponents", "dtype"), FORMATS)
def test_nearest_to_half_way_of_every_exponent(device, bits, exponents, dtype, sign):
    frequencies = [sign * frequency for _, frequency in worst_cases(bits, exponents)]
    assert len(frequencies) > 1.9 * len(exponents)
    assert turns(frequencies, dtype, device) == exact_turns(frequencies)


# tests/cpp/turns_test.cpp holds the same ones.
@pytest.mark.parametrize(
    ("bits", "exponents", "worst", "distance"),
    [
        pytest.param(53, range(-115, 972), "0x1.6ac5b262ca1ffp+786", 2.0**-62.5, id="f64"),
        pytest.param(24, range(-86, 105), "0x1.a9d0e80000000p+108", 2.0**-31.1, id="f32"),
    ],
)
def test_how_near_a_frequency_comes_to_half_way(bits, exponents, worst, distance):
    """kernels/phase.h needs no frequency to come nearer than 2^-70 for 320 bits to be enough."""
    found = min(worst_cases(bits, exponents))
    assert found[1] == float.fromhex(worst)
    assert 2.0**-70 < found[0] < distance
    assert found[0] > distance / 2


def fraction_of_turns(frequency):
    """f / 2 pi * 2^64 modulo one, by mpmath: what half_way.py finds without it."""
    with exact.mpmath.workprec(exact.TURNS_PRECISION):
        value = exact.mpmath.ldexp(exact.mpmath.mpf(frequency), 63) / exact.mpmath.pi
        return value - exact.mpmath.floor(value)


@pytest.mark.parametrize("above", [False, True], ids=["below", "above"])
@pytest.mark.parametrize("exponent", [-30, 0, 60])
def test_the_search_finds_what_trying_all_finds(exponent, above):
    bits = 11
    half = exact.mpmath.mpf(0.5)
    tried = [
        (fraction_of_turns(math.ldexp(m, exponent)) - half, m) for m in range(1 << 10, 1 << 11)
    ]
    distance, mantissa = min((abs(d), m) for d, m in tried if (d > 0) == above)
    assert half_way.nearest(exponent, bits, above) == (pytest.approx(float(distance)), mantissa)


def test_shapes_and_strides(device):
    values = torch.linspace(-3, 3, 24, dtype=torch.float64, device=device).reshape(2, 3, 4)
    expected = torch.tensor(exact_turns(values.flatten().tolist())).reshape(2, 3, 4)
    assert torch.equal(torch.ops.rope.turns(values).cpu(), expected)
    assert torch.equal(torch.ops.rope.turns(values.transpose(0, 2)).cpu(), expected.transpose(0, 2))
    assert torch.equal(torch.ops.rope.turns(values[:, 1:, ::2]).cpu(), expected[:, 1:, ::2])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "minus-inf"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
def test_no_number_is_refused(dtype, value):
    inv_freq = torch.tensor([1.0, value], dtype=dtype)
    text = rf"inv_freq must be finite, got -?{abs(value)} at index 1"
    with pytest.raises(RuntimeError, match=f"^rope::turns: {text}"):
        torch.ops.rope.turns(inv_freq)
    with pytest.raises(RuntimeError, match=f"^rope::cos_sin_table: {text}"):
        torch.ops.rope.cos_sin_table(inv_freq, 1)
    with pytest.raises(RuntimeError, match=f"^rope::rotate: {text}"):
        torch.ops.rope.rotate(torch.ones(1, 1, 1, 4), inv_freq=inv_freq)


def assert_phase_is_the_product(x, position, word):
    """Position p of turns F has the bits of position 1 of turns p * F modulo 2^64."""
    word_of_one = exact.signed(position * word)
    rotated = torch.ops.rope.rotate(x, torch.tensor([position]), inv_freq=torch.tensor([word]))
    expected = torch.ops.rope.rotate(x, torch.tensor([1]), inv_freq=torch.tensor([word_of_one]))
    assert same_bits(rotated, expected)
    table = torch.ops.rope.cos_sin_table(torch.tensor([word]), 1, start=position)
    row = torch.ops.rope.cos_sin_table(torch.tensor([word_of_one]), 1, start=1)
    assert same_bits(table, row)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_phase_is_the_product_modulo_one_turn(dtype):
    x = random(1, 1, 2, 2, dtype=dtype, device="cpu")

    @settings(FREE, max_examples=200)
    @given(position=INT64, word=INT64)
    @example(position=-(2**63), word=-(2**63))
    @example(position=-(2**63), word=1)
    @example(position=2**63 - 1, word=2**63 - 1)
    @example(position=2**32 + 1, word=2**32 - 1)
    def holds(position, word):
        assert_phase_is_the_product(x, position, word)

    holds()


@pytest.mark.parametrize("start", [2**63 - 3, -(2**63), 2**31 - 3, -3])
def test_a_table_counts_on_modulo_two_to_the_64(device, start):
    words = torch.tensor([1, -1, 2**62 + 1, 0x123456789ABCDEF], device=device)
    table = torch.ops.rope.cos_sin_table(words, 6, start=start)
    rows = [
        torch.ops.rope.cos_sin_table(words, 1, start=exact.signed(start + row)) for row in range(6)
    ]
    assert same_bits(table, torch.cat(rows))
