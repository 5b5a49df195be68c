"""Flat projections as heads, for the libraries whose functions take both."""

from __future__ import annotations

from torch import Tensor


def by_heads(x: Tensor, num_tokens: int, head_size: int) -> Tensor:
    """A view (num_tokens, heads, head_size) of (…, heads · head_size) or (…, heads, head_size)."""
    return x.view(num_tokens, -1, head_size)
