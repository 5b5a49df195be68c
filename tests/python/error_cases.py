"""Calls of apply that are wrong in one thing, and the error that each of them gets."""

import torch
from cases import random

B, S, H, D = 2, 3, 2, 8


class Arguments:
    """A good call of apply, for a case to spoil."""

    def __init__(self, device, dtype=torch.float32):
        self.device = device
        self.q = random(B, S, H, D, dtype=dtype, device=device)
        self.k = random(B, S, 1, D, dtype=dtype, device=device)
        self.pos = torch.arange(S, device=device)
        self.keywords = {}

    def apply(self):
        torch.ops.rope.apply(self.q, self.k, self.pos, **self.keywords)


# Name -> (what spoils the call, the error's text after "rope::apply: ").
CASES = {}


def case(text):
    def register(spoil):
        CASES[spoil.__name__.removeprefix("_")] = (spoil, text)
        return spoil

    return register


def keyword(name, text, **keywords):
    CASES[name] = (lambda a: a.keywords.update(keywords), text)


keyword("odd", "rotary_dim must be even, got 7", rotary_dim=7)
keyword("negative-dim", "rotary_dim must be at least 2, got -2", rotary_dim=-2)
keyword("wide", "rotary_dim must be at most q's head_dim of 8, got 10", rotary_dim=10)
keyword("widest", "rotary_dim must be at most 1024, got 1026", rotary_dim=1026)
keyword("layout", 'layout must be "bshd", "bhsd", "sbhd" or "thd", got "hsbd"', layout="hsbd")
keyword("base-zero", "base must be finite and > 0, got 0", base=0.0)
keyword("base-negative", "base must be finite and > 0, got -1", base=-1.0)
keyword("base-nan", "base must be finite and > 0, got nan", base=float("nan"))
keyword("base-inf", "base must be finite and > 0, got inf", base=float("inf"))
FACTOR = "attention_factor must be finite and > 0 in float32, got "
keyword("factor-zero", FACTOR + "0", attention_factor=0.0)
keyword("factor-negative", FACTOR + "-0.5", attention_factor=-0.5)
keyword("factor-nan", FACTOR + "nan", attention_factor=float("nan"))
keyword("factor-inf", FACTOR + "inf", attention_factor=float("inf"))
keyword("factor-beyond-float32", FACTOR + "1e+39", attention_factor=1e39)


@case('q must have 4 dimensions in layout "bshd", or 3 as one sequence (T, H, D), got [6, 8]')
def _q_rank(a):
    a.q = a.q[:, :, 0].reshape(6, 8)


@case("q and k must have as many dimensions, got [2, 3, 2, 8] and [3, 1, 8]")
def _k_rank(a):
    a.k = a.k[0]


@case("q and k must have the same batch and sequence extents, got [2, 3, 2, 8] and [2, 2, 1, 8]")
def _k_tokens(a):
    a.k = a.k[:, :2]


@case("q and k must have the same batch and sequence extents, got [2, 3, 2, 8] and [1, 3, 1, 8]")
def _k_batch(a):
    a.k = a.k[:1]


@case("q must be float16, bfloat16 or float32, got float64")
def _q_dtype(a):
    a.q = a.q.double()


@case("q must be float16, bfloat16 or float32, got complex64")
def _q_complex(a):
    a.q = a.q.to(torch.complex64)


@case("q must be float16, bfloat16 or float32, got float8_e4m3fn")
def _q_float8(a):
    a.q = a.q.to(torch.float8_e4m3fn)


@case("q and k must have the same data type, got float32 and float16")
def _k_dtype(a):
    a.k = a.k.half()


@case("k must be float16, bfloat16 or float32, got int64; was it meant as pos=?")
def _pos_as_k(a):
    a.k, a.pos = a.pos, None


@case(
    "pos must be int32 or int64, got float32; count in a finer unit (torch_rope.fixed_point) or"
    " give cos and sin per token"
)
def _pos_float(a):
    a.pos = a.pos.float()


@case(
    "pos must be int32 or int64, got bool; count in a finer unit (torch_rope.fixed_point) or give"
    " cos and sin per token"
)
def _pos_bool(a):
    a.pos = a.pos.bool()


@case("pos must be int32 or int64, got int16")
def _pos_int16(a):
    a.pos = a.pos.short()


@case("pos must be (3,), (1, 3) or (2, 3), got [2]")
def _pos_short(a):
    a.pos = a.pos[:2]


@case("pos must be (3,), (1, 3) or (2, 3), got [3, 3]")
def _pos_batch(a):
    a.pos = a.pos.expand(3, 3)


@case("pos must be (3,), (1, 3) or (2, 3), got [1, 2, 3]")
def _pos_rank(a):
    a.pos = a.pos.expand(1, 2, 3)


@case("pos must be (3,), (1, 3) or (2, 3), got []")
def _pos_scalar(a):
    a.pos = a.pos[0]


@case("pos must be (3,) for one sequence, got [1, 3]")
def _pos_of_one_sequence(a):
    a.q, a.k, a.pos = a.q[0], a.k[0], a.pos[None]


@case("the last stride of q must be 1, got 2")
def _q_stride(a):
    a.q = random(B, S, H, 2 * D, dtype=torch.float32, device=a.device)[..., ::2]


@case("the last stride of k must be 1, got 3")
def _k_stride(a):
    a.k = random(B, S, D, 3, dtype=torch.float32, device=a.device).transpose(2, 3)


@case("q must not be a negative or conjugate view; pass q.resolve_neg()")
def _q_negative_view(a):
    a.q = torch._neg_view(a.q)


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


@case("cos_sin must be (rows, rotary_dim), got [8]")
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


@case("rotary_dim must be given where q and k differ in head_dim, got 8 and 6")
def _head_dims(a):
    a.k = a.k[..., :6].contiguous()


@case("rotary_dim must be at most k's head_dim of 6, got 8")
def _k_narrow(a):
    a.k = a.k[..., :6].contiguous()
    a.keywords["rotary_dim"] = 8


@case("q is written and must not overlap itself, got sizes [2, 3, 2, 8] and strides [48, 16, 0, 1]")
def _q_expanded(a):
    a.q = a.q[:, :, :1].expand(B, S, H, D)


@case("q is written and must not overlap itself, got sizes [2, 3, 2, 8] and strides [48, 16, 4, 1]")
def _q_overlaps_itself(a):
    a.q = a.q.as_strided((B, S, H, D), (48, 16, 4, 1))


# Strides so close to each other that the search for a common element is given up.
@case(
    "q is written and must not have strides that may overlap, got sizes [6, 33, 35, 8] and strides"
    " [1794, 1538, 1231, 1]"
)
def _q_strides_undecided(a):
    flat = torch.zeros(101000, device=a.device)
    a.q, a.k = flat.as_strided((6, 33, 35, 8), (1794, 1538, 1231, 1)), None
    a.pos = torch.arange(33, device=a.device)


@case("q is written and must not overlap k; they share memory; pass a copy of one of them")
def _q_overlaps_k(a):
    a.k = a.q[:, :, 1:]


@case("k is written and must not overlap pos; they share memory; pass a copy of one of them")
def _k_overlaps_pos(a):
    a.pos = a.k.view(torch.int32)[0, :, 0, 0]


@case("q is written and must not overlap cos_sin; they share memory; pass a copy of one of them")
def _q_overlaps_table(a):
    a.keywords["cos_sin"] = a.q[0, :, 0]


@case("q is written and must not overlap inv_freq; they share memory; pass a copy of one of them")
def _q_overlaps_frequencies(a):
    a.keywords["inv_freq"] = a.q[1, 1, 1, :4]
