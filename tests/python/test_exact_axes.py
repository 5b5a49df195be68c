"""Several axes, fractional grids and re-rotation against mpmath with 300 bits.

The exact angle of a pair is the sum over its axes of p_a * f_a; a re-rotation has the new positions
with the new frequencies and the old positions with the old ones negated. The bound is guarantee 1
of docs/numerics.md (test_exact_rotation.py derives it): phases are integers, so that only the
rounding of each axis's frequency adds up, |p_a| * 2 pi * 2^-65 of them.
"""

import itertools

import exact
import mpmath
import pytest
import torch
from bounds import assert_within, error_bound
from cases import DTYPES, PAIRINGS, random
from worst_ratios import record

import torch_rope
from torch_rope import Schedule, schedules


def exact_angles(positions, frequencies):
    """Returns cosines and sines, (S, n) float64, of sum_a positions[a][s] * frequencies[a][i].

    Nested sequences of Python numbers, which are taken as exact.
    """
    with mpmath.workprec(exact.PRECISION):
        pairs = [
            [
                mpmath.fsum(mpmath.mpf(p) * mpmath.mpf(f) for p, f in zip(token, pair, strict=True))
                for pair in zip(*frequencies, strict=True)
            ]
            for token in zip(*positions, strict=True)
        ]
        both = [[[float(v) for v in mpmath.mp.cos_sin(a)] for a in row] for row in pairs]
    both = torch.tensor(both, dtype=torch.float64)
    return both[..., 0], both[..., 1]


def judge(result, x, positions, frequencies, *, interleaved=False, factor=1.0, **bound):
    """Returns the largest ratio of error to bound; positions and frequencies as exact_angles."""
    cos, sin = exact_angles(positions, frequencies)
    y = exact.rotate(x, cos, sin, interleaved=interleaved, factor=factor)
    allowed = error_bound(
        x, y, rotary_dim=x.shape[-1], interleaved=interleaved, factor=factor, **bound
    )
    return assert_within(result, y, allowed).max()


def magnitudes(positions):
    """The sum of |p| over the axes, (S, 1, 1): what the bound counts."""
    sums = [float(sum(abs(p) for p in token)) for token in zip(*positions, strict=True)]
    return torch.tensor(sums, dtype=torch.float64)[:, None, None]


INT64 = [2**63 - 1, -(2**63), 2**62 + 12345, -(2**40) - 7, 2**31, -1, 0, 99]
PAIRS = 12
OLD = schedules.default(dim=2 * PAIRS, base=1e4).inv_freq
NEW = schedules.llama3(2 * PAIRS, 5e5, 8.0, 1.0, 4.0, 64).inv_freq
SHIFTS = {
    "near": ([0, 5, 131072, 4096, 2**20, 7, 1, 0], [9, 0, 131071, 2**20, 4096, 7, 0, 1]),
    "int64": (INT64, INT64[3:] + INT64[:3]),
}


