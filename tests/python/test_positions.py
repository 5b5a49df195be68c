"""Where positions come from: offsets, cu_seqlens and skip_negative, alone and together.

Judged by calls that spell the positions out, bit for bit, and by the oracle.
"""

import pytest
import torch
from cases import DTYPES, PAIRINGS, random, same_bits
from layouts import LAYOUTS, assert_rotated, sequences_of, view_as

import torch_rope

B, S, H, D = 2, 6, 3, 12
INTEGERS = [pytest.param(torch.int32, id="i32"), pytest.param(torch.int64, id="i64")]
LARGEST = 2**20

# Sequences of T tokens: the lengths of each.
SEQUENCES = {
    "one": [S],
    "two": [4, 2],
    "empty-ones": [0, 3, 0, 0, 3, 0],
    "of-one-token": [1] * S,
    "none-of-none": [0],
    "of-no-token": [0, 0, 0],
    "many": [0, 40, 1, 300, 7],
}


def starts_of(lengths, device, integer=torch.int64):
    return torch.tensor([0, *lengths]).cumsum(0).to(integer).to(device)


def positions_of(lengths, device):
    """0, 1, 2, ... in each sequence."""
    return torch.cat([torch.arange(n) for n in lengths]).to(device)


@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("pos", ["none", "S", "1S", "BS", "BS-i32"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_offsets_are_added(device, layout, pos, integer):
    batches = sequences_of(layout, B)
    x = random(batches, S, H, D, dtype=torch.float32, device=device)
    offsets = torch.tensor([LARGEST, -3][:batches], dtype=integer, device=device)
    given = torch.arange(batches * S, device=device).reshape(batches, S) * 5 - 7
    given = {"none": None, "S": given[0], "1S": given[:1], "BS": given, "BS-i32": given.int()}[pos]
    spelled = torch.arange(S, device=device) if given is None else given
    spelled = (spelled + offsets[:, None]).long()
    own = given[0] if layout == "thd" and given is not None and given.dim() == 2 else given
    result = torch.ops.rope.rotate(view_as(layout, x), own, layout=layout, offsets=offsets)
    assert same_bits(result, view_as(layout, torch.ops.rope.rotate(x, spelled)))


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_offsets_against_the_oracle(device, dtype, interleaved):
    q = random(B, S, H, D, dtype=dtype, device=device)
    k = random(B, S, 1, D, dtype=dtype, device=device, seed=1)
    keywords = {
        "offsets": torch.tensor([LARGEST, -7], device=device),
        "interleaved": interleaved,
    }
    before = q.clone(), k.clone()
    torch.ops.rope.apply(q, k, **keywords)
    for actual, x in zip((q, k), before, strict=True):
        assert_rotated(actual, x, largest_position=LARGEST + S, **keywords)


def test_sums_wrap_around(device):
    """Positions are counted modulo 2^64, as the phase is."""
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    offsets = torch.tensor([2**63 - 1, -(2**63)], device=device)
    pos = torch.tensor([[5, -5, 1, 0, 2**62, -(2**62)]], device=device)
    result = torch.ops.rope.rotate(x, pos, offsets=offsets)
    assert same_bits(result, torch.ops.rope.rotate(x, pos + offsets[:, None]))


def test_int32_positions_do_not_overflow(device):
    x = random(1, 2, H, D, dtype=torch.float32, device=device)
    top = torch.tensor([2**31 - 1, -(2**31)], dtype=torch.int32, device=device)
    result = torch.ops.rope.rotate(x, top, offsets=top[:1])
    assert same_bits(result, torch.ops.rope.rotate(x, top.long() + (2**31 - 1)))


def test_offsets_may_have_a_stride(device):
    x = random(3, S, H, D, dtype=torch.float32, device=device)
    offsets = torch.arange(12, device=device).reshape(3, 4)[:, 1]
    for chosen in (offsets, offsets[:1].expand(3)):
        result = torch.ops.rope.rotate(x, offsets=chosen)
        assert same_bits(result, torch.ops.rope.rotate(x, offsets=chosen.contiguous()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_int_is_everybodys_offset(device, layout):
    batches = sequences_of(layout, B)
    x = view_as(layout, random(batches, S, H, D, dtype=torch.float32, device=device))
    result = torch_rope.rotate(x, layout=layout, offsets=9)
    pos = torch.arange(S, device=device) + 9
    assert same_bits(result, torch.ops.rope.rotate(x, pos, layout=layout))


def test_offsets_select_rows_of_a_table(device):
    """Stacked tables, chosen by sequence."""
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    slow = torch.ops.rope.cos_sin_table(torch.full((6,), 0.01, device=device), S)
    fast = torch.ops.rope.cos_sin_table(torch.full((6,), 0.7, device=device), S)
    offsets = torch.tensor([S, 0], device=device)
    result = torch.ops.rope.rotate(x, cos_sin=torch.cat((slow, fast)), offsets=offsets)
    assert same_bits(result[0], torch.ops.rope.rotate(x[0], cos_sin=fast))
    assert same_bits(result[1], torch.ops.rope.rotate(x[1], cos_sin=slow))


def one_at_a_time(x, lengths, pos=None, offsets=None, **keywords):
    """Rotates each sequence of (T, H, D) by a call of its own."""
    parts = [torch.empty_like(x[:0])]
    begin = 0
    for i, length in enumerate(lengths):
        rows = slice(begin, begin + length)
        own = torch.arange(length, device=x.device) if pos is None else pos[rows]
        own = own if offsets is None else own + int(offsets[i])
        parts.append(torch.ops.rope.rotate(x[rows], own, **keywords))
        begin += length
    return torch.cat(parts)


@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("offsets", [False, True], ids=["from-0", "offsets"])
@pytest.mark.parametrize("pos", [False, True], ids=["none", "T"])
@pytest.mark.parametrize("lengths", SEQUENCES.values(), ids=SEQUENCES)
def test_ragged_sequences(device, lengths, pos, offsets, integer):
    tokens = sum(lengths)
    q = random(tokens, H, D, dtype=torch.float32, device=device)
    k = random(tokens, 1, D, dtype=torch.float32, device=device, seed=1)
    pos = torch.arange(tokens, device=device) * 3 - 4 if pos else None
    offsets = 100 * torch.arange(len(lengths), device=device) - 50 if offsets else None
    expected = [one_at_a_time(x, lengths, pos, offsets) for x in (q, k)]
    keywords = {
        "cu_seqlens": starts_of(lengths, device, integer),
        "offsets": None if offsets is None else offsets.to(integer),
    }
    rotated = torch.ops.rope.rotate_qk(q, k, pos, layout="thd", **keywords)
    torch.ops.rope.apply(q, k, pos, **keywords)
    for i, x in enumerate((q, k)):
        assert same_bits(x, expected[i])
        assert same_bits(rotated[i], expected[i])


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_ragged_sequences_against_the_oracle(device, dtype, interleaved):
    lengths = SEQUENCES["many"]
    x = random(sum(lengths), H, D, dtype=dtype, device=device)
    keywords = {
        "cu_seqlens": starts_of(lengths, device),
        "offsets": torch.tensor([9, LARGEST, -8, 0, 1], device=device),
        "interleaved": interleaved,
    }
    result = torch.ops.rope.rotate(x, **keywords)
    assert_rotated(result, x, largest_position=LARGEST + 300, **keywords)


def test_starts_may_have_a_stride(device):
    lengths = SEQUENCES["many"]
    x = random(sum(lengths), H, D, dtype=torch.float32, device=device)
    starts = starts_of(lengths, device)
    spread = torch.full((len(starts), 3), -1, device=device)
    spread[:, 1] = starts
    result = torch.ops.rope.rotate(x, cu_seqlens=spread[:, 1])
    assert same_bits(result, torch.ops.rope.rotate(x, cu_seqlens=starts))


def test_ragged_sequences_look_rows_up(device):
    lengths = [4, 0, 2]
    table = torch.rand(9, D, device=device)
    x = random(S, H, D, dtype=torch.float32, device=device)
    keywords = {"cu_seqlens": starts_of(lengths, device)}
    keywords["offsets"] = torch.tensor([1, 9, 7], device=device)
    result = torch.ops.rope.rotate(x, cos_sin=table, **keywords)
    pos = torch.tensor([1, 2, 3, 4, 7, 8], device=device)
    assert same_bits(result, torch.ops.rope.rotate(x, pos, cos_sin=table))


PADDED = [[-1, -2, 0, 3, -(2**63), 2], [0, 1, 2, 3, 4, -9]]


@pytest.mark.parametrize("pos", ["S", "1S", "BS", "BS-i32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_negative_positions_are_skipped(device, dtype, interleaved, layout, pos):
    """Untouched in place, copied out of place; all others as without the keyword."""
    batches = sequences_of(layout, B)
    given = torch.tensor(PADDED[:batches], device=device).clamp(min=-(2**31))
    given = {"S": given[0], "1S": given[:1], "BS": given, "BS-i32": given.int()}[pos]
    own = given[0] if layout == "thd" and given.dim() == 2 else given
    x = random(batches, S, H, D, dtype=dtype, device=device)
    x[:, 0, 0, :2] = torch.tensor([float("nan"), -0.0], dtype=dtype)
    keywords = {"interleaved": interleaved, "rotary_dim": 8}
    expected = torch.ops.rope.rotate(x, given, **keywords)
    expected = torch.where(given[..., None, None] < 0, x, expected)
    seen = view_as(layout, x)
    rotated = torch.ops.rope.rotate(seen, own, layout=layout, skip_negative=True, **keywords)
    assert same_bits(rotated, view_as(layout, expected))
    torch.ops.rope.apply(seen, None, own, layout=layout, skip_negative=True, **keywords)
    assert same_bits(x, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_skipping_looks_at_positions_as_they_are_given(device, dtype):
    """Offsets make a position of -1 positive, and one of 3 negative: neither matters."""
    x = random(B, S, H, D, dtype=dtype, device=device)
    pos = torch.tensor(PADDED, device=device)
    offsets = torch.tensor([5, -4], device=device)
    result = torch.ops.rope.rotate(x, pos, offsets=offsets, skip_negative=True)
    expected = torch.ops.rope.rotate(x, pos + offsets[:, None])
    assert same_bits(result, torch.where(pos[..., None, None] < 0, x, expected))


def test_nothing_is_skipped_without_positions(device):
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    offsets = torch.tensor([-3, -100], device=device)
    result = torch.ops.rope.rotate(x, offsets=offsets, skip_negative=True)
    assert same_bits(result, torch.ops.rope.rotate(x, offsets=offsets))


def test_skipping_comes_before_the_table(device):
    """A skipped token is no position without a row, though it has none."""
    x = random(1, S, H, D, dtype=torch.float32, device=device)
    pos = torch.tensor([-1, 1, 0, -5, 7, -2], device=device)
    table = torch.rand(3, D, device=device)
    result = torch.ops.rope.rotate(x, pos, cos_sin=table, skip_negative=True)
    skipped = pos < 0
    assert same_bits(result[:, skipped], x[:, skipped])
    assert result[:, 4].isnan().all()
    assert same_bits(result[:, 1:3], torch.ops.rope.rotate(x[:, 1:3], pos[1:3], cos_sin=table))


def test_ragged_sequences_skip_too(device):
    x = random(S, H, D, dtype=torch.bfloat16, device=device)
    pos = torch.tensor([0, -1, 1, -1, -3, 2], device=device)
    keywords = {"cu_seqlens": starts_of([3, 0, 3], device)}
    keywords["offsets"] = torch.tensor([10, 0, 20], device=device)
    result = torch.ops.rope.rotate(x, pos, skip_negative=True, **keywords)
    expected = torch.ops.rope.rotate(x, pos, **keywords)
    assert same_bits(result, torch.where(pos[:, None, None] < 0, x, expected))
    assert_rotated(result, x, pos, largest_position=30, skip_negative=True, **keywords)


@pytest.mark.cuda
@pytest.mark.parametrize("starts", [[5, 90], [0, -4], [7, 3], [0, 2**40]], ids=str)
def test_bad_starts_on_a_gpu_touch_nothing_else(starts):
    """Unspecified positions, never an access outside: each token is rotated by some position."""
    x = random(S, H, D, dtype=torch.float32, device="cuda")
    result = torch.ops.rope.rotate(x, cu_seqlens=torch.tensor(starts, device="cuda"))
    norms = x[..., : D // 2].hypot(x[..., D // 2 :])
    assert torch.allclose(result[..., : D // 2].hypot(result[..., D // 2 :]), norms, rtol=1e-6)
