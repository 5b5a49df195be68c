"""Calls of apply_qkv and rerotate that are wrong in one thing; see error_cases.py.

What they have in common with apply is listed there: here is what they name differently.
"""

import torch
from cases import random
from error_cases import B, Cases, D, H, S


class PackedArguments:
    """A good call of apply_qkv."""

    op = "rope::apply_qkv"

    def __init__(self, device, dtype=torch.float32):
        self.device = device
        self.qkv = random(B, S, 4, D, dtype=dtype, device=device)
        self.pos = torch.arange(S, device=device)
        self.keywords = {"num_heads_q": 2, "num_heads_k": 1}

    def run(self):
        torch.ops.rope.apply_qkv(self.qkv, self.pos, **self.keywords)

    def tensors(self):
        given = [self.qkv, self.pos, *self.keywords.values()]
        return [t for t in given if isinstance(t, torch.Tensor)]


class RerotateArguments:
    """A good call of rerotate."""

    op = "rope::rerotate"

    def __init__(self, device, dtype=torch.float32):
        self.device = device
        self.k = random(B, S, H, D, dtype=dtype, device=device)
        self.old_pos = torch.arange(S, device=device)
        self.new_pos = self.old_pos.repeat(B, 1) + 5
        self.keywords = {}

    def run(self):
        torch.ops.rope.rerotate(self.k, self.old_pos, self.new_pos, **self.keywords)

    def tensors(self):
        given = [self.k, self.old_pos, self.new_pos, *self.keywords.values()]
        return [t for t in given if isinstance(t, torch.Tensor)]


PACKED = Cases(PackedArguments)
packed, packed_keyword = PACKED.case, PACKED.keyword


@packed("qkv must be float16, bfloat16 or float32, got int32")
def _integers(a):
    a.qkv = a.qkv.int()


packed_keyword("odd", "rotary_dim must be even, got 7", rotary_dim=7)
packed_keyword("wide", "rotary_dim must be at most qkv's head_dim of 8, got 10", rotary_dim=10)
packed_keyword(
    "offset", "rotary_offset must lie within qkv's head_dim of 8, got 9", rotary_offset=9
)
packed_keyword("base", "base must be finite and > 0, got -1", base=-1.0)
packed_keyword(
    "factor", "attention_factor must be finite and > 0 in float32, got 0", attention_factor=0.0
)
packed_keyword(
    "layout", 'layout must be "bshd", "bhsd", "sbhd" or "thd", got "bs3hd"', layout="bs3hd"
)
packed_keyword("thd", 'qkv must be (T, H, D) in layout "thd", got [2, 3, 4, 8]', layout="thd")
packed_keyword("heads-q", "num_heads_q must be at least 0, got -1", num_heads_q=-1)
packed_keyword("heads-k", "num_heads_k must be at least 0, got -2", num_heads_k=-2)
HEADS = "num_heads_q + num_heads_k must be at most the 4 heads of qkv, got "
packed_keyword("many-heads", HEADS + "3 and 2", num_heads_q=3, num_heads_k=2)
packed_keyword("too-many-heads-q", HEADS + "5 and 0", num_heads_q=5, num_heads_k=0)
LARGEST = 2**63 - 1
packed_keyword(
    "overflowing-heads",
    HEADS + f"{LARGEST} and {LARGEST}",
    num_heads_q=LARGEST,
    num_heads_k=LARGEST,
)
packed_keyword(
    "heads-of-another-layout",
    "num_heads_q + num_heads_k must be at most the 3 heads of qkv, got 3 and 1",
    layout="bhsd",
    num_heads_q=3,
)


@packed('qkv must have 4 dimensions in layout "bshd", or 3 as one sequence (T, H, D), got [6, 32]')
def _qkv_rank(a):
    a.qkv = a.qkv.reshape(6, 32)


@packed("qkv must be float16, bfloat16 or float32, got float64")
def _qkv_dtype(a):
    a.qkv = a.qkv.double()


@packed("the last stride of qkv must be 1, got 2")
def _qkv_stride(a):
    a.qkv = random(B, S, 4, 2 * D, dtype=torch.float32, device=a.device)[..., ::2]


@packed("qkv must not be a negative or conjugate view; pass qkv.resolve_neg()")
def _qkv_negative_view(a):
    a.qkv = torch._neg_view(a.qkv)


@packed("pos must be (3,), (1, 3) or (2, 3), got [2]")
def _pos_short(a):
    a.pos = a.pos[:2]


@packed("inv_freq must have as many heads as q, 2, got [1, 4, 4]")
def _frequencies_of_all_heads(a):
    a.keywords["inv_freq"] = torch.ones(1, 4, 4, device=a.device)


@packed("inv_freq must have as many heads as k, 1, got [1, 2, 4]")
def _frequencies_of_the_heads_of_q(a):
    a.keywords["inv_freq"] = torch.ones(1, 2, 4, device=a.device)


@packed("cos and sin must have as many heads as q, 2, or 1, got [2, 3, 4, 4]")
def _rows_of_all_heads(a):
    a.pos = None
    a.keywords.update({name: torch.ones(B, S, 4, 4, device=a.device) for name in ("cos", "sin")})


@packed('cu_seqlens goes with layout "thd" alone, got "bshd" and a 4-dimensional qkv')
def _cu_seqlens(a):
    a.keywords["cu_seqlens"] = torch.tensor([0, S], device=a.device)


@packed(
    "qkv is written and must not overlap itself, got sizes [2, 3, 4, 8] and strides [96, 32, 0, 1]"
)
def _qkv_expanded(a):
    a.qkv = a.qkv[:, :, :1].expand(B, S, 4, D)


