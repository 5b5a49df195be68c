"""rerotate: keys of old positions and frequencies become keys of new ones, in one rotation.

The exact result rotates by p_new * f_new - p_old * f_old: that is a rotation with two axes, the new
positions with the new frequencies and the old positions with the old ones negated. The oracle takes
it so, and so does `rotate`, whose bits are compared where the oracle's bound has grown too wide.
"""

import math

import pytest
import torch
from bounds import assert_within, error_bound, pair_norms
from cases import DTYPES, PAIRINGS, random, same_bits
from layouts import LAYOUTS, assert_rotated, laid_out, sequences_of, view_as

import torch_rope
from torch_rope import schedules

B, S, H, N = 2, 5, 3, 8
D = 2 * N
OLD_POS = [[9, 0, 2**20, -4, 131072], [0, 1, 2, 3, 4]]
NEW_POS = [[3, 7, 17, 2**20, 131072], [100, 101, 0, -3, 2]]
LARGEST = 2 * 2**20  # of |p_old| + |p_new|
OLD = torch.logspace(0, -5, N, dtype=torch.float64) * torch.tensor([1.0, -1.0]).repeat(N // 2)
NEW = OLD * torch.linspace(1.0, 0.125, N, dtype=torch.float64)
BASE = schedules.default(dim=D, base=10000.0).inv_freq
BASE_5E5 = schedules.default(dim=D, base=5e5).inv_freq


def positions(device, batches=B):
    return (torch.tensor(pos[:batches], device=device) for pos in (OLD_POS, NEW_POS))


def rerotated(k, old_pos, new_pos, **keywords):
    """Returns what rerotate makes of a copy, laid out as k is."""
    copy = torch.empty_strided(k.size(), k.stride(), dtype=k.dtype, device=k.device).copy_(k)
    assert torch.ops.rope.rerotate(copy, old_pos, new_pos, **keywords) is None
    return copy


def as_axes(old_pos, new_pos, old, new):
    """Returns pos and inv_freq of the same rotation by several axes; (n,) or (A, n) frequencies."""
    new_pos, old_pos = torch.broadcast_tensors(new_pos, old_pos)
    axes = [pos[None] if f.dim() == 1 else pos for pos, f in ((new_pos, new), (old_pos, old))]
    return torch.cat(axes), torch.cat((new.reshape(-1, N), -old.reshape(-1, N)))


# Given -> the frequencies meant: old, new.
GIVEN = {
    "none": ({}, BASE, BASE),
    "base": ({"base": 5e5}, BASE_5E5, BASE_5E5),
    "old": ({"old_inv_freq": OLD}, OLD, OLD),
    "new": ({"new_inv_freq": NEW}, BASE, NEW),
    "new-base": ({"new_inv_freq": NEW, "base": 5e5}, BASE_5E5, NEW),
    "both": ({"old_inv_freq": OLD, "new_inv_freq": NEW}, OLD, NEW),
    "f32": ({"old_inv_freq": OLD.float(), "new_inv_freq": NEW}, OLD.float().double(), NEW),
}


def on(device, keywords):
    """The keywords on a device, except for new frequencies beside a base, which is on the CPU."""
    if "old_inv_freq" not in keywords:
        return keywords
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in keywords.items()
    }


