"""Several position axes, and frequencies of each head's own: phases add up exactly.

Bit for bit against calls with one axis and one head; sums of phases against the oracle.
"""

import pytest
import torch
from cases import DTYPES, PAIRINGS, random, same_bits
from layouts import LAYOUTS, assert_rotated, laid_out, sequences_of, view_as

import torch_rope
from torch_rope import schedules

B, S, H, N = 2, 5, 3, 8
AXES = [1, 2, 3, 4]
SOURCES = {
    "f64": lambda f: f,
    "f32": lambda f: f.float(),
    "turns": torch.ops.rope.turns,
}
# Of |p| on each axis.
LARGEST = 2**33


def frequencies(*extents, device="cpu"):
    """Values of both signs, a zero among them."""
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(*extents, N, generator=generator, dtype=torch.float64)
    values = values * torch.logspace(0, -4, N, dtype=torch.float64)
    values[..., 3] = 0.0
    return values.to(device)


def positions(*extents, device="cpu"):
    """Small and large ones, negative ones too."""
    generator = torch.Generator().manual_seed(5)
    small = torch.randint(-9, 99, extents, generator=generator)
    return torch.where(small % 3 == 0, small * (LARGEST // 99), small).to(device)


def components(pairs, interleaved):
    """Returns where the components of some of N pairs are."""
    pairs = torch.as_tensor(pairs)
    return torch.cat((2 * pairs, 2 * pairs + 1) if interleaved else (pairs, pairs + N))


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_axes(device, dtype, interleaved, axes, source):
    inv_freq = source(frequencies(axes)).to(device)
    pos = positions(axes, B, S, device=device)
    pos = pos[0] if axes == 1 else pos
    keywords = {"inv_freq": inv_freq, "interleaved": interleaved, "attention_factor": 1.25}
    q = random(B, S, H, 2 * N + 3, dtype=dtype, device=device)
    k = random(B, S, 1, 2 * N, dtype=dtype, device=device, seed=1)
    before = q.clone(), k.clone()
    torch.ops.rope.apply(q, k, pos, **keywords)
    for actual, x in zip((q, k), before, strict=True):
        assert_rotated(
            actual, x, pos, rotary_dim=2 * N, largest_position=axes * LARGEST, **keywords
        )


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("axes", AXES[1:])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_hot_rows_are_sections(device, dtype, axes, interleaved):
    """M-RoPE: each pair has one axis, and turns as if there were no other."""
    one = frequencies(device=device)
    axis_of_pair = torch.arange(N) % axes
    inv_freq = torch.zeros(axes, N, dtype=torch.float64, device=device)
    inv_freq[axis_of_pair, torch.arange(N)] = one
    pos = positions(axes, B, S, device=device)
    x = random(B, S, H, 2 * N, dtype=dtype, device=device)
    result = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq, interleaved=interleaved)
    for axis in range(axes):
        own = components((axis_of_pair == axis).nonzero()[:, 0], interleaved)
        alone = torch.ops.rope.rotate(x, pos[axis], inv_freq=one, interleaved=interleaved)
        assert same_bits(result[..., own], alone[..., own])


SECTIONS = {"chunked": [0, 0, 0, 0, 1, 1, 2, 2], "interleaved": [0, 1, 2, 0, 1, 2, 0, 0]}


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_sections_of_text_are_plain(device, sections):
    """Where time, height and width agree, the sections do not matter."""
    plain = schedules.default(dim=2 * N, base=1e6)
    x = random(B, S, H, 2 * N, dtype=torch.bfloat16, device=device)
    pos = positions(B, S, device=device)
    sectioned = plain.on_axes(sections).kwargs(device)
    result = torch_rope.rotate(x, pos.expand(3, B, S), **sectioned)
    assert same_bits(result, torch_rope.rotate(x, pos, **plain.kwargs(device)))


@pytest.mark.parametrize("axes", AXES[1:])
def test_phases_add_up_in_turns(device, axes):
    """At equal positions on all axes the words of turns may as well be added first: any int64."""
    turns = torch.ops.rope.turns(frequencies(axes)).to(device)
    pos = torch.tensor([2**62, -(2**62), 2**63 - 1, -(2**63), 12345], device=device)
    x = random(1, S, H, 2 * N, dtype=torch.float32, device=device)
    result = torch.ops.rope.rotate(x, pos.expand(axes, S), inv_freq=turns)
    assert same_bits(result, torch.ops.rope.rotate(x, pos, inv_freq=turns.sum(0)))


def test_schedules_stacked_as_axes(device):
    """Each token has its position on its own schedule's axis, and 0 elsewhere."""
    inv_freq = frequencies(3, device=device)
    pos = positions(S, device=device)
    chosen = torch.tensor([2, 0, 1, 1, 2], device=device)
    on_axes = torch.where(chosen == torch.arange(3, device=device)[:, None], pos, 0)
    x = random(1, S, H, 2 * N, dtype=torch.float16, device=device)
    result = torch.ops.rope.rotate(x, on_axes, inv_freq=inv_freq)
    for t in range(S):
        alone = torch.ops.rope.rotate(x[:, t : t + 1], pos[t : t + 1], inv_freq=inv_freq[chosen[t]])
        assert same_bits(result[:, t : t + 1], alone)


# What (A, B, S) becomes.
FORMS = {
    "AS": lambda pos: pos[:, 0],
    "A1S": lambda pos: pos[:, :1],
    "ABS": lambda pos: pos,
    "ABS-axes-last": lambda pos: pos.movedim(0, -1).contiguous().movedim(-1, 0),
    "ABS-expanded": lambda pos: pos[:, :1].expand(-1, B, -1),
    "AS-one-for-all": lambda pos: pos[:1, 0].expand(len(pos), -1),
    "ABS-sequence-first": lambda pos: pos.transpose(1, 2).contiguous().transpose(1, 2),
}


@pytest.mark.parametrize("integer", [torch.int32, torch.int64], ids=["i32", "i64"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("axes", [2, 4])
def test_forms_of_the_positions(device, axes, form, integer):
    inv_freq = frequencies(axes, device=device)
    pos = form(positions(axes, B, S, device=device).clamp(-(2**31), 2**31 - 1).to(integer))
    spelled = (pos if pos.dim() == 3 else pos[:, None]).expand(axes, B, S).long().contiguous()
    x = random(B, S, H, 2 * N, dtype=torch.float32, device=device)
    result = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq)
    assert same_bits(result, torch.ops.rope.rotate(x, spelled, inv_freq=inv_freq))
    assert_rotated(result, x, spelled, largest_position=axes * 2**31, inv_freq=inv_freq)


def test_one_row_is_one_axis(device):
    """(1, n) takes the positions of (n,), none among them."""
    inv_freq = frequencies(device=device)
    x = random(B, S, H, 2 * N, dtype=torch.float32, device=device)
    for pos in (None, positions(S, device=device), positions(B, S, device=device)):
        result = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq[None])
        assert same_bits(result, torch.ops.rope.rotate(x, pos, inv_freq=inv_freq))


def test_frequencies_may_have_strides(device):
    inv_freq = frequencies(3, device=device)
    pos = positions(3, S, device=device)
    x = random(B, S, H, 2 * N, dtype=torch.float32, device=device)
    expected = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq)
    for view in (inv_freq.T.contiguous().T, inv_freq.repeat_interleave(2, -1)[:, ::2]):
        assert same_bits(torch.ops.rope.rotate(x, pos, inv_freq=view), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("heads", [1, H], ids=["shared", "per-head"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts(device, dtype, heads, layout):
    batches = sequences_of(layout, B)
    inv_freq = frequencies(3, H, device=device)
    inv_freq = inv_freq[:, 0] if heads == 1 else inv_freq
    pos = positions(3, batches, S, device=device)
    x = random(batches, S, H, 2 * N, dtype=dtype, device=device)
    expected = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq)
    own = pos[:, 0] if layout == "thd" else pos
    seen = view_as(layout, x)
    torch.ops.rope.apply(seen, None, own, inv_freq=inv_freq, layout=layout)
    assert same_bits(x, expected)


def test_offsets_move_every_axis(device):
    inv_freq = frequencies(3, device=device)
    pos = positions(3, 1, S, device=device)
    offsets = torch.tensor([1000, -7], dtype=torch.int32, device=device)
    x = random(B, S, H, 2 * N, dtype=torch.float32, device=device)
    result = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq, offsets=offsets)
    spelled = pos + offsets[:, None]
    assert same_bits(result, torch.ops.rope.rotate(x, spelled, inv_freq=inv_freq))


def test_offsets_of_ragged_sequences_move_every_axis(device):
    inv_freq = frequencies(2, H, device=device)
    pos = positions(2, S, device=device)
    keywords = {
        "offsets": torch.tensor([40, 2, -1], device=device),
        "cu_seqlens": torch.tensor([0, 3, 3, S], device=device),
    }
    x = random(S, H, 2 * N, dtype=torch.float32, device=device)
    result = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq, **keywords)
    spelled = pos + torch.tensor([40, 40, 40, -1, -1], device=device)
    assert same_bits(result, torch.ops.rope.rotate(x, spelled, inv_freq=inv_freq))


