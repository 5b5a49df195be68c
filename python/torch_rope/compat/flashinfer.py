"""FlashInfer's `apply_rope_with_cos_sin_cache_inplace`."""

from __future__ import annotations

from torch import Tensor

from torch_rope.compat.vllm import rotary_embedding

__all__ = ["apply_rope_with_cos_sin_cache_inplace"]


def apply_rope_with_cos_sin_cache_inplace(
    positions: Tensor,
    query: Tensor,
    key: Tensor,
    head_size: int,
    cos_sin_cache: Tensor,
    is_neox: bool = True,
) -> None:
    """Rotates query and key in place.

    positions: (nnz,). query, key: (nnz, heads · head_size). cos_sin_cache: (max_seq_len,
    rotary_dim) = [cos | sin], float32. is_neox: half-split pairs, else interleaved ones.
    """
    rotary_embedding(positions, query, key, head_size, cos_sin_cache, is_neox)
