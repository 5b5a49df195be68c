"""TransformerEngine's `apply_rotary_pos_emb`."""

from __future__ import annotations

from torch import Tensor

from torch_rope import ops

__all__ = ["apply_rotary_pos_emb"]


def apply_rotary_pos_emb(
    t: Tensor,
    freqs: Tensor,
    tensor_format: str = "sbhd",
    start_positions: Tensor | None = None,
    interleaved: bool = False,
    fused: bool = False,
    cu_seqlens: Tensor | None = None,
    cp_size: int = 1,
    cp_rank: int = 0,
) -> Tensor:
    """Returns t rotated, with gradients.

    t: (s, b, h, d), (b, s, h, d) or, with cu_seqlens, (t, h, d), as tensor_format says. freqs: the
    angles in radians (not frequencies), float32 (max_s, 1, 1, rotary_dim), those of each pair
    twice: in halves or, interleaved, side by side. start_positions: (b,), added to the positions.
    fused changes nothing. cp_size above 1 is refused: shards count on by `offsets` of rotate.
    """
    if cp_size != 1:
        raise ValueError(f"apply_rotary_pos_emb: cp_size must be 1, got {cp_size}")
    angles = freqs.reshape(freqs.shape[0], -1)
    n = angles.shape[-1] // 2
    angles = angles[:, ::2] if interleaved else angles[:, :n]
    return ops.rotate(
        t,
        cos=angles.cos(),
        sin=angles.sin(),
        interleaved=interleaved,
        layout=tensor_format,
        offsets=start_positions,
        cu_seqlens=cu_seqlens,
    )
