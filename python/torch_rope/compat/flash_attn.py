"""flash-attn's `apply_rotary_emb`."""

from __future__ import annotations

from torch import Tensor

from torch_rope import ops

__all__ = ["apply_rotary_emb"]


def apply_rotary_emb(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    interleaved: bool = False,
    inplace: bool = False,
    seqlen_offsets: int | Tensor = 0,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
) -> Tensor:
    """Returns x rotated: x itself, inplace.

    x: (batch, seqlen, heads, head_dim), or (total, heads, head_dim) with cu_seqlens, (batch + 1,).
    cos, sin: (seqlen_ro, rotary_dim / 2). seqlen_offsets: where sequences start in them, one or
    (batch,). max_seqlen is not needed.
    """
    keywords: ops.Keywords = {
        "cos": cos,
        "sin": sin,
        "interleaved": interleaved,
        "offsets": seqlen_offsets,
        "cu_seqlens": cu_seqlens,
        "layout": "bshd" if cu_seqlens is None else "thd",
    }
    if not inplace:
        return ops.rotate(x, **keywords)
    ops.apply(x, **keywords)
    return x
