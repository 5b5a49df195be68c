"""Meta's Llama's `apply_rotary_emb`."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_rope import ops

__all__ = ["apply_rotary_emb"]


def apply_rotary_emb(xq: Tensor, xk: Tensor, freqs_cis: Tensor) -> tuple[Tensor, Tensor]:
    """Returns xq and xk rotated, interleaved pairs, with gradients.

    xq, xk: (batch, seq, heads, head_dim). freqs_cis: complex64 (seq, head_dim / 2): row s serves
    token s.
    """
    cos, sin = torch.view_as_real(freqs_cis).unsqueeze(0).unbind(-1)
    return ops.rotate_qk(xq, xk, cos=cos, sin=sin, interleaved=True)
