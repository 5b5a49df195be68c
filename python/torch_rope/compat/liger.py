"""Liger's `liger_rotary_pos_emb`."""

from __future__ import annotations

from torch import Tensor

from torch_rope import ops

__all__ = ["liger_rotary_pos_emb"]


def liger_rotary_pos_emb(
    q: Tensor,
    k: Tensor,
    cos: Tensor,
    sin: Tensor,
    position_ids: Tensor | None = None,
    unsqueeze_dim: int = 1,
) -> tuple[Tensor, Tensor]:
    """Returns q and k rotated, with gradients.

    q, k: (batch, heads, seq, head_dim). cos, sin: (1 or batch, seq, head_dim), the halves alike, as
    transformers makes them. position_ids and unsqueeze_dim change nothing, as there.
    """
    n = cos.shape[-1] // 2
    return ops.rotate_qk(q, k, cos=cos[..., :n], sin=sin[..., :n], layout="bhsd")