@pytest.mark.parametrize("axes", AXES[1:])
def test_the_first_axis_decides_what_is_skipped(device, axes):
    inv_freq = frequencies(axes, device=device)
    pos = torch.arange(axes * B * S, device=device).reshape(axes, B, S)
    pos[0, 0, 1] = pos[0, 1, 4] = -1
    pos[1:, 0, 0] = -8
    x = random(B, S, H, 2 * N, dtype=torch.bfloat16, device=device)
    offsets = torch.tensor([6, -100], device=device)
    result = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq, offsets=offsets, skip_negative=True)
    plain = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq, offsets=offsets)
    assert same_bits(result, torch.where(pos[0, ..., None, None] < 0, x, plain))


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_head_has_its_own_frequencies(device, dtype, interleaved, axes, source):
    inv_freq = source(frequencies(axes, H)).to(device)
    pos = positions(axes, B, S, device=device)
    pos = pos[0] if axes == 1 else pos
    keywords = {"interleaved": interleaved, "rotary_offset": 2}
    q = random(B, S, H, 2 * N + 4, dtype=dtype, device=device)
    k = random(B, S, H, 2 * N + 2, dtype=dtype, device=device, seed=1)
    for x, result in zip(
        (q, k), torch.ops.rope.rotate_qk(q, k, pos, inv_freq=inv_freq, **keywords), strict=True
    ):
        for h in range(H):
            own = inv_freq[:, h].contiguous()
            alone = torch.ops.rope.rotate(x[:, :, h : h + 1], pos, inv_freq=own, **keywords)
            assert same_bits(result[:, :, h : h + 1], alone)


