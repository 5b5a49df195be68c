"""Calls that are wrong in one thing, and the error that each of them gets.

Here what calls look like, how cases are listed, and the cases of apply's q, k and numbers; those of
its angles and positions and of the other ops are in the error_cases_*.py files.
"""

import torch
from cases import random

B, S, H, D = 2, 3, 2, 8


class Arguments:
    """A good call of apply, for a case to spoil."""

    op = "rope::apply"

    def __init__(self, device, dtype=torch.float32):
        self.device = device
        self.q = random(B, S, H, D, dtype=dtype, device=device)
        self.k = random(B, S, 1, D, dtype=dtype, device=device)
        self.pos = torch.arange(S, device=device)
        self.keywords = {}

    def run(self):
        torch.ops.rope.apply(self.q, self.k, self.pos, **self.keywords)

    def tensors(self):
        """Returns every tensor of the call."""
        given = [*vars(self).values(), *self.keywords.values()]
        return [t for t in given if isinstance(t, torch.Tensor)]


class Cases(dict):
    """Name -> (what makes the good call, what spoils it, the error's text after the op's name)."""

    def __init__(self, arguments):
        super().__init__()
        self._arguments = arguments

    def add(self, name, text, spoil):
        assert name not in self
        self[name] = (self._arguments, spoil, text)

    def case(self, text):
        def register(spoil):
            self.add(spoil.__name__.removeprefix("_"), text, spoil)
            return spoil

        return register

    def keyword(self, name, text, **keywords):
        self.add(name, text, lambda a: a.keywords.update(keywords))


CASES = Cases(Arguments)
case, keyword = CASES.case, CASES.keyword


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


@case("the last stride of q must be 1, got 2")
def _q_stride(a):
    a.q = random(B, S, H, 2 * D, dtype=torch.float32, device=a.device)[..., ::2]


@case("the last stride of k must be 1, got 3")
def _k_stride(a):
    a.k = random(B, S, D, 3, dtype=torch.float32, device=a.device).transpose(2, 3)


@case("q must not be a negative or conjugate view; pass q.resolve_neg()")
def _q_negative_view(a):
    a.q = torch._neg_view(a.q)


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
