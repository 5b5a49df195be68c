"""torch_rope.schedules against mpmath at 60 digits; the C++ tests cover the extremes and errors.

`default` must be the nearest float64. The others promise about 100 bits and one rounding, which
costs 2^-53 = 1.1e-16, but not the nearest float64 to a formula with several inputs: 1e-14 leaves
them 90 times that and is far below the 6e-8 of float32.
"""

import re

import pytest
import torch
from mpmath import mp, mpf, pi

from torch_rope import schedules

DIMS = [2, 4, 6, 20, 64, 80, 96, 128, 256, 1024]
BASES = [1e4, 5e5, 1e6, 1e7, 8e6, 500.5, 10.0, 3.141592653589793, 1.0, 0.5, 1e-3, 1e300]
DIMS_IDS = [f"d{dim}" for dim in DIMS]
BASES_IDS = [f"base{base:g}" for base in BASES]
TOLERANCE = 1e-14


@pytest.fixture(autouse=True)
def sixty_digits():
    with mp.workdps(60):
        yield


def plain(dim, base):
    return [mpf(base) ** (-mpf(2 * i) / dim) for i in range(dim // 2)]


def nearest_float64(value):
    with mp.workprec(53):
        return float(+value)


def assert_close(schedule, expected):
    assert schedule.inv_freq.dtype == torch.float64
    assert schedule.attention_factor == 1.0
    actual = schedule.inv_freq.tolist()
    assert len(actual) == len(expected)
    assert all(abs(a / e - 1) <= TOLERANCE for a, e in zip(actual, expected, strict=True))


@pytest.mark.parametrize("dim", DIMS, ids=DIMS_IDS)
@pytest.mark.parametrize("base", BASES, ids=BASES_IDS)
def test_default_is_the_nearest_float64(dim, base):
    schedule = schedules.default(dim=dim, base=base)
    assert schedule.inv_freq.dtype == torch.float64
    assert schedule.attention_factor == 1.0
    assert schedule.inv_freq.tolist() == [nearest_float64(f) for f in plain(dim, base)]


@pytest.mark.parametrize("dim", DIMS, ids=DIMS_IDS)
@pytest.mark.parametrize(
    "factor", [1.0, 4.0, 3.7, 0.3, 1e5], ids=lambda factor: f"factor{factor:g}"
)
def test_linear_divides(dim, factor):
    expected = [f / mpf(factor) for f in plain(dim, 1e4)]
    assert_close(schedules.linear(dim=dim, base=1e4, factor=factor), expected)


@pytest.mark.parametrize("dim", DIMS[1:], ids=DIMS_IDS[1:])
@pytest.mark.parametrize("alpha", [1.0, 8.0, 2.5, 0.3, 1e5], ids=lambda alpha: f"alpha{alpha:g}")
def test_ntk_stretches_the_base(dim, alpha):
    stretched = mpf(5e5) * mpf(alpha) ** (mpf(dim) / (dim - 2))
    assert_close(schedules.ntk(dim=dim, base=5e5, alpha=alpha), plain(dim, stretched))


def llama3_by_wavelength(frequency, factor, low, high, length):
    wavelength = 2 * pi / frequency
    if wavelength > length / low:
        return frequency / factor
    if wavelength < length / high:
        return frequency
    weight = (length / wavelength - low) / (high - low)
    return (1 - weight) * frequency / factor + weight * frequency


@pytest.mark.parametrize(
    ("dim", "factor", "low", "high", "length"),
    [
        pytest.param(128, 8.0, 1.0, 4.0, 8192, id="llama-3.1-8b"),
        pytest.param(64, 32.0, 1.0, 4.0, 8192, id="llama-3.2-1b"),
        pytest.param(128, 16.0, 1.0, 1.0, 8192, id="llama-4-scout"),
        pytest.param(64, 32.0, 0.125, 0.5, 1024, id="low-below-one"),
        pytest.param(1024, 0.5, 0.01, 777.7, 1000, id="wide-band"),
        pytest.param(2, 8.0, 1.0, 4.0, 16, id="one-pair-in-the-band"),
        pytest.param(64, 8.0, 1.0, 4.0, 6, id="all-divided"),
        pytest.param(64, 8.0, 1.0, 4.0, 2**40, id="none-divided"),
    ],
)
def test_llama3(dim, factor, low, high, length):
    expected = [
        llama3_by_wavelength(f, mpf(factor), mpf(low), mpf(high), mpf(length))
        for f in plain(dim, 5e5)
    ]
    schedule = schedules.llama3(
        dim=dim,
        base=5e5,
        factor=factor,
        low_freq_factor=low,
        high_freq_factor=high,
        original_max_position_embeddings=length,
    )
    assert_close(schedule, expected)


def test_llama3_of_llama_3_2_1b_in_bands():
    """Wavelengths 2048 and 8192 lie between pairs 14 and 15, and between pairs 17 and 18."""
    scaled = schedules.llama3(64, 5e5, 32.0, 1.0, 4.0, 8192).inv_freq
    default = schedules.default(64, 5e5).inv_freq
    ratio = default / scaled
    assert torch.equal(ratio[:15], torch.ones(15, dtype=torch.float64))
    assert torch.all((ratio[15:18] > 1) & (ratio[15:18] < 32))
    assert torch.equal(ratio[18:], torch.full((14,), 32.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: schedules.default(63, 1e4),
            "rope::schedules::default: dim must be even and between 2 and 1024, got 63",
            id="default",
        ),
        pytest.param(
            lambda: schedules.linear(64, 1e4, 0.0),
            "rope::schedules::linear: factor must be positive and finite, got 0",
            id="linear",
        ),
        pytest.param(
            lambda: schedules.ntk(64, 1e4, -1.0),
            "rope::schedules::ntk: alpha must be positive and finite, got -1",
            id="ntk",
        ),
        pytest.param(
            lambda: schedules.llama3(64, 5e5, 32.0, 4.0, 1.0, 8192),
            "rope::schedules::llama3: low_freq_factor must be at most high_freq_factor,"
            " got 4 and 1",
            id="llama3",
        ),
    ],
)
def test_refusals_keep_their_text(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
