"""Projection weights between the two pairings: a model keeps its attention scores when the rows
that make its queries and keys are permuted and `interleaved` is switched."""

from __future__ import annotations

import torch
from torch import Tensor


def to_half_split(
    weight: Tensor, head_dim: int, *, rotary_dim: int = 0, rotary_offset: int = 0
) -> Tensor:
    """Returns the weight for half-split pairs of one made for interleaved pairs.

    weight: (heads * head_dim, ...) of any type: weight or bias of a projection to queries or keys
    (not values), whose output is viewed as (..., heads, head_dim). rotary_dim: even; 0 is
    head_dim less rotary_offset; a negative rotary_offset counts from the end of the head, as in
    the operators. The result is new and contiguous; it has a gradient.

    Row 2i of a head's rotated rows becomes row i, and row 2i + 1 row rotary_dim / 2 + i, so that
    rotate(x @ w.T, interleaved=True) and rotate(x @ to_half_split(w).T) hold the same numbers in
    another order, the same for queries and keys: scores are equal. This is the permutation between
    Meta's Llama checkpoints and transformers'. ValueError on bad sizes.
    """
    first, rotated = _rotated_rows("to_half_split", weight, head_dim, rotary_dim, rotary_offset)
    return _permuted(weight, head_dim, first, (rotated // 2, 2))


def to_interleaved(
    weight: Tensor, head_dim: int, *, rotary_dim: int = 0, rotary_offset: int = 0
) -> Tensor:
    """Returns the weight for interleaved pairs of one made for half-split pairs.

    The inverse of to_half_split, with the same arguments.
    """
    first, rotated = _rotated_rows("to_interleaved", weight, head_dim, rotary_dim, rotary_offset)
    return _permuted(weight, head_dim, first, (2, rotated // 2))


def _rotated_rows(
    name: str, weight: Tensor, head_dim: int, rotary_dim: int, rotary_offset: int
) -> tuple[int, int]:
    """Where a head's rotated rows start, and how many there are."""
    if head_dim < 2:
        raise ValueError(f"{name}: head_dim must be at least 2, got {head_dim}")
    if weight.dim() == 0 or weight.shape[0] % head_dim != 0:
        raise ValueError(
            f"{name}: the first dimension of weight must be a multiple of head_dim = {head_dim},"
            f" got {tuple(weight.shape)}"
        )
    first = rotary_offset + head_dim if rotary_offset < 0 else rotary_offset
    if not 0 <= first < head_dim:
        raise ValueError(
            f"{name}: rotary_offset must lie within the head of {head_dim}, got {rotary_offset}"
        )
    rotated = rotary_dim or head_dim - first
    if rotated % 2 != 0:
        raise ValueError(f"{name}: rotary_dim must be even, got {rotated}")
    if not 2 <= rotated <= head_dim - first:
        raise ValueError(
            f"{name}: rotary_dim must be between 2 and the {head_dim - first} components from"
            f" rotary_offset on, got {rotated}"
        )
    return first, rotated


def _permuted(weight: Tensor, head_dim: int, first: int, grid: tuple[int, int]) -> Tensor:
    """Writes each head's rotated rows down the columns of a grid that they fill row by row."""
    num_heads, rest = weight.shape[0] // head_dim, weight.shape[1:]
    heads = weight.reshape(num_heads, head_dim, *rest)
    rotated = grid[0] * grid[1]
    parts = torch.split(heads, [first, rotated, head_dim - first - rotated], dim=1)
    columns = parts[1].reshape(num_heads, *grid, *rest).transpose(1, 2)
    middle = columns.reshape(num_heads, rotated, *rest)
    return torch.cat((parts[0], middle, parts[2]), dim=1).flatten(0, 1)