@pytest.mark.parametrize("axes", [1, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_head_against_the_oracle(device, dtype, axes):
    keywords = {"inv_freq": frequencies(axes, H, device=device), "inverse": True}
    pos = positions(axes, S, device=device)
    pos = pos[0] if axes == 1 else pos
    x = laid_out("bhsd", B, S, H, 2 * N, dtype=dtype, device=device)
    result = torch.ops.rope.rotate(x, pos, layout="bhsd", **keywords)
    assert_rotated(result, x, pos, layout="bhsd", largest_position=axes * LARGEST, **keywords)


def test_each_head_counts_without_positions(device):
    inv_freq = frequencies(1, H, device=device)
    x = random(B, S, H, 2 * N, dtype=torch.float32, device=device)
    pos = torch.arange(S, device=device)
    result = torch.ops.rope.rotate(x, inv_freq=inv_freq)
    assert same_bits(result, torch.ops.rope.rotate(x, pos, inv_freq=inv_freq))


@pytest.mark.cuda
@pytest.mark.parametrize("heads", [None, H], ids=["shared", "per-head"])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("on", ["cpu", "cuda"])
def test_cuda_gives_the_bits_of_the_cpu(on, axes, heads):
    inv_freq = frequencies(axes, *([] if heads is None else [heads]))
    pos = positions(axes, B, S)
    pos = pos[0] if axes == 1 else pos
    x = random(B, S, H, 2 * N, dtype=torch.bfloat16, device="cpu")
    expected = torch.ops.rope.rotate(x, pos, inv_freq=inv_freq)
    result = torch.ops.rope.rotate(x.cuda(), pos.cuda(), inv_freq=inv_freq.to(on))
    assert same_bits(result.cpu(), expected)
