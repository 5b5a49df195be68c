"""How a model may be told where its bytes stand, beside rotation: a learned table, sinusoids, T5's
bias. For model.py; each as its paper has it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

T5_BUCKETS = 32
T5_FARTHEST = 128  # distances from here on share the last bucket


class Learned(nn.Module):
    """A vector for each trained position, added to the embedding; there is none for the next."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(0.2 * torch.randn(rows, width))

    def forward(self, positions: Tensor) -> Tensor:
        return nn.functional.embedding(positions, self.table)


def sinusoidal(positions: Tensor, width: int) -> Tensor:
    """(S, width), float32: sines at even components, cosines at odd ones, base 10000. The angles
    are float64: the models are judged on text, not on roundings."""
    pairs = torch.arange(0, width, 2, dtype=torch.float64, device=positions.device)
    angles = positions.double()[:, None] * 10000.0 ** (-pairs / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).float()


def t5_bucket(distance: Tensor) -> Tensor:
    """Bucket of a distance back in the text, 0 and more, for a decoder: half of the buckets hold
    one distance each, the others widen in geometric progression up to T5_FARTHEST."""
    exact = T5_BUCKETS // 2
    octaves = (distance.clamp(min=exact).double() / exact).log() / math.log(T5_FARTHEST / exact)
    wide = exact + (octaves * (T5_BUCKETS - exact)).long()
    return torch.where(distance < exact, distance, wide.clamp(max=T5_BUCKETS - 1))


class T5Bias(nn.Module):
    """A learned number for each head and bucket, added to the logits of every layer."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(T5_BUCKETS, heads))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Positions (Q,) and (K,) → (heads, Q, K)."""
        distance = (queries[:, None] - keys[None, :]).clamp(min=0)
        return self.table[t5_bucket(distance)].permute(2, 0, 1)
