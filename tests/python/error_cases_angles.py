"""Calls of apply whose frequencies, tables or rotated part are wrong; see error_cases.py."""

import torch
from error_cases import Arguments, B, Cases, D, H, S

CASES = Cases(Arguments)
case, keyword = CASES.case, CASES.keyword


@case("inv_freq must be float32, float64 or int64 (turns), got float16")
def _inv_freq_half(a):
    a.keywords["inv_freq"] = torch.ones(4, device=a.device, dtype=torch.float16)


@case("inv_freq must be float32, float64 or int64 (turns), got bfloat16")
def _inv_freq_bfloat16(a):
    a.keywords["inv_freq"] = torch.ones(4, device=a.device, dtype=torch.bfloat16)


@case("inv_freq must be float32, float64 or int64 (turns), got int32")
def _inv_freq_int32(a):
    a.keywords["inv_freq"] = torch.ones(4, device=a.device, dtype=torch.int32)


@case("inv_freq must be float32, float64 or int64 (turns), got bool")
def _inv_freq_bool(a):
    a.keywords["inv_freq"] = torch.ones(4, device=a.device, dtype=torch.bool)


@case("inv_freq must have rotary_dim / 2 = 3 values, got [4]")
def _inv_freq_length(a):
    a.keywords.update(inv_freq=torch.ones(4, device=a.device), rotary_dim=6)


@case("rotary_dim must be at most q's head_dim of 8, got 10")
def _inv_freq_wide(a):
    a.keywords["inv_freq"] = torch.ones(5, device=a.device)


@case("cos_sin must be float32, got float64")
def _table_dtype(a):
    a.keywords["cos_sin"] = torch.ones(4, 8, device=a.device, dtype=torch.float64)


@case("cos_sin must be float32, got bfloat16")
def _table_16_bit(a):
    a.keywords["cos_sin"] = torch.ones(4, 8, device=a.device, dtype=torch.bfloat16)


@case("cos_sin must be float32 or of the rotated tensors' data type, got float16")
def _table_of_the_other_16_bit(a):
    a.q, a.k = a.q.bfloat16(), a.k.bfloat16()
    a.keywords["cos_sin"] = torch.ones(4, 8, device=a.device, dtype=torch.float16)


@case("cos_sin must be (rows, rotary_dim), or 3-dimensional with a row for each token, got [8]")
def _table_rank(a):
    a.keywords["cos_sin"] = torch.ones(8, device=a.device)


@case("cos_sin must have rotary_dim = 8 columns, got [4, 6]")
def _table_width(a):
    a.keywords.update(cos_sin=torch.ones(4, 6, device=a.device), rotary_dim=8)


@case("rotary_dim must be even, got 7")
def _table_odd(a):
    a.keywords["cos_sin"] = torch.ones(4, 7, device=a.device)


@case("the last stride of cos_sin must be 1, got 4")
def _table_stride(a):
    a.keywords["cos_sin"] = torch.ones(8, 4, device=a.device).T


@case("inv_freq must have rotary_dim / 2 = 4 values, got [3]")
def _table_and_frequencies(a):
    a.keywords.update(
        cos_sin=torch.ones(4, 8, device=a.device), inv_freq=torch.ones(3, device=a.device)
    )


@case("inv_freq must be (n,), (A, n) or (A, H, n) with n = rotary_dim / 2, got []")
def _inv_freq_scalar(a):
    a.keywords["inv_freq"] = torch.ones((), device=a.device)


@case("inv_freq must be (n,), (A, n) or (A, H, n) with n = rotary_dim / 2, got [1, 1, 1, 4]")
def _inv_freq_rank(a):
    a.keywords["inv_freq"] = torch.ones(1, 1, 1, 4, device=a.device)


@case("inv_freq must have 1 to 4 position axes, got [5, 4]")
def _inv_freq_axes(a):
    a.keywords["inv_freq"] = torch.ones(5, 4, device=a.device)


@case("inv_freq must have 1 to 4 position axes, got [0, 4]")
def _inv_freq_no_axes(a):
    a.keywords["inv_freq"] = torch.ones(0, 4, device=a.device)


@case("inv_freq must have as many heads as q, 2, got [1, 1, 4]")
def _inv_freq_heads_of_q(a):
    a.keywords["inv_freq"] = torch.ones(1, 1, 4, device=a.device)


@case("inv_freq must have as many heads as k, 1, got [1, 2, 4]")
def _inv_freq_heads_of_k(a):
    a.keywords["inv_freq"] = torch.ones(1, 2, 4, device=a.device)


@case("inv_freq must have rotary_dim / 2 = 3 values, got [2, 4]")
def _inv_freq_length_on_axes(a):
    a.keywords.update(inv_freq=torch.ones(2, 4, device=a.device), rotary_dim=6)


keyword("offset-beyond", "rotary_offset must lie within q's head_dim of 8, got 9", rotary_offset=9)
keyword(
    "offset-before", "rotary_offset must lie within q's head_dim of 8, got -9", rotary_offset=-9
)
keyword("offset-at-the-end", "rotary_dim must be at least 2, got 0", rotary_offset=8)
keyword("offset-odd", "rotary_dim must be even, got 5", rotary_offset=3)
ROOM = "rotary_dim must be at most 2, the part of q's head_dim of 8 from rotary_offset "
keyword("room", ROOM + "6 on, got 4", rotary_offset=6, rotary_dim=4)
keyword("room-from-the-end", ROOM + "-2 on, got 4", rotary_offset=-2, rotary_dim=4)


@case("rotary_offset must lie within k's head_dim of 6, got -8")
def _offset_outside_k(a):
    a.k = a.k[..., :6].contiguous()
    a.keywords.update(rotary_offset=-8, rotary_dim=6)