@pytest.mark.parametrize(("given", "old", "new"), GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_the_oracle(device, dtype, interleaved, given, old, new):
    k = random(B, S, H, D + 3, dtype=dtype, device=device)
    old_pos, new_pos = positions(device)
    keywords = {"rotary_dim": D, "rotary_offset": 2, "interleaved": interleaved}
    result = rerotated(k, old_pos, new_pos, **on(device, given), **keywords)
    pos, inv_freq = as_axes(old_pos, new_pos, old, new)
    assert_rotated(result, k, pos, inv_freq=inv_freq, largest_position=LARGEST, **keywords)


@pytest.mark.parametrize("scale", [0.5, 1.2079441541679836])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scale(device, dtype, scale):
    k = random(B, S, H, D, dtype=dtype, device=device)
    old_pos, new_pos = positions(device)
    given = {"old_inv_freq": OLD.to(device), "new_inv_freq": NEW.to(device)}
    result = rerotated(k, old_pos, new_pos, scale=scale, **given)
    pos, inv_freq = as_axes(old_pos, new_pos, OLD, NEW)
    judged = {"inv_freq": inv_freq, "attention_factor": scale}
    assert_rotated(result, k, pos, largest_position=LARGEST, **judged)


EXTREMES = [2**62, -(2**62), 2**63 - 1, -(2**63), 12345]


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_int64_position(device, dtype, interleaved):
    """The difference of two phases modulo 2^64 is that of two axes."""
    k = random(1, S, H, D, dtype=dtype, device=device)
    new_pos = torch.tensor(EXTREMES, device=device)
    old, new = torch.ops.rope.turns(OLD).to(device), torch.ops.rope.turns(NEW).to(device)
    result = rerotated(
        k, new_pos.flip(0), new_pos, old_inv_freq=old, new_inv_freq=new, interleaved=interleaved
    )
    pos, inv_freq = as_axes(new_pos.flip(0), new_pos, old, new)
    expected = torch.ops.rope.rotate(k, pos, inv_freq=inv_freq, interleaved=interleaved)
    assert same_bits(result, expected)


@pytest.mark.parametrize("given", ["none", "base", "old"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_shift_is_a_rotation_by_the_difference(device, dtype, given):
    """Under unchanged frequencies, for any int64: positions subtract modulo 2^64, too."""
    given = on(device, GIVEN[given][0])
    k = random(1, S, H, D, dtype=dtype, device=device)
    new_pos = torch.tensor(EXTREMES, device=device)
    old_pos = torch.tensor([7, 2**62 + 1, -5, 2**63 - 1, 12345], device=device)
    result = rerotated(k, old_pos, new_pos, **given)
    same = {name.replace("old_", ""): value for name, value in given.items()}
    assert same_bits(result, torch.ops.rope.rotate(k, new_pos - old_pos, **same))


def test_from_and_to_zero(device):
    k = random(B, S, H, D, dtype=torch.float32, device=device)
    old_pos, new_pos = positions(device)
    keywords = on(device, {"old_inv_freq": OLD, "new_inv_freq": NEW})
    zero = torch.zeros_like(old_pos)
    forwards = torch.ops.rope.rotate(k, new_pos, inv_freq=keywords["new_inv_freq"])
    backwards = torch.ops.rope.rotate(k, old_pos, inv_freq=keywords["old_inv_freq"], inverse=True)
    assert same_bits(rerotated(k, zero, new_pos, **keywords), forwards)
    assert same_bits(rerotated(k, old_pos, zero, **keywords), backwards)


@pytest.mark.parametrize("given", ["none", "old"])
def test_to_where_they_are(device, given):
    """The identity, up to the sign of zero."""
    k = random(B, S, H, D, dtype=torch.bfloat16, device=device)
    pos, _ = positions(device)
    assert torch.equal(rerotated(k, pos, pos, **on(device, GIVEN[given][0])), k)


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_forth_and_back(device, dtype, interleaved):
    """Two roundings: the first one's error, sqrt(2) of a component at most, turns with the pair.

    No component is larger than its pair, and 1 % covers what the first error adds to the pair.
    """
    k = random(B, S, H, D, dtype=dtype, device=device)
    old_pos, new_pos = positions(device)
    old, new = OLD.to(device), NEW.to(device)
    keywords = {"interleaved": interleaved}
    there = rerotated(k, old_pos, new_pos, old_inv_freq=old, new_inv_freq=new, **keywords)
    back = rerotated(there, new_pos, old_pos, old_inv_freq=new, new_inv_freq=old, **keywords)
    shape = {"rotary_dim": D, "interleaved": interleaved}
    once = error_bound(k, pair_norms(k, D, interleaved), largest_position=LARGEST, **shape)
    assert_within(back, k.double(), 1.01 * (1 + math.sqrt(2)) * once)


@pytest.mark.parametrize("axes", [(1, 3), (3, 1), (2, 2)], ids=str)
def test_several_axes(device, axes):
    """Old and new frequencies may differ in their number of axes."""
    old, new = ((OLD + 0.1 * torch.arange(a)[:, None]).to(device) for a in axes)
    generator = torch.Generator().manual_seed(3)
    old_pos, new_pos = (
        torch.randint(-(2**40), 2**40, (a, B, S), generator=generator).to(device) for a in axes
    )
    k = random(B, S, H, D, dtype=torch.float32, device=device)
    keywords = {"old_inv_freq": old, "new_inv_freq": new}
    given = [pos[0] if len(pos) == 1 else pos for pos in (old_pos, new_pos)]
    result = rerotated(k, *given, **keywords)
    pos, inv_freq = torch.cat((new_pos, old_pos)), torch.cat((new, -old))
    assert same_bits(result, torch.ops.rope.rotate(k, pos, inv_freq=inv_freq))


def test_eight_axes_are_undone_one_half_after_the_other(device):
    """Four old and four new axes: more than a rotation takes, so the oracle has two steps."""
    old, new = ((OLD * f).to(device) for f in torch.tensor([[[1.0], [0.5], [2.0], [0.3]]] * 2))
    generator = torch.Generator().manual_seed(3)
    old_pos, new_pos = torch.randint(-999, 999, (2, 4, B, S), generator=generator).to(device)
    k = random(B, S, H, D, dtype=torch.float32, device=device)
    exact = torch_rope.reference.rotate(k, old_pos, inv_freq=old, inverse=True)
    exact = torch_rope.reference.rotate(exact, new_pos, inv_freq=new)
    result = rerotated(k, old_pos, new_pos, old_inv_freq=old, new_inv_freq=new)
    assert_within(result, exact, error_bound(k, exact, rotary_dim=D, largest_position=8 * 999))


@pytest.mark.parametrize("per_head", ["old", "new", "both"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_head_has_its_own_frequencies(device, dtype, per_head):
    of_head = torch.linspace(0.5, 1.5, H, dtype=torch.float64)[None, :, None]
    old = (OLD * of_head if per_head != "new" else OLD).to(device)
    new = (NEW * of_head if per_head != "old" else NEW).to(device)
    k = random(B, S, H, D, dtype=dtype, device=device)
    old_pos, new_pos = positions(device)
    result = rerotated(k, old_pos, new_pos, old_inv_freq=old, new_inv_freq=new)
    for h in range(H):
        own = {
            name: f[:, h].contiguous() if f.dim() == 3 else f
            for name, f in (("old_inv_freq", old), ("new_inv_freq", new))
        }
        alone = rerotated(k[:, :, h : h + 1], old_pos, new_pos, **own)
        assert same_bits(result[:, :, h : h + 1], alone)


@pytest.mark.parametrize("old_form", ["S", "1S", "BS"])
@pytest.mark.parametrize("new_form", ["S", "1S", "BS"])
def test_forms_of_the_positions(device, old_form, new_form):
    """Each has its own extents and its own integers."""
    k = random(B, S, H, D, dtype=torch.float32, device=device)
    old_pos, new_pos = positions(device)
    forms = {"S": lambda p: p[0], "1S": lambda p: p[:1], "BS": lambda p: p}
    old_pos, new_pos = forms[old_form](old_pos), forms[new_form](new_pos)
    result = rerotated(k, old_pos.int(), new_pos)
    spelled = [p.expand(B, S).contiguous() for p in (old_pos, new_pos)]
    assert same_bits(result, rerotated(k, *spelled))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts(device, dtype, layout):
    batches = sequences_of(layout, B)
    keywords = on(device, {"old_inv_freq": OLD, "new_inv_freq": NEW, "interleaved": True})
    k = random(batches, S, H, D, dtype=dtype, device=device)
    pos = list(positions(device, batches))
    expected = view_as(layout, rerotated(k, *pos, **keywords))
    pos = [p[0] for p in pos] if layout == "thd" else pos
    for own in (view_as(layout, k), laid_out(layout, batches, S, H, D, dtype=dtype, device=device)):
        assert same_bits(rerotated(own, *pos, layout=layout, **keywords), expected)
