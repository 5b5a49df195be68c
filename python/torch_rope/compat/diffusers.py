"""diffusers' `apply_rotary_emb`."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_rope import ops

__all__ = ["apply_rotary_emb"]

_LAYOUTS = {1: "bshd", 2: "bhsd"}


def apply_rotary_emb(
    x: Tensor,
    freqs_cis: Tensor | tuple[Tensor, Tensor],
    use_real: bool = True,
    use_real_unbind_dim: int = -1,
    sequence_dim: int = 2,
) -> Tensor:
    """Returns x rotated, with gradients.

    x: (batch, heads, seq, dim), or with sequence_dim=1 (batch, seq, heads, dim). freqs_cis, with
    use_real: (cos, sin) of (seq, dim) each. Their values stand twice for each pair: side by side
    and for interleaved pairs where use_real_unbind_dim is -1, in two halves and for half-split
    pairs where it is -2. Without use_real: complex64 (seq, dim / 2), or (batch, seq, dim / 2), for
    interleaved pairs of (batch, seq, heads, dim).
    """
    if not use_real:
        if not isinstance(freqs_cis, Tensor):
            raise TypeError(
                "apply_rotary_emb: freqs_cis must be a complex tensor without use_real, got"
                f" {type(freqs_cis).__name__}"
            )
        values = freqs_cis if freqs_cis.dim() == 3 else freqs_cis.unsqueeze(0)
        cos, sin = torch.view_as_real(values).unbind(-1)
        return ops.rotate(x, cos=cos, sin=sin, interleaved=True)
    if use_real_unbind_dim not in (-1, -2):
        raise ValueError(f"use_real_unbind_dim must be -1 or -2, got {use_real_unbind_dim}")
    if sequence_dim not in _LAYOUTS:
        raise ValueError(f"sequence_dim must be 1 or 2, got {sequence_dim}")
    interleaved = use_real_unbind_dim == -1
    doubled = [one.unsqueeze(0) for one in freqs_cis]
    n = doubled[0].shape[-1] // 2
    cos, sin = (one[..., ::2] if interleaved else one[..., :n] for one in doubled)
    return ops.rotate(x, cos=cos, sin=sin, interleaved=interleaved, layout=_LAYOUTS[sequence_dim])
