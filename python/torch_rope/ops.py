"""The operators as typed functions: same names, same keywords, same errors as torch.ops.rope.

A function forwards only what it was given, because every keyword that crosses into the dispatcher
costs time. The exact contract of each keyword is in the class Keywords.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import torch
from torch import Tensor

from torch_rope._library import native, ops

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Keywords(TypedDict, total=False):
    """What every rotating operator takes by keyword.

    Exactly one source of the angle: ``inv_freq``, a table (``cos_sin``, or ``cos`` and ``sin``), a
    table with ``inv_freq`` for the positions it lacks, or none of them: then ``base``.
    """

    inv_freq: Tensor | None
    """Radians per position, float32 or float64, taken as exact: (n,) with n = rotary_dim / 2,
    (A, n) for A <= 4 position axes, or (A, H, n) for each head. int64: turns, from `turns`. May be
    on the CPU while the rotated tensor is on a GPU."""
    cos_sin: Tensor | None
    """Table (rows, 2n) = [cos | sin], float32 or the rotated tensor's type; row p serves position
    p. Or a row for each token: (B, S, 2n) or (1, S, 2n)."""
    cos: Tensor | None
    """The same as two tensors, any strides: (rows, n), (B, S, n), (1, S, n) or (B, S, H, n)."""
    sin: Tensor | None
    """See `cos`: given together."""
    base: float
    """Without frequencies and table: inv_freq[i] = base^(-2i / rotary_dim). Default 10000."""
    attention_factor: float
    """Multiplies computed cosines and sines; finite and > 0. Default 1."""
    rotary_dim: int
    """How many components are rotated: even, 2 to 1024. 0, the default: the width of inv_freq or
    of the table, else what the head has after rotary_offset."""
    rotary_offset: int
    """Where they start; negative counts from the end of the head. Default 0."""
    interleaved: bool
    """False, the default: pairs (i, i + n), as GPT-NeoX. True: pairs (2i, 2i + 1), as GPT-J."""
    inverse: bool
    """Rotates by the negative angle (same attention_factor). Default False."""
    layout: str
    """Order of the dimensions: "bshd", the default (three dimensions are read as "thd"), "bhsd",
    "sbhd" or "thd"."""
    offsets: Tensor | int | None
    """(B,) int32 or int64, or one int: added to all positions of a sequence. (N,) with cu_seqlens,
    (1,) for thd without."""
    cu_seqlens: Tensor | None
    """(N + 1,) int32 or int64, thd only: where sequences start; positions restart there."""
    skip_negative: bool
    """Leaves tokens alone whose given position is negative (on the first axis). Default False."""


class ReRotateKeywords(TypedDict, total=False):
    """What `rerotate` takes by keyword; see Keywords."""

    old_inv_freq: Tensor | None
    """The frequencies that the keys were rotated with; None: those of `base`."""
    new_inv_freq: Tensor | None
    """The frequencies they get; None: the old ones."""
    base: float
    scale: float
    """Multiplies cosines and sines: a ratio of attention factors. Default 1."""
    rotary_dim: int
    rotary_offset: int
    interleaved: bool
    layout: str
    skip_negative: bool


_apply = ops.apply.default
_rotate = ops.rotate.default
_rotate_qk = ops.rotate_qk.default
_apply_qkv = ops.apply_qkv.default
_rerotate = ops.rerotate.default
_cos_sin_table = ops.cos_sin_table.default
_turns = ops.turns.default


def _with_offsets(x: Tensor, keywords: Any) -> None:
    """Turns an int in keywords["offsets"] into the tensor of one offset per sequence of x."""
    offsets = keywords["offsets"]
    if not isinstance(offsets, int):
        return
    layout = keywords.get("layout", "bshd")
    cu_seqlens = keywords.get("cu_seqlens")
    if cu_seqlens is not None:
        sequences = max(cu_seqlens.numel() - 1, 0)
    elif x.dim() != 4:
        sequences = 1
    else:
        sequences = x.shape[1 if layout == "sbhd" else 0]
    keywords["offsets"] = torch.full((sequences,), offsets, dtype=torch.int64, device=x.device)


def apply(
    q: Tensor, k: Tensor | None = None, pos: Tensor | None = None, **keywords: Unpack[Keywords]
) -> None:
    """Rotates q, and k where it is given, in place.

    q, k: float16, bfloat16 or float32, same type and device, (B, S, H, D) or as `layout` says; the
    last stride is 1, any other strides; H, D and strides may differ between them.
    pos: int32 or int64, (S,), (1, S) or (B, S), (T,) for thd; None counts 0, 1, 2, ... from the
    start of each sequence. A leading dimension (A,) where inv_freq has A > 1 axes.

    Raises RuntimeError before anything is written, naming operator, rule and value: on mismatched
    shapes, types or devices, tensors that overlap, and on tensors that require grad in grad mode.
    """
    if "offsets" in keywords:
        _with_offsets(q, keywords)
    _apply(q, k, pos, **keywords)


def rotate(x: Tensor, pos: Tensor | None = None, **keywords: Unpack[Keywords]) -> Tensor:
    """Returns x rotated, laid out as torch.empty_like(x); differentiable in x and inv_freq.

    Components outside the rotated ones are copied bit for bit. Arguments as for `apply`; x may
    have repeated (expanded) elements.
    """
    if "offsets" in keywords:
        _with_offsets(x, keywords)
    result: Tensor = _rotate(x, pos, **keywords)
    return result


def rotate_qk(
    q: Tensor, k: Tensor, pos: Tensor | None = None, **keywords: Unpack[Keywords]
) -> tuple[Tensor, Tensor]:
    """Returns q and k rotated, in one launch; otherwise as `rotate`."""
    if "offsets" in keywords:
        _with_offsets(q, keywords)
    result: tuple[Tensor, Tensor] = _rotate_qk(q, k, pos, **keywords)
    return result


def apply_qkv(
    qkv: Tensor,
    pos: Tensor | None = None,
    *,
    num_heads_q: int,
    num_heads_k: int,
    **keywords: Unpack[Keywords],
) -> None:
    """Rotates the query and key heads of a packed projection in place.

    qkv: (B, S, Hq + Hk + Hv, D) or its form in another layout; any head count may be 0. The value
    heads are neither read nor written. Everything else as for `apply`.
    """
    if "offsets" in keywords:
        _with_offsets(qkv, keywords)
    _apply_qkv(qkv, pos, num_heads_q=num_heads_q, num_heads_k=num_heads_k, **keywords)


def rerotate(
    k: Tensor, old_pos: Tensor, new_pos: Tensor, **keywords: Unpack[ReRotateKeywords]
) -> None:
    """Turns keys rotated for old_pos into keys rotated for new_pos, in place, with one rounding.

    k, old_pos and new_pos as k and pos of `apply`; both positions are required.
    """
    _rerotate(k, old_pos, new_pos, **keywords)


def cos_sin_table(
    inv_freq: Tensor, rows: int, *, start: int = 0, attention_factor: float = 1.0
) -> Tensor:
    """Returns the table [cos | sin] of positions start ... start + rows - 1.

    inv_freq: (n,) or (1, n), float32 or float64 radians per position, or int64 turns. The table is
    float32, (rows, 2n), on inv_freq's device; it holds the values that are computed without one.
    """
    result: Tensor = _cos_sin_table(inv_freq, rows, start=start, attention_factor=attention_factor)
    return result


def turns(inv_freq: Tensor) -> Tensor:
    """Returns inv_freq / 2 pi * 2^64 to the nearest integer, as int64 (mod 2^64), same shape.

    inv_freq: float32 or float64, radians per position, finite.
    """
    result: Tensor = _turns(inv_freq)
    return result


def explain(
    q: Tensor, k: Tensor | None = None, pos: Tensor | None = None, **keywords: Unpack[Keywords]
) -> dict[str, Any]:
    """Says what `apply` would do with these arguments; nothing is run or written.

    backend: type of q's device. angles: "table" or "computed". frequencies: where they lie: "base",
    "host" (an inv_freq on the CPU: read by the call, so that a captured graph keeps its values),
    "device", or None for a table alone. copies: names of arguments that are copied first, because
    the kernels do not take their strides. bytes: rotated components read and written, positions
    and table rows read. vector_bytes: of one memory access of a thread, on the CPU of a register;
    less than 16 on a GPU means that an address, stride or rotary_dim is no multiple of 16 bytes.
    heads_per_thread: heads that share the angles a thread has made.
    grid, block (of the first rotation), launches (all of the call, copies and conversions too):
    None on the CPU. error: None, or the text that `apply` would raise; the rest is then None.

    Tensors without memory are told about too: fake ones as if their storage were aligned, on this
    GPU or, where there is none, on one of 132 multiprocessors; symbolic extents leave all that
    depends on them None, and so does the meta device, where nothing runs.
    """
    offsets = keywords.get("offsets")
    if "offsets" in keywords:
        _with_offsets(q, keywords)
    said = native.explain(q, k, pos, **keywords)
    if isinstance(offsets, int) and said["launches"] is not None:
        said["launches"] += 1  # fills the tensor that the operator gets
    return said


def build_info() -> dict[str, Any]:
    """Says what this binary is: version, torch_built, torch_found, cuda, architectures, ptx."""
    return native.build_info()
