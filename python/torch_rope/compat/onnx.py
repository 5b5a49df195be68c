"""ONNX's operator `RotaryEmbedding`, of opset 23."""

from __future__ import annotations

from torch import Tensor

from torch_rope import ops

__all__ = ["rotary_embedding"]


def rotary_embedding(
    X: Tensor,
    cos_cache: Tensor,
    sin_cache: Tensor,
    position_ids: Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Tensor:
    """Returns X rotated, with gradients.

    X: (batch, heads, seq, head_size), or (batch, seq, hidden_size) with num_heads. cos_cache,
    sin_cache: (max_position, n) with position_ids, (batch, seq), else (batch, seq, n);
    n = rotary_embedding_dim / 2, and half the head where that is 0.
    """
    flat = X.dim() == 3
    if flat and num_heads <= 0:
        raise ValueError(f"rotary_embedding: X of 3 dimensions needs num_heads, got {num_heads}")
    x = X.view(*X.shape[:2], num_heads, -1) if flat else X
    rotated = ops.rotate(
        x,
        position_ids,
        cos=cos_cache,
        sin=sin_cache,
        rotary_dim=rotary_embedding_dim,
        interleaved=bool(interleaved),
        layout="bshd" if flat else "bhsd",
    )
    return rotated.flatten(-2) if flat else rotated
