"""Calls of apply whose layout or positions are wrong; see error_cases.py."""

import torch
from error_cases import Arguments, Cases, S

CASES = Cases(Arguments)
case = CASES.case


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


@case('q must be (T, H, D) in layout "thd", got [2, 3, 2, 8]')
def _thd_rank(a):
    a.keywords["layout"] = "thd"


@case('q must have 4 dimensions in layout "bhsd", got [3, 2, 8]')
def _bhsd_rank(a):
    a.q, a.k = a.q[0], a.k[0]
    a.keywords["layout"] = "bhsd"


@case('q must have 4 dimensions in layout "sbhd", got [2, 3, 2, 8, 1]')
def _sbhd_rank(a):
    a.q, a.k = a.q[..., None], a.k[..., None]
    a.keywords["layout"] = "sbhd"


@case("q and k must have the same batch and sequence extents, got [2, 3, 2, 8] and [2, 3, 1, 8]")
def _bhsd_tokens(a):
    a.keywords["layout"] = "bhsd"


@case("q and k must have the same batch and sequence extents, got [3, 2, 8] and [2, 1, 8]")
def _thd_tokens(a):
    a.q, a.k = a.q[0], a.k[0, :2]


@case("pos must be (2,), (1, 2) or (3, 2), got [3]")
def _pos_sbhd(a):
    a.keywords["layout"] = "sbhd"


def axes(a, count=3):
    a.keywords["inv_freq"] = torch.ones(count, 4, device=a.device)


@case("pos must be given where inv_freq has several axes, got an inv_freq of [3, 4]")
def _axes_without_pos(a):
    axes(a)
    a.pos = None


@case("pos must be (3, 3), (3, 1, 3) or (3, 2, 3), got [3]")
def _axes_with_one_row(a):
    axes(a)


@case("pos must be (4, 3), (4, 1, 3) or (4, 2, 3), got [2, 3]")
def _axes_with_rows_of_batches(a):
    axes(a, 4)
    a.pos = a.pos.expand(2, 3)


@case("pos must be (3, 3), (3, 1, 3) or (3, 2, 3), got [2, 3, 3]")
def _axes_last(a):
    axes(a)
    a.pos = a.pos[:, None].expand(2, 3, 3)


@case("pos must be (3, 3) for one sequence, got [3, 1, 3]")
def _axes_of_one_sequence(a):
    axes(a)
    a.q, a.k, a.pos = a.q[0], a.k[0], a.pos.expand(3, 1, 3)


@case("pos must be (3,), (1, 3) or (2, 3), got [1, 1, 3]")
def _one_axis_with_its_own_dimension(a):
    axes(a, 1)
    a.pos = a.pos.expand(1, 1, 3)


def offsets(a, *values, dtype=torch.int64):
    a.keywords["offsets"] = torch.tensor(values, dtype=dtype, device=a.device)


@case("offsets must be int32 or int64, got float32")
def _offsets_float(a):
    offsets(a, 1, 2, dtype=torch.float32)


@case("offsets must be int32 or int64, got bool")
def _offsets_bool(a):
    offsets(a, 1, 0, dtype=torch.bool)


@case("offsets must be (2,), one for each sequence, got [1]")
def _offsets_short(a):
    offsets(a, 1)


@case("offsets must be (2,), one for each sequence, got [3]")
def _offsets_of_tokens(a):
    offsets(a, 1, 2, 3)


@case("offsets must be (2,), one for each sequence, got []")
def _offsets_scalar(a):
    a.keywords["offsets"] = a.pos[0]


@case("offsets must be (1,), one for each sequence, got [2]")
def _offsets_of_one_sequence(a):
    a.q, a.k = a.q[0], a.k[0]
    offsets(a, 1, 2)


@case("q is written and must not overlap offsets; they share memory; pass a copy of one of them")
def _q_overlaps_offsets(a):
    a.keywords["offsets"] = a.q.view(torch.int64)[:, 1, 1, 1]


def ragged(a, *starts, dtype=torch.int64):
    """One sequence of tensors that cu_seqlens cuts."""
    a.q, a.k = a.q[0], a.k[0]
    a.keywords["cu_seqlens"] = torch.tensor(starts, dtype=dtype, device=a.device)


