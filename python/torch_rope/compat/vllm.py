"""vLLM's and SGLang's `rotary_embedding`."""

from __future__ import annotations

from torch import Tensor

from torch_rope import ops

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
    by_heads = (pos.numel(), -1, head_size)
    ops.apply(
        query.view(by_heads),
        None if key is None else key.view(by_heads),
        pos,
        cos_sin=cos_sin_cache,
        interleaved=not is_neox,
    )
