"""Claim: Llama, Llama 2, PaLM and CodeGen use rotations. Their head shapes and pairings, against
the float64 oracle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import torch_rope


@dataclass(frozen=True)
class Heads:
    queries: int
    keys: int
    dim: int
    rotary_dim: int
    interleaved: bool


MODELS = {
    "Llama 7B, Llama 2 7B in transformers": Heads(32, 32, 128, 128, False),
    "Llama 2 70B in transformers": Heads(64, 8, 128, 128, False),
    "Llama 2 7B, Meta's own code": Heads(32, 32, 128, 128, True),
    "PaLM 540B, pairs of neighbours": Heads(48, 1, 256, 256, True),
    "CodeGen 16B": Heads(24, 24, 256, 64, True),
}
TOKENS = 64
FIRST = 1984  # the last tokens of a context of 2048


def rotated(heads: Heads, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    keywords = {"rotary_dim": heads.rotary_dim, "interleaved": heads.interleaved}
    return torch_rope.rotate_qk(x, y, offsets=FIRST, **keywords)


def inputs(heads: Heads) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    q = torch.randn(1, TOKENS, heads.queries, heads.dim, generator=random)
    return q, torch.randn(1, TOKENS, heads.keys, heads.dim, generator=random)


def _error(heads: Heads, x: Tensor, result: Tensor) -> float:
    """Largest of a pair, of its length; infinite where a component that is not rotated changed."""
    if not torch.equal(x[..., heads.rotary_dim :], result[..., heads.rotary_dim :]):
        return float("inf")
    exact = torch_rope.reference.rotate(
        x, offsets=FIRST, rotary_dim=heads.rotary_dim, interleaved=heads.interleaved
    )
    shape, axis = ((-1, 2), -1) if heads.interleaved else ((2, -1), -2)
    error, length = (
        y[..., : heads.rotary_dim].unflatten(-1, shape).norm(dim=axis)
        for y in (result.double() - exact, exact)
    )
    return float((error / length).max())


def errors(name: str) -> float:
    """Of the queries and keys of one of MODELS."""
    heads = MODELS[name]
    given = inputs(heads)
    results = rotated(heads, *given)
    return max(_error(heads, x, y) for x, y in zip(given, results, strict=True))