@case('cu_seqlens goes with layout "thd" alone, got "bshd" and a 4-dimensional q')
def _cu_seqlens_of_batches(a):
    a.keywords["cu_seqlens"] = torch.tensor([0, S], device=a.device)


@case('cu_seqlens goes with layout "thd" alone, got "sbhd" and a 4-dimensional q')
def _cu_seqlens_sbhd(a):
    a.pos = None
    a.keywords.update(cu_seqlens=torch.tensor([0, S], device=a.device), layout="sbhd")


@case("cu_seqlens must be int32 or int64, got float32")
def _cu_seqlens_float(a):
    ragged(a, 0, S, dtype=torch.float32)


@case("cu_seqlens must be (N + 1,), got [1, 2]")
def _cu_seqlens_rank(a):
    ragged(a, [0, S])


@case("cu_seqlens must have N + 1 values for N sequences, got 0")
def _cu_seqlens_empty(a):
    ragged(a)


@case("cu_seqlens must have N + 1 values for N sequences, got 1")
def _cu_seqlens_of_no_sequence(a):
    ragged(a, 0)


@case("offsets must be (2,), one for each sequence, got [1]")
def _offsets_of_ragged_sequences(a):
    ragged(a, 0, 1, S)
    offsets(a, 1)


@case("q is written and must not overlap cu_seqlens; they share memory; pass a copy of one of them")
def _q_overlaps_cu_seqlens(a):
    ragged(a)
    a.q.zero_()
    a.q[0, 0, 2] = torch.tensor(S, dtype=torch.int32).view(torch.float32)
    a.keywords["cu_seqlens"] = a.q.view(torch.int32)[0, 0, 1:3]


def beside_rows(a, **keywords):
    a.keywords.update(cos_sin=torch.ones(1, S, 8, device=a.device), **keywords)


BESIDE = " must not be given beside a table that has a row for each token, got "


@case("pos" + BESIDE + "[3]")
def _pos_beside_rows(a):
    beside_rows(a)


@case("offsets" + BESIDE + "[2]")
def _offsets_beside_rows(a):
    a.pos = None
    beside_rows(a, offsets=torch.tensor([1, 2], device=a.device))


@case("cu_seqlens" + BESIDE + "[2]")
def _cu_seqlens_beside_rows(a):
    a.q, a.k, a.pos = a.q[0], a.k[0], None
    beside_rows(a, cu_seqlens=torch.tensor([0, S], device=a.device))


# Values that only a host can look at.
HOST_CASES = Cases(Arguments)


@HOST_CASES.case("cu_seqlens must start with 0, got 1")
def _starts_late(a):
    ragged(a, 1, 2, S)


@HOST_CASES.case("cu_seqlens must start with 0, got -1")
def _starts_early(a):
    ragged(a, -1, S, dtype=torch.int32)


@HOST_CASES.case("cu_seqlens must end with the number of tokens, 3, got 2")
def _ends_early(a):
    ragged(a, 0, 2, dtype=torch.int32)


@HOST_CASES.case("cu_seqlens must end with the number of tokens, 3, got 4")
def _ends_late(a):
    ragged(a, 0, S, S + 1)


@HOST_CASES.case("cu_seqlens must end with the number of tokens, 0, got 1")
def _ends_behind_nothing(a):
    ragged(a, 0, 1)
    a.q, a.k, a.pos = a.q[:0], a.k[:0], None


@HOST_CASES.case("cu_seqlens must not descend, got 1 after 2 at index 2")
def _descends(a):
    ragged(a, 0, 2, 1, S)


@HOST_CASES.case("cu_seqlens must not descend, got 3 after 9 at index 3")
def _overshoots(a):
    ragged(a, 0, 1, 9, S, dtype=torch.int32)


@HOST_CASES.case("cu_seqlens must not descend, got 0 after 2 at index 2")
def _descends_with_a_stride(a):
    ragged(a)
    a.keywords["cu_seqlens"] = torch.tensor([0, 7, 2, 7, 0, 7, 3, 7], device=a.device)[::2]
