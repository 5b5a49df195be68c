"""vLLM's and SGLang's `rotary_embedding`."""

from __future__ import annotations

from torch import Tensor

from torch_rope import ops
from torch_rope.compat._heads import by_heads

__all__ = ["rotary_embedding"]


def rotary_embedding(
    positions: Tensor,
    query: Tensor,
    key: Tensor | None,
    head_size: int,
    cos_sin_cache: Tensor,
    is_neox: bool,
) -> None:
    """Rotates query and key in place.

    positions: (num_tokens,) or (batch, seq). query, key: (…, heads · head_size) or (…, heads,
    head_size), of as many tokens as positions. cos_sin_cache: (max_position, rotary_dim) =
    [cos | sin]. is_neox: half-split pairs, else interleaved ones.
    """
    pos = positions.flatten()
    ops.apply(
        by_heads(query, pos.numel(), head_size),
        None if key is None else by_heads(key, pos.numel(), head_size),
        pos,
        cos_sin=cos_sin_cache,
        interleaved=not is_neox,
    )
