"""Fractional coordinates: counted in 2^-bits, rotated by schedules of that unit."""

import mpmath
import pytest
import torch

import torch_rope

BITS = 30


def test_counts_in_the_unit():
    x = torch.tensor([0.0, 1.0, -1.0, 0.5, 2.0**-30, 3 * 2.0**-31, 200.25], dtype=torch.float64)
    expected = [0, 2**30, -(2**30), 2**29, 1, 2, 200 * 2**30 + 2**28]
    words = torch_rope.fixed_point(x)
    assert words.dtype == torch.int64
    assert words.tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int32])
def test_any_real_type_is_exact(dtype):
    x = torch.tensor([[0, 1, 3], [-2, 100, 7]]).to(dtype)
    assert torch.equal(torch_rope.fixed_point(x, bits=8), x.double().mul(256).long())


def grids():
    """Coordinates as models make them: patch centres in -1 ... 1, and seconds of video frames."""
    patches = (torch.arange(14, dtype=torch.float64) + 0.5) / 14 * 2 - 1
    frames = torch.arange(9, dtype=torch.float64) * 8 / 25
    return {"dinov3": (patches, 100.0, 16), "ltx": (frames, 10000.0, 32)}


@pytest.mark.parametrize("name", ["dinov3", "ltx"])
def test_angle_of_a_fractional_coordinate(name):
    """Against mpmath: x is off by 2^-31 at most, so the angle by f * 2^-31; the table's own error
    is 0.75 * 2^-24, the rounding of the scaled frequency x * 2^30 * 2^-65 turns at most."""
    x, base, dim = grids()[name]
    schedule = torch_rope.schedules.default(dim=dim, base=base)
    words = torch_rope.fixed_point(x, BITS)
    one = torch.ones(1, len(x), 1, dim)
    one[..., dim // 2 :] = 0.0
    rotated = torch_rope.rotate(one, words, **schedule.scaled(2.0**-BITS).kwargs())[0, :, 0]
    for token, coordinate in enumerate(x.tolist()):
        for pair, frequency in enumerate(schedule.inv_freq.tolist()):
            angle = mpmath.mpf(coordinate) * mpmath.mpf(frequency)
            tolerance = (
                frequency * 2.0**-31
                + 0.75 * 2.0**-24
                + 2 * mpmath.pi * abs(int(words[token])) * 2.0**-65
            )
            assert abs(float(rotated[token, pair]) - mpmath.cos(angle)) <= tolerance
            assert abs(float(rotated[token, pair + dim // 2]) - mpmath.sin(angle)) <= tolerance


@pytest.mark.parametrize(
    ("x", "bits", "error", "text"),
    [
        (torch.tensor([True]), 30, TypeError, "x must hold real numbers, got torch.bool"),
        (torch.tensor([1j]), 30, TypeError, "x must hold real numbers, got torch.complex64"),
        (torch.ones(1), -1, ValueError, "bits must be between 0 and 62, got -1"),
        (torch.ones(1), 63, ValueError, "bits must be between 0 and 62, got 63"),
        (torch.tensor([0.0, 257.0]), 30, ValueError, "at most 2\\^38, got x = 257.0"),
        (torch.tensor([float("nan")]), 30, ValueError, "at most 2\\^38, got x = nan"),
        (torch.tensor([float("inf")]), 30, ValueError, "at most 2\\^38, got x = inf"),
    ],
    ids=["bool", "complex", "negative-bits", "many-bits", "large", "nan", "inf"],
)
def test_refused(x, bits, error, text):
    with pytest.raises(error, match=rf"^fixed_point: .*{text}"):
        torch_rope.fixed_point(x, bits)


def test_the_largest_is_allowed():
    assert torch_rope.fixed_point(torch.tensor([-256.0, 256.0])).tolist() == [-(2**38), 2**38]
