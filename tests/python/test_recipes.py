"""The recipes of docs/schedules.md, each a call or two, as the models define what they do.

The angles are written here from the models' definitions, in float64; turned.py judges.
"""

import math

import numpy as np
import pytest
import torch
from cases import random, same_bits
from turned import UNIT, assert_turned, interleaved, powers, split

import torch_rope
from torch_rope import Schedule, schedules

H = 2


def heads(tokens, dim, device, *, seed=0, count=H):
    return random(1, tokens, count, dim, dtype=torch.float32, device=device, seed=seed)


# ---- fractional coordinates, constant shifts


def test_patch_centres(device):
    """DINOv3: rows and columns of patches at -1 ... 1, 2 pi base^(-4i/D) radians each; the tokens
    before the patches are no part of the picture."""
    prefix, rows, columns, dim = 5, 3, 4, 64
    q = heads(prefix + rows * columns, dim, device)
    y, x = (2 * (torch.arange(n, dtype=torch.float64) + 0.5) / n - 1 for n in (rows, columns))
    centres = torch.stack(torch.meshgrid(y, x, indexing="ij")).flatten(1)

    schedule = schedules.axial([dim // 2, dim // 2], 100.0).scaled(2 * math.pi * 2.0**-30)
    pos = torch_rope.fixed_point(centres).to(device)
    result = q.clone()
    torch_rope.apply(result[:, prefix:], None, pos, **schedule.kwargs(device))

    f = 2 * math.pi * powers(dim // 2, 100.0)
    angles = np.concatenate([np.outer(axis, f) for axis in centres.numpy()], axis=1)
    assert same_bits(result[:, :prefix], q[:, :prefix])
    assert_turned(
        result[:, prefix:],
        q[:, prefix:],
        angles,
        split(dim),
        largest=2**30,
        angle_error=np.tile(f, 2) * 2.0**-31,
    )


def test_a_constant_shift_is_an_axis(device):
    """An angle for each pair that does not depend on the position, the same for all tokens."""
    tokens, dim = 7, 32
    shift = np.linspace(-3.0, 3.0, dim // 2)
    plain = schedules.default(dim, 10000.0)
    schedule = Schedule(torch.stack((plain.inv_freq, torch.from_numpy(shift))))
    pos = torch.arange(tokens) * 1000
    q = heads(tokens, dim, device)
    result = torch_rope.rotate(
        q, torch.stack((pos, torch.ones_like(pos))).to(device), **schedule.kwargs(device)
    )
    turning = np.outer(pos, powers(dim, 10000.0))
    # The sum may be smaller than what it is the sum of.
    error = (turning + np.abs(shift)) * 2.0**-50
    assert_turned(result, q, turning + shift, split(dim), angle_error=error)


# ---- several schedules in one batch

SHORT, LONG = np.linspace(1.0, 1.5, 16), np.linspace(1.0, 40.0, 16)


def test_longrope_by_request(device):
    """Three requests without padding, the second longer than the trained length."""
    original, factor = 4096, 32.0
    short, long = (
        schedules.longrope(
            32, 10000.0, SHORT, LONG, original, factor=factor, seq_len=longest_of_request
        )
        for longest_of_request in (original, original + 1)
    )
    both = Schedule(torch.stack((short.inv_freq, long.inv_freq)), short.attention_factor)
    pos = torch.tensor([0, 1, 2, 4095, 4096, 4097, 77, 78])
    chosen = torch.tensor([0, 0, 0, 1, 1, 1, 0, 0])
    q = heads(len(pos), 32, device)
    on_axes = torch.where(chosen == torch.arange(2)[:, None], pos, 0)
    result = torch_rope.rotate(q, on_axes.to(device), **both.kwargs(device))

    divisors = np.stack((SHORT, LONG))[chosen]
    angles = pos.numpy()[:, None] * powers(32, 10000.0) / divisors
    attention_factor = math.sqrt(1 + math.log(factor) / math.log(original))
    assert_turned(result, q, angles, split(32), factor=attention_factor)


def test_interleaved_widths_in_one_call(device):
    """A narrow schedule is a wide one whose last pairs do not turn."""
    wide, narrow = schedules.default(16, 1e6), schedules.default(8, 1e4)
    padded = torch.nn.functional.pad(narrow.inv_freq, (0, 4))
    both = Schedule(torch.stack((wide.inv_freq, padded)))
    pos = torch.tensor([3, 4, 5, 1000, 1001])
    is_narrow = torch.tensor([False, False, False, True, True])
    on_axes = torch.stack((pos * ~is_narrow, pos * is_narrow))
    q = heads(len(pos), 20, device)
    result = torch_rope.rotate(q, on_axes.to(device), interleaved=True, **both.kwargs(device))
    for own, dim, base in ((~is_narrow, 16, 1e6), (is_narrow, 8, 1e4)):
        angles = np.outer(pos[own], powers(dim, base))
        assert_turned(result[:, own], q[:, own], angles, interleaved(dim))


def test_half_split_widths_by_a_call_each(device):
    """Where a pair's second component is depends on the width; the others' tokens are skipped."""
    pos = torch.tensor([3, 4, 5, 1000, 1001])
    is_narrow = torch.tensor([False, False, False, True, True])
    widths = ((~is_narrow, 16, 1e6, 1.0), (is_narrow, 8, 1e4, 1.25))
    q = heads(len(pos), 20, device)
    result = q.clone()
    for own, dim, base, factor in widths:
        given = torch.where(own, pos, -1).to(device)
        schedule = Schedule(schedules.default(dim, base).inv_freq, factor)
        torch_rope.apply(result, None, given, skip_negative=True, **schedule.kwargs(device))
    for own, dim, base, factor in widths:
        angles = np.outer(pos[own], powers(dim, base))
        assert_turned(result[:, own], q[:, own], angles, split(dim), factor=factor)


def test_stacked_tables_by_offsets(device):
    """Each sequence has its own frequencies and attention factor; a table holds both."""
    rows, tokens = 64, 4
    plain = schedules.default(16, 10000.0)
    stretched = schedules.linear(16, 500.0, 4.0)
    loud = Schedule(stretched.inv_freq, attention_factor=1.25)
    tables = torch.cat([schedule.table(rows, device) for schedule in (plain, loud)])
    chosen, cached = torch.tensor([1, 0, 1]), torch.tensor([60, 60, 0])
    q = random(3, tokens, H, 16, dtype=torch.float32, device=device)
    offsets = (chosen * rows + cached).to(device)
    result = torch_rope.rotate(q, cos_sin=tables, offsets=offsets)
    frequencies = (powers(16, 10000.0), powers(16, 500.0) / 4)
    for b, own in enumerate(chosen.tolist()):
        angles = np.outer(int(cached[b]) + np.arange(tokens), frequencies[own])
        factor = (1.0, 1.25)[own]
        assert_turned(result[b : b + 1], q[b : b + 1], angles, split(16), factor=factor)


# ---- parts of the head


def deepseek_v3():
    """YaRN as DeepSeek's model code writes it: factor 40 from 4096 positions, 32 to 1 turns."""
    dim, base, factor, original = 64, 10000.0, 40.0, 4096

    def pair_of(turns):
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = math.floor(pair_of(32)), math.ceil(pair_of(1))
    kept = 1 - np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
    return powers(dim, base) * (kept + (1 - kept) / factor)


def test_latent_attention(device):
    """DeepSeek V3: the last 64 of q's 192 components, and k_pe, one head of 64, in one call."""
    pos = torch.tensor([0, 1, 4095, 4096, 163839])
    q = heads(len(pos), 192, device)
    k_pe = heads(len(pos), 64, device, seed=1, count=1)
    schedule = schedules.yarn(64, 10000.0, 40.0, 4096, mscale=1.0, mscale_all_dim=1.0)
    before = q.clone(), k_pe.clone()
    torch_rope.apply(
        q,
        k_pe,
        pos.to(device),
        rotary_dim=64,
        rotary_offset=-64,
        interleaved=True,
        **schedule.kwargs(device),
    )
    angles = np.outer(pos, deepseek_v3())
    assert_turned(q, before[0], angles, interleaved(64, 128))
    assert_turned(k_pe, before[1], angles, interleaved(64))


def test_a_quarter_across_the_whole_head(device):
    """Gemma 4: a quarter of the pairs turns, and a pair's components are half the head apart."""
    dim, turning = 64, 8
    pos = torch.arange(5) * 1000
    q = heads(len(pos), dim, device)
    schedule = schedules.proportional(dim, 1e6, partial_rotary_factor=0.25)
    result = torch_rope.rotate(q, pos.to(device), **schedule.kwargs(device))
    angles = np.outer(pos, powers(dim, 1e6)[:turning])
    assert_turned(result, q, angles, (np.arange(turning), dim // 2 + np.arange(turning)))


def test_a_block_of_the_head_for_each_axis(device):
    """Gemma 4's vision: half-split pairs inside each axis's own block; padding is at -1."""
    dim, base = 32, 100.0
    pos = torch.tensor([[0, 0, 1, 7, -1], [0, 1, 0, 3, -1]])
    q = heads(pos.shape[1], dim, device)
    result = q.clone()
    for axis, given in enumerate(pos.to(device)):
        torch_rope.apply(
            result,
            None,
            given,
            base=base,
            rotary_dim=dim // 2,
            rotary_offset=axis * dim // 2,
            skip_negative=True,
        )
    angles = [np.outer(axis[:4], powers(dim // 2, base)) for axis in pos.numpy()]
    rows, columns = split(dim // 2), split(dim // 2, dim // 2)
    pairs = np.concatenate((rows[0], columns[0])), np.concatenate((rows[1], columns[1]))
    assert_turned(result[:, :4], q[:, :4], np.concatenate(angles, axis=1), pairs)
    assert same_bits(result[:, 4], q[:, 4])


# ---- several axes


@pytest.mark.parametrize(
    "axes_dim",
    [pytest.param([16, 56, 56], id="flux"), pytest.param([44, 42, 42], id="wan")],
)
def test_axial(device, axes_dim):
    """Text at the origin before a picture, or frames: interleaved pairs, each axis from base^0."""
    text = torch.zeros(3, 2, dtype=torch.int64)
    grid = torch.stack(
        torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(4), indexing="ij")
    )
    pos = torch.cat((text, grid.flatten(1)), dim=1)
    q = heads(pos.shape[1], 128, device)
    schedule = schedules.axial(axes_dim, 10000.0)
    result = torch_rope.rotate(q, pos.to(device), interleaved=True, **schedule.kwargs(device))
    angles = [np.outer(p, powers(dim, 10000.0)) for p, dim in zip(pos, axes_dim, strict=True)]
    assert_turned(result, q, np.concatenate(angles, axis=1), interleaved(128))


def vision_positions(start, frames, rows, columns):
    """(3, tokens) of a picture or film in a text, and where the text goes on."""
    axes = [(t, h, w) for t in range(frames) for h in range(rows) for w in range(columns)]
    return start + np.array(axes).T, start + max(frames, rows, columns)


def text_positions(start, tokens):
    return np.tile(np.arange(start, start + tokens), (3, 1)), start + tokens


# Pairs 0 ... 63: which of t, h and w turns each, as the models' code says.
SECTIONS = {
    "qwen2-vl": ([16, 24, 24], False, [0] * 16 + [1] * 24 + [2] * 24),
    "qwen3-vl": ([24, 20, 20], True, [i % 3 if i < 60 else 0 for i in range(64)]),
}


@pytest.mark.parametrize(("sections", "by_turns", "axis_of_pair"), SECTIONS.values(), ids=SECTIONS)
def test_pictures_in_a_text(device, sections, by_turns, axis_of_pair):
    """Text counts on all three axes, a picture's patches in rows and columns from where it is."""
    parts, start = [], 0
    for make, extents in (
        (text_positions, (3,)),
        (vision_positions, (1, 2, 5)),
        (text_positions, (2,)),
        (vision_positions, (2, 2, 2)),
        (text_positions, (1,)),
    ):
        part, start = make(start, *extents)
        parts.append(part)
    pos = np.concatenate(parts, axis=1)
    q = heads(pos.shape[1], 128, device)
    schedule = schedules.mrope(128, 1e6, sections, interleaved=by_turns)
    result = torch_rope.rotate(q, torch.from_numpy(pos).to(device), **schedule.kwargs(device))
    angles = pos[axis_of_pair].T * powers(128, 1e6)
    assert_turned(result, q, angles, split(128))


# ---- undoing


def test_undo(device):
    """A rotation that had a factor m is undone by inverse with 1 / m: two calls of 5.1 u, by the
    same angle, so that its error does not count."""
    schedule = schedules.yarn(32, 10000.0, 40.0, 4096)
    m = schedule.attention_factor
    assert m == pytest.approx(0.1 * math.log(40.0) + 1, rel=1e-14)
    q = heads(6, 32, device)
    pos = (torch.arange(6) * 1000).to(device)
    inv_freq = schedule.kwargs(device)["inv_freq"]
    rotated = torch_rope.rotate(q, pos, **schedule.kwargs(device))
    undone = torch_rope.rotate(
        rotated, pos, inv_freq=inv_freq, attention_factor=1 / m, inverse=True
    )
    x, y = (t.cpu().double().numpy() for t in (q, undone))
    first, second = split(32)
    norm = np.hypot(x[..., first], x[..., second])
    assert (np.abs(y - x) <= np.tile(norm, 2) * 10.2 * UNIT).all()
