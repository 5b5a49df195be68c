"""Tables: cos and sin as two tensors of any strides, and rows for each token and each head.

A rotation takes the same values, wherever they lie: bit for bit that of the dense table (rows,
[cos | sin]), which test_tables.py judges.
"""

import pytest
import torch
from bounds import assert_within, error_bound
from cases import DTYPES, PAIRINGS, random, same_bits
from layouts import LAYOUTS, sequences_of, view_as

from torch_rope import reference

B, S, H, N, ROWS = 2, 5, 3, 8, 40
POS = [[3, 0, 39, 39, 17], [1, 2, 3, 4, 5]]
TABLE_TYPES = [pytest.param(False, id="f32-table"), pytest.param(True, id="own-table")]


def values(*extents, dtype=torch.float32, device="cpu", seed=2):
    """|(cos, sin)| stays below 1, so that the bound of exact angles is the wider one."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*extents, generator=generator) - 0.5).to(dtype).to(device)


def tensors(dtype, device, batches=B):
    x = random(batches, S, H, 2 * N + 4, dtype=dtype, device=device)
    return x, torch.tensor(POS[:batches], device=device)


# How libraries keep the n cosines and sines of a row: what these views look at is (..., n) each.
STRIDES = {
    "dense": lambda c, s: (c.contiguous(), s.contiguous()),
    "halves-of-one-table": lambda c, s: torch.cat((c, s), -1).chunk(2, -1),
    "transformers": lambda c, s: tuple(torch.cat((t, t), -1)[..., :N] for t in (c, s)),
    "diffusers": lambda c, s: tuple(t.repeat_interleave(2, -1)[..., ::2] for t in (c, s)),
    "complex": lambda c, s: (
        torch.view_as_real(torch.complex(c.float(), s.float())).unbind(-1)
        if c.dtype == torch.float32
        else torch.stack((c, s), -1).unbind(-1)
    ),
    "sines-elsewhere": lambda c, s: (c.contiguous(), s.repeat_interleave(3, -1)[..., ::3]),
    "columns-first": lambda c, s: tuple(
        t.movedim(-1, 0).contiguous().movedim(0, -1) for t in (c, s)
    ),
    "misaligned": lambda c, s: tuple(torch.nn.functional.pad(t, (1, 2))[..., 1:-2] for t in (c, s)),
}


@pytest.mark.parametrize("strides", STRIDES.values(), ids=STRIDES)
@pytest.mark.parametrize("own_type", TABLE_TYPES)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_strides(device, dtype, interleaved, own_type, strides):
    table = values(ROWS, 2 * N, dtype=dtype if own_type else torch.float32, device=device)
    x, pos = tensors(dtype, device)
    expected = torch.ops.rope.rotate(x, pos, cos_sin=table, interleaved=interleaved)
    cos, sin = strides(*table.chunk(2, -1))
    keywords = {"cos": cos, "sin": sin, "interleaved": interleaved}
    assert same_bits(torch.ops.rope.rotate(x, pos, **keywords), expected)
    torch.ops.rope.apply(x, None, pos, **keywords)
    assert same_bits(x, expected)


def test_an_expanded_table(device):
    """All rows are one."""
    x, pos = tensors(torch.float32, device)
    cos, sin = values(1, 2 * N, device=device).expand(ROWS, -1).chunk(2, -1)
    expected = torch.ops.rope.rotate(x, pos, cos=cos.contiguous(), sin=sin.contiguous())
    assert same_bits(torch.ops.rope.rotate(x, pos, cos=cos, sin=sin), expected)


@pytest.mark.parametrize("own_type", TABLE_TYPES)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cos_and_sin_against_the_oracle(device, dtype, interleaved, own_type):
    table_type = dtype if own_type else torch.float32
    cos, sin = (values(B, S, H, N, dtype=table_type, device=device, seed=s) for s in (2, 3))
    x, _ = tensors(dtype, device)
    keywords = {"cos": cos, "sin": sin, "interleaved": interleaved}
    exact = reference.rotate(x, **keywords)
    bound = error_bound(x, exact, rotary_dim=2 * N, interleaved=interleaved)
    assert_within(torch.ops.rope.rotate(x, **keywords), exact, bound)


@pytest.mark.parametrize("separate", [False, True], ids=["cos_sin", "cos-and-sin"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_positions_without_a_row_are_computed(device, dtype, separate):
    frequencies = torch.logspace(0, -3, N, dtype=torch.float64, device=device)
    table = torch.ops.rope.cos_sin_table(frequencies, ROWS)
    angles = dict(zip(("cos", "sin"), table.chunk(2, -1), strict=True))
    angles = angles if separate else {"cos_sin": table}
    x, _ = tensors(dtype, device)
    pos = torch.tensor([ROWS, -1, 2**40, -(2**63), 7], device=device)
    result = torch.ops.rope.rotate(x, pos, inv_freq=frequencies, **angles)
    assert same_bits(result, torch.ops.rope.rotate(x, pos, inv_freq=frequencies))


@pytest.mark.parametrize("rows", [0, ROWS])
@pytest.mark.parametrize("strides", ["transformers", "diffusers", "sines-elsewhere"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_positions_without_a_row_become_nan(device, dtype, strides, rows):
    cos, sin = STRIDES[strides](*values(rows, 2 * N, device=device).chunk(2, -1))
    x, _ = tensors(dtype, device)
    outside = torch.tensor([ROWS, -1, 2**40, -(2**63), 2**31 - 1], device=device)
    result = torch.ops.rope.rotate(x, outside, cos=cos, sin=sin)
    assert result[..., : 2 * N].isnan().all()
    assert same_bits(result[..., 2 * N :], x[..., 2 * N :])


def rows_of(table, pos):
    """Returns what each token looks up: (B, S, columns)."""
    return table[pos]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shared", [False, True], ids=["BS", "1S"])
@pytest.mark.parametrize("own_type", TABLE_TYPES)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_for_each_token(device, dtype, interleaved, own_type, shared, layout):
    batches = sequences_of(layout, B)
    table = values(ROWS, 2 * N, dtype=dtype if own_type else torch.float32, device=device)
    x, pos = tensors(dtype, device, batches)
    pos = pos[:1] if shared else pos
    expected = view_as(
        layout, torch.ops.rope.rotate(x, pos, cos_sin=table, interleaved=interleaved)
    )
    rows = rows_of(table, pos)
    seen = view_as(layout, x)
    keywords = {"interleaved": interleaved, "layout": layout}
    assert same_bits(torch.ops.rope.rotate(seen, cos_sin=rows, **keywords), expected)
    cos, sin = rows.chunk(2, -1)
    assert same_bits(torch.ops.rope.rotate(seen, cos=cos, sin=sin, **keywords), expected)
    torch.ops.rope.apply(seen, None, cos_sin=rows, **keywords)
    assert same_bits(seen, expected)


@pytest.mark.parametrize("strides", STRIDES.values(), ids=STRIDES)
@pytest.mark.parametrize("heads", [None, 1, H], ids=["BSn", "BS1n", "BSHn"])
def test_strides_of_rows_for_each_token(device, heads, strides):
    extents = (B, S) if heads is None else (B, S, heads)
    cos, sin = strides(*values(*extents, 2 * N, device=device).chunk(2, -1))
    x, _ = tensors(torch.bfloat16, device)
    expected = torch.ops.rope.rotate(x, cos=cos.contiguous(), sin=sin.contiguous())
    assert same_bits(torch.ops.rope.rotate(x, cos=cos, sin=sin), expected)


@pytest.mark.parametrize("expanded", [0, 1, 2], ids=["batches", "tokens", "heads"])
def test_expanded_rows(device, expanded):
    extents = [B, S, H, 2 * N]
    small = [1 if d == expanded else extent for d, extent in enumerate(extents)]
    cos, sin = values(*small, device=device).expand(extents).chunk(2, -1)
    x, _ = tensors(torch.float32, device)
    expected = torch.ops.rope.rotate(x, cos=cos.contiguous(), sin=sin.contiguous())
    assert same_bits(torch.ops.rope.rotate(x, cos=cos, sin=sin), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shared", [False, True], ids=["BSHn", "1SHn"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_for_each_token_and_head(device, dtype, shared, layout):
    """Extents of the tables are (B, S, H, n) in every layout."""
    batches = sequences_of(layout, B)
    rows = values(1 if shared else batches, S, H, 2 * N, device=device)
    x, _ = tensors(dtype, device, batches)
    expected = torch.cat(
        [
            torch.ops.rope.rotate(x[:, :, h : h + 1], cos_sin=rows[:, :, h].contiguous())
            for h in range(H)
        ],
        dim=2,
    )
    cos, sin = rows.chunk(2, -1)
    seen = view_as(layout, x)
    rotated = torch.ops.rope.rotate_qk(seen, seen, cos=cos, sin=sin, layout=layout)
    torch.ops.rope.apply(seen, None, cos=cos, sin=sin, layout=layout)
    for result in (*rotated, seen):
        assert same_bits(result, view_as(layout, expected))


def test_rows_of_one_head_serve_all(device):
    cos, sin = values(B, S, 1, 2 * N, device=device).chunk(2, -1)
    q, _ = tensors(torch.float32, device)
    k = q[:, :, :2] + 1
    result = torch.ops.rope.rotate_qk(q, k, cos=cos, sin=sin)
    expected = torch.ops.rope.rotate_qk(q, k, cos=cos[:, :, 0], sin=sin[:, :, 0])
    assert all(same_bits(a, b) for a, b in zip(result, expected, strict=True))


def test_a_part_of_the_head(device):
    rows = values(B, S, 2 * N, device=device)
    x, _ = tensors(torch.float16, device)
    result = torch.ops.rope.rotate(x, cos_sin=rows, rotary_offset=-2 * N)
    own = torch.ops.rope.rotate(x[..., 4:].contiguous(), cos_sin=rows)
    assert same_bits(result, torch.cat((x[..., :4], own), -1))


def test_inverse_negates_the_sines_of_a_table(device):
    cos, sin = values(B, S, 2 * N, device=device).chunk(2, -1)
    x, _ = tensors(torch.float32, device)
    result = torch.ops.rope.rotate(x, cos=cos, sin=sin, inverse=True)
    assert same_bits(result, torch.ops.rope.rotate(x, cos=cos, sin=-sin))


def test_the_factor_leaves_given_rows_alone(device):
    rows = values(B, S, 2 * N, device=device)
    x, _ = tensors(torch.float32, device)
    result = torch.ops.rope.rotate(x, cos_sin=rows, attention_factor=3.0)
    assert same_bits(result, torch.ops.rope.rotate(x, cos_sin=rows))


def test_frequencies_beside_rows_for_tokens_are_not_asked(device):
    """Every token has its row."""
    rows = values(B, S, 2 * N, device=device)
    x, _ = tensors(torch.float32, device)
    result = torch.ops.rope.rotate(x, cos_sin=rows, inv_freq=torch.ones(N, device=device))
    assert same_bits(result, torch.ops.rope.rotate(x, cos_sin=rows))


@pytest.mark.parametrize("empty", ["B", "S", "H"])
def test_zero_extents(device, empty):
    b, s, h = ({"B": B, "S": S, "H": H} | {empty: 0}).values()
    x = torch.empty(b, s, h, 2 * N, device=device)
    rows = values(b, s, h, N, device=device)
    assert torch.ops.rope.rotate(x, cos=rows, sin=rows).shape == x.shape
    rows = values(b, s, 2 * N, device=device)
    torch.ops.rope.apply(x, None, cos_sin=rows)