@pytest.mark.parametrize(("old_pos", "new_pos"), SHIFTS.values(), ids=SHIFTS)
@pytest.mark.parametrize("scale", [1.0, 1.2079441541679836], ids=["plain", "scaled"])
@pytest.mark.parametrize("frequencies", [torch.float64, torch.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rerotate(
    device, dtype, interleaved, frequencies, scale, old_pos, new_pos, record_property
):
    old, new = OLD.to(frequencies), NEW.to(frequencies)
    k = random(1, len(old_pos), 2, 2 * PAIRS, dtype=dtype, device="cpu")
    result = k.clone().to(device)
    torch.ops.rope.rerotate(
        result,
        torch.tensor(old_pos, device=device),
        torch.tensor(new_pos, device=device),
        old_inv_freq=old.to(device),
        new_inv_freq=new.to(device),
        scale=scale,
        interleaved=interleaved,
    )
    positions = [new_pos, old_pos]
    ratio = judge(
        result.cpu(),
        k,
        positions,
        [new.tolist(), (-old).tolist()],
        interleaved=interleaved,
        factor=scale,
        largest_position=magnitudes(positions),
    )
    record(record_property, f"rerotate, {str(dtype).removeprefix('torch.')}", ratio)


@pytest.mark.parametrize("num_axes", [2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_axes(device, dtype, num_axes, record_property):
    """Every pair counts every axis, at positions anywhere in int64."""
    generator = torch.Generator().manual_seed(num_axes)
    inv_freq = torch.randn(num_axes, PAIRS, generator=generator, dtype=torch.float64)
    pos = torch.tensor([INT64[a:] + INT64[:a] for a in range(num_axes)])
    x = random(1, len(INT64), 2, 2 * PAIRS, dtype=dtype, device="cpu")
    result = torch_rope.rotate(x.to(device), pos.to(device), inv_freq=inv_freq.to(device))
    positions = pos.tolist()
    ratio = judge(
        result.cpu(), x, positions, inv_freq.tolist(), largest_position=magnitudes(positions)
    )
    record(record_property, "several axes", ratio)


BITS = 30


def grid(*axes):
    """Coordinates (A, S) of all points, the last axis fastest."""
    return torch.tensor(list(itertools.product(*(axis.tolist() for axis in axes)))).double().T


def restarting(axes_dim, base):
    """Each axis has its own frequencies over its block of the head."""
    inv_freq = torch.cat([schedules.default(dim, base).inv_freq for dim in axes_dim])
    axis_of_pair = [axis for axis, dim in enumerate(axes_dim) for _ in range(dim // 2)]
    return Schedule(inv_freq).on_axes(axis_of_pair)


def centres(count):
    """Patch centres in -1 ... 1."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count * 2 - 1


# Coordinates, and the schedule they are meant for. Wan: rows and columns of video latents, with
# 2 (d // 6) components each, and frames, here in seconds, with the rest. DINOv3: patch centres.
# LTX: seconds and patch centres.
GRIDS = {
    "wan": (
        grid(torch.arange(5) / 16.0, torch.arange(3), torch.arange(4)),
        restarting([44, 42, 42], 1e4),
    ),
    "dinov3": (grid(centres(6), centres(4)), restarting([32, 32], 100.0)),
    "ltx": (
        grid(torch.arange(5) * 8 / 25.0, centres(3), centres(4)),
        restarting([44, 42, 42], 1e4),
    ),
}


@pytest.mark.parametrize(("coordinates", "schedule"), GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_fractional_grid(device, dtype, coordinates, schedule, record_property):
    """A coordinate is rounded to 2^-30, so it is off by 2^-31 and the angle by f * 2^-31; scaling
    a frequency by 2^-30 is exact."""
    words = torch_rope.fixed_point(coordinates, BITS)
    x = random(1, words.shape[1], 1, schedule.rotary_dim, dtype=dtype, device="cpu")
    keywords = schedule.scaled(2.0**-BITS).kwargs(device)
    result = torch_rope.rotate(x.to(device), words.to(device), **keywords)
    ratio = judge(
        result.cpu(),
        x,
        coordinates.tolist(),
        schedule.inv_freq.tolist(),
        largest_position=magnitudes(words.tolist()),
        angle_error=schedule.inv_freq.sum(0).tile(2) * 2.0**-31,
    )
    record(record_property, "fractional grids", ratio)


@pytest.mark.parametrize(("coordinates", "schedule"), GRIDS.values(), ids=GRIDS)
def test_a_grid_of_whole_numbers_needs_no_finer_unit(device, coordinates, schedule):
    """The same rotation, counted in ones and counted in 2^-30."""
    whole = coordinates.mul(8).round()
    x = random(1, whole.shape[1], 1, schedule.rotary_dim, dtype=torch.float32, device=device)
    plain = torch_rope.rotate(x, whole.long().to(device), **schedule.kwargs(device))
    words = torch_rope.fixed_point(whole, BITS).to(device)
    finer = torch_rope.rotate(x, words, **schedule.scaled(2.0**-BITS).kwargs(device))
    # Each of the two rounds its own turns per unit: half a unit of 2^-64 turn, times |p|.
    largest = magnitudes(words.tolist()).max().item()
    bound = error_bound(x, plain.double(), rotary_dim=x.shape[-1], largest_position=2 * largest)
    assert_within(finer, plain.double(), 2 * bound)