@case("rotary_dim must be at most 4, the part of k's head_dim of 6 from rotary_offset 2 on, got 6")
def _room_of_k(a):
    a.k = a.k[..., :6].contiguous()
    a.keywords.update(rotary_offset=2, rotary_dim=6)


@case("rotary_dim must be given where q and k differ in head_dim, got 8 and 6")
def _head_dims_behind_an_offset(a):
    a.k = a.k[..., :6].contiguous()
    a.keywords["rotary_offset"] = 2


@case("cos_sin with a row for each token must start with (2, 3) or (1, 3), got [2, 4, 8]")
def _rows_of_other_tokens(a):
    a.pos = None
    a.keywords["cos_sin"] = torch.ones(B, S + 1, D, device=a.device)


@case("cos_sin with a row for each token must start with (2, 3) or (1, 3), got [3, 3, 8]")
def _rows_of_other_batches(a):
    a.pos = None
    a.keywords["cos_sin"] = torch.ones(B + 1, S, D, device=a.device)


@case(
    "cos_sin must be (rows, rotary_dim), or 3-dimensional with a row for each token, got"
    " [2, 3, 2, 8]"
)
def _cos_sin_of_each_head(a):
    a.pos = None
    a.keywords["cos_sin"] = torch.ones(B, S, H, D, device=a.device)


@case("inv_freq beside a table must have one axis and serve all heads, got [2, 4]")
def _table_beside_axes(a):
    a.keywords.update(
        cos_sin=torch.ones(4, 8, device=a.device), inv_freq=torch.ones(2, 4, device=a.device)
    )


@case("inv_freq beside a table must have one axis and serve all heads, got [1, 2, 4]")
def _table_beside_heads(a):
    a.keywords.update(
        cos_sin=torch.ones(4, 8, device=a.device), inv_freq=torch.ones(1, 2, 4, device=a.device)
    )


def cos_and_sin(cos, sin, *, types=(torch.float32, torch.float32), positions=True):
    """Spoils a call by cos and sin of these extents and types."""

    def spoil(a):
        a.pos = a.pos if positions else None
        for name, extents, dtype in zip(("cos", "sin"), (cos, sin), types, strict=True):
            a.keywords[name] = torch.ones(extents, dtype=dtype, device=a.device)

    return spoil


def of_each_token(*extents):
    return cos_and_sin(extents, extents, positions=False)


ADD = CASES.add
ADD(
    "cos-dtype",
    "cos must be float32, got float64",
    cos_and_sin((4, 4), (4, 4), types=(torch.float64, torch.float32)),
)
ADD(
    "sin-dtype",
    "sin must be float32, got int64",
    cos_and_sin((4, 4), (4, 4), types=(torch.float32, torch.int64)),
)
RANKS = "cos and sin must be (rows, n), (B, S, n) or (B, S, H, n) with n = rotary_dim / 2, got "
ADD("cos-rank-1", RANKS + "[4]", cos_and_sin((4,), (4,)))
ADD("cos-rank-5", RANKS + "[1, 2, 3, 2, 4]", of_each_token(1, B, S, H, 4))
EXTENTS = "cos and sin must have the same extents, got "
ADD("cos-sin-ranks", EXTENTS + "[4, 4] and [2, 3, 4]", cos_and_sin((4, 4), (B, S, 4)))
ADD("cos-sin-rows", EXTENTS + "[4, 4] and [5, 4]", cos_and_sin((4, 4), (5, 4)))
ADD("cos-sin-columns", EXTENTS + "[4, 4] and [4, 3]", cos_and_sin((4, 4), (4, 3)))
ADD(
    "cos-width",
    "rotary_dim must be at most q's head_dim of 8, got 10",
    cos_and_sin((4, 5), (4, 5)),
)
FIRST = "cos with a row for each token must start with (2, 3) or (1, 3), got "
ADD("cos-tokens", FIRST + "[2, 4, 4]", of_each_token(B, S + 1, 4))
ADD("cos-batches", FIRST + "[3, 3, 1, 4]", of_each_token(B + 1, S, 1, 4))
ADD(
    "cos-heads-of-q",
    "cos and sin must have as many heads as q, 2, or 1, got [2, 3, 3, 4]",
    of_each_token(B, S, 3, 4),
)
ADD(
    "cos-heads-of-k",
    "cos and sin must have as many heads as k, 1, or 1, got [2, 3, 2, 4]",
    of_each_token(B, S, H, 4),
)


@case("cos and sin must have rotary_dim / 2 = 4 columns, got [4, 3]")
def _cos_columns(a):
    cos_and_sin((4, 3), (4, 3))(a)
    a.keywords["rotary_dim"] = 8


@case("cos and sin must have the same data type, got float32 and float16")
def _cos_and_sin_types(a):
    a.q, a.k = a.q.half(), a.k.half()
    cos_and_sin((4, 4), (4, 4), types=(torch.float32, torch.float16))(a)


@case("cos and sin must be given together, got cos alone")
def _cos_alone(a):
    a.keywords["cos"] = torch.ones(4, 4, device=a.device)


@case("cos and sin must be given together, got sin alone")
def _sin_alone(a):
    a.keywords["sin"] = torch.ones(4, 4, device=a.device)


@case("cos_sin must not be given beside cos and sin, got all three")
def _two_tables(a):
    cos_and_sin((4, 4), (4, 4))(a)
    a.keywords["cos_sin"] = torch.ones(4, 8, device=a.device)


@case("q is written and must not overlap sin; they share memory; pass a copy of one of them")
def _q_overlaps_sin(a):
    a.keywords.update(cos=torch.ones(S, 4, device=a.device), sin=a.q[0, :, 0, ::2])