@packed(
    "qkv is written and must not overlap cos_sin; they share memory; pass a copy of one of them"
)
def _qkv_overlaps_table(a):
    a.keywords["cos_sin"] = a.qkv[0, :, 0]


@packed("qkv is written and must not overlap pos; they share memory; pass a copy of one of them")
def _values_overlap_pos(a):
    """In the value heads, which are not written: a graph sees the whole tensor as one."""
    a.pos = a.qkv.view(torch.int32)[0, :, 3, 0]


REROTATE = Cases(RerotateArguments)
rerotate, rerotate_keyword = REROTATE.case, REROTATE.keyword

rerotate_keyword("odd", "rotary_dim must be even, got 7", rotary_dim=7)
rerotate_keyword("wide", "rotary_dim must be at most k's head_dim of 8, got 10", rotary_dim=10)
rerotate_keyword("base", "base must be finite and > 0, got nan", base=float("nan"))
SCALE = "scale must be finite and > 0 in float32, got "
rerotate_keyword("scale-zero", SCALE + "0", scale=0.0)
rerotate_keyword("scale-negative", SCALE + "-1", scale=-1.0)
rerotate_keyword("scale-inf", SCALE + "inf", scale=float("inf"))
rerotate_keyword("scale-nan", SCALE + "nan", scale=float("nan"))
rerotate_keyword("thd", 'k must be (T, H, D) in layout "thd", got [2, 3, 2, 8]', layout="thd")


@rerotate("k must be float16, bfloat16 or float32, got int32")
def _k_dtype(a):
    a.k = a.k.int()


@rerotate("the last stride of k must be 1, got 2")
def _k_stride(a):
    a.k = random(B, S, H, 2 * D, dtype=torch.float32, device=a.device)[..., ::2]


@rerotate("new_pos must be (3,), (1, 3) or (2, 3), got [2]")
def _new_pos_short(a):
    a.new_pos = a.new_pos[0, :2]


@rerotate("old_pos must be (3,), (1, 3) or (2, 3), got [4]")
def _old_pos_long(a):
    a.old_pos = torch.arange(4, device=a.device)


@rerotate(
    "old_pos must be int32 or int64, got float32; count in a finer unit (torch_rope.fixed_point)"
)
def _old_pos_float(a):
    a.old_pos = a.old_pos.float()


@rerotate("new_pos must be (2, 3), (2, 1, 3) or (2, 2, 3), got [3]")
def _new_pos_without_axes(a):
    a.new_pos = a.new_pos[0]
    a.keywords.update(
        old_inv_freq=torch.ones(4, device=a.device), new_inv_freq=torch.ones(2, 4, device=a.device)
    )


@rerotate("old_pos must be (3, 3), (3, 1, 3) or (3, 2, 3), got [3]")
def _old_pos_without_axes(a):
    a.keywords.update(
        old_inv_freq=torch.ones(3, 4, device=a.device), new_inv_freq=torch.ones(4, device=a.device)
    )


@rerotate("old_inv_freq must be float32, float64 or int64 (turns), got float16")
def _old_frequencies_half(a):
    a.keywords["old_inv_freq"] = torch.ones(4, dtype=torch.float16, device=a.device)


@rerotate("new_inv_freq must be float32, float64 or int64 (turns), got bool")
def _new_frequencies_bool(a):
    a.keywords["new_inv_freq"] = torch.ones(4, dtype=torch.bool, device=a.device)


@rerotate("old_inv_freq must have 1 to 4 position axes, got [5, 4]")
def _old_axes(a):
    a.keywords["old_inv_freq"] = torch.ones(5, 4, device=a.device)


@rerotate("new_inv_freq must have as many heads as k, 2, got [1, 3, 4]")
def _new_heads(a):
    a.keywords["new_inv_freq"] = torch.ones(1, 3, 4, device=a.device)


@rerotate("old_inv_freq must have rotary_dim / 2 = 4 values, got [3]")
def _frequencies_of_two_widths(a):
    a.keywords.update(
        old_inv_freq=torch.ones(3, device=a.device), new_inv_freq=torch.ones(4, device=a.device)
    )


@rerotate("new_inv_freq must have rotary_dim / 2 = 3 values, got [4]")
def _new_frequencies_of_another_width(a):
    a.keywords.update(new_inv_freq=torch.ones(4), rotary_dim=6)


@rerotate(
    "k is written and must not overlap itself, got sizes [2, 3, 2, 8] and strides [0, 16, 8, 1]"
)
def _k_expanded(a):
    a.k = a.k[:1].expand(B, S, H, D)


OVERLAPS = "; they share memory; pass a copy of one of them"


@rerotate("k is written and must not overlap new_pos" + OVERLAPS)
def _k_overlaps_new_pos(a):
    a.new_pos = a.k.view(torch.int32)[0, :, 0, 0]


@rerotate("k is written and must not overlap old_pos" + OVERLAPS)
def _k_overlaps_old_pos(a):
    a.old_pos = a.k.view(torch.int64)[0, :, 0, 0]


@rerotate("k is written and must not overlap old_inv_freq" + OVERLAPS)
def _k_overlaps_old_frequencies(a):
    a.keywords["old_inv_freq"] = a.k[1, 1, 1, :4]


@rerotate("k is written and must not overlap new_inv_freq" + OVERLAPS)
def _k_overlaps_new_frequencies(a):
    a.keywords.update(old_inv_freq=torch.ones(4, device=a.device), new_inv_freq=a.k[1, 1, 1, :4])
