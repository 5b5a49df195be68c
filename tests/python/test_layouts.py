"""Layouts, and which components of the head are rotated: what changes in memory, and what not."""

import pytest
import torch
from cases import DTYPES, PAIRINGS, random, same_bits
from layouts import LAYOUTS, assert_rotated, laid_out, sequences_of, view_as, whole_storage

B, S, D = 2, 5, 16
LARGEST = 2**33

# Forms of the positions of B sequences of S tokens, whatever the layout.
POSITIONS = {
    "none": None,
    "S": [7, -1, 0, 3, LARGEST],
    "1S": [[7, -1, 0, 3, LARGEST]],
    "BS": [[7, -1, 0, 3, LARGEST], [1, 1, 2, 9, -70]],
}


def positions(name, layout, device):
    value = POSITIONS[name]
    if value is None:
        return None
    pos = torch.tensor(value, device=device)
    return pos[0] if layout == "thd" and pos.dim() == 2 else pos


@pytest.mark.parametrize("pos", POSITIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_apply(device, dtype, interleaved, layout, pos):
    """q and k of different widths and head counts, in place, against the oracle."""
    pos = positions(pos, layout, device)
    keywords = {"layout": layout, "interleaved": interleaved, "rotary_dim": 10}
    q = laid_out(layout, B, S, 3, D, dtype=dtype, device=device)
    k = laid_out(layout, B, S, 1, 12, dtype=dtype, device=device, seed=1)
    before = q.clone(), k.clone()
    torch.ops.rope.apply(q, k, pos, **keywords)
    for actual, x in zip((q, k), before, strict=True):
        assert_rotated(actual, x, pos, largest_position=LARGEST, **keywords)


@pytest.mark.parametrize("pos", POSITIONS)
@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_layout_is_a_transposition(device, dtype, layout, pos):
    pos_in_layout = positions(pos, layout, device)
    own_batches = sequences_of(layout, B)
    x = random(own_batches, S, 3, D, dtype=dtype, device=device)
    pos = positions(pos, "bshd", device)
    pos = pos[:own_batches] if pos is not None and pos.dim() == 2 else pos
    expected = torch.ops.rope.rotate(x, pos)
    own = view_as(layout, x)
    rotated = torch.ops.rope.rotate(own, pos_in_layout, layout=layout)
    assert same_bits(rotated, view_as(layout, expected))
    assert rotated.stride() == torch.empty_like(own).stride()
    one_head = view_as(layout, x[:, :, :1])
    q, k = torch.ops.rope.rotate_qk(own, one_head, pos_in_layout, layout=layout)
    assert same_bits(q, rotated)
    assert same_bits(k, view_as(layout, expected[:, :, :1]))
    torch.ops.rope.apply(own, None, pos_in_layout, layout=layout)
    assert same_bits(x, expected)


@pytest.mark.parametrize("layout", ["bshd", "thd"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_three_dimensions_are_one_sequence(device, dtype, layout):
    x = random(1, S, 3, D, dtype=dtype, device=device)
    expected = torch.ops.rope.rotate(x)
    assert same_bits(torch.ops.rope.rotate(x[0], layout=layout), expected[0])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_slices_of_a_packed_projection(device, dtype, interleaved, layout):
    """Head slices with gaps inside the head: not a byte beside the rotated ones changes."""
    packed = random(sequences_of(layout, B), S, 7, D + 4, dtype=dtype, device=device)
    before = packed.clone()
    keywords = {"interleaved": interleaved, "rotary_offset": 3, "rotary_dim": 6}

    def parts(x):
        return view_as(layout, x[:, :, 1:4, 2:-2]), view_as(layout, x[:, :, 5:6, 2:-2])

    torch.ops.rope.apply(*parts(packed), layout=layout, **keywords)
    expected = before.clone()
    for heads in (slice(1, 4), slice(5, 6)):
        expected[:, :, heads, 2:-2] = torch.ops.rope.rotate(before[:, :, heads, 2:-2], **keywords)
    assert same_bits(packed, expected)
    assert not same_bits(packed, before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("empty", ["B", "S", "H"])
def test_zero_extents(device, layout, empty):
    extents = {"B": B, "S": S, "H": 3} | {empty: 0}
    if layout == "thd":
        extents["B"] = 1
    q = torch.empty(*extents.values(), D, device=device, dtype=torch.bfloat16)
    k = random(extents["B"], extents["S"], 2, D, dtype=torch.bfloat16, device=device)
    expected = torch.ops.rope.rotate(k)
    torch.ops.rope.apply(view_as(layout, q), view_as(layout, k), layout=layout)
    assert same_bits(k, expected)
    rotated = torch.ops.rope.rotate(view_as(layout, q), layout=layout)
    assert rotated.shape == view_as(layout, q).shape


# Width of the head, rotary_offset, rotary_dim: 0 is what the head has from there on.
PARTS = {
    "GPT-NeoX": (96, 0, 24),
    "Phi": (80, 0, 32),
    "back": (96, 72, 24),
    "back-from-the-end": (96, -24, 24),
    "middle": (48, 13, 20),
    "middle-from-the-end": (48, -35, 20),
    "rest": (48, 12, 0),
    "rest-from-the-end": (48, -6, 0),
    "whole-from-the-end": (50, -50, 0),
    "one-pair": (9, 7, 2),
    "one-off-the-vector": (72, 1, 64),
}


@pytest.mark.parametrize(("head_dim", "offset", "rotary_dim"), PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_part_of_the_head(device, dtype, interleaved, head_dim, offset, rotary_dim):
    keywords = {"interleaved": interleaved, "rotary_offset": offset, "rotary_dim": rotary_dim}
    x = random(B, S, 3, head_dim, dtype=dtype, device=device)
    # What is not rotated keeps every bit pattern: a NaN, an infinity, a negative zero.
    start = offset % head_dim
    outside = torch.ones(head_dim, dtype=torch.bool)
    outside[start : start + (rotary_dim or head_dim - start)] = False
    odd = torch.tensor([float("nan"), float("-inf"), -0.0], dtype=dtype).repeat(head_dim)
    x[..., outside] = odd[: int(outside.sum())].to(device)
    whole = whole_storage(x)
    rotated = torch.ops.rope.rotate(x, **keywords)
    assert_rotated(rotated, x, largest_position=S, **keywords)
    torch.ops.rope.apply(x, **keywords)
    assert same_bits(whole, rotated.flatten())


@pytest.mark.parametrize("offset", [7, -13])
def test_a_part_is_rotated_as_a_head_of_its_own(device, offset):
    x = random(B, S, 3, 20, dtype=torch.float16, device=device)
    start = offset % 20
    rotated = torch.ops.rope.rotate(x, rotary_offset=offset, rotary_dim=8)
    own = torch.ops.rope.rotate(x[..., start : start + 8].contiguous())
    assert same_bits(rotated[..., start : start + 8], own)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rotary_dim", [64, 0], ids=["given", "from-the-offset"])
@pytest.mark.parametrize("interleaved", PAIRINGS)
def test_latent_attention(device, interleaved, layout, rotary_dim):
    """DeepSeek's q, 192 wide, beside k_pe, 64 wide, in one call: the last 64 of each."""
    q = laid_out(layout, B, S, 3, 192, dtype=torch.bfloat16, device=device)
    k = laid_out(layout, B, S, 1, 64, dtype=torch.bfloat16, device=device, seed=1)
    keywords = {"interleaved": interleaved, "layout": layout}
    expected_q = q.clone()
    expected_q[..., 128:] = torch.ops.rope.rotate(q[..., 128:].contiguous(), **keywords)
    expected_k = torch.ops.rope.rotate(k, **keywords)
    torch.ops.rope.apply(q, k, rotary_dim=rotary_dim, rotary_offset=-64, **keywords)
    assert same_bits(q, expected_q)
    assert same_bits(k, expected_k)


def test_the_angles_say_how_wide_the_part_is(device):
    x = random(B, S, 3, 20, dtype=torch.float32, device=device)
    frequencies = torch.tensor([1.0, 0.5, 0.1], device=device)
    result = torch.ops.rope.rotate(x, inv_freq=frequencies, rotary_offset=4)
    expected = torch.ops.rope.rotate(x, inv_freq=frequencies, rotary_offset=4, rotary_dim=6)
    assert same_bits(result, expected)
    assert same_bits(result[..., 10:], x[..., 10:])
