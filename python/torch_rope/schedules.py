"""Frequency schedules by name: each builder returns a Schedule of float64 frequencies.

The formulas live in C++, once for both languages; this module gives them Python's types.
Throughout, inv_i stands for base^(-2i / dim), i = 0 ... dim / 2 - 1. Bad values raise ValueError.
"""

from __future__ import annotations

from torch_rope._library import native
from torch_rope.schedule import Schedule

__all__ = ["default", "linear", "llama3", "ntk"]


def default(dim: int, base: float = 10000.0) -> Schedule:
    """Returns inv_i: Llama, Mistral, Qwen."""
    return Schedule(native.schedules_default(dim, base))


def linear(dim: int, base: float, factor: float) -> Schedule:
    """Returns inv_i / factor: position interpolation."""
    return Schedule(native.schedules_linear(dim, base, factor))


def ntk(dim: int, base: float, alpha: float) -> Schedule:
    """Returns the default schedule of base * alpha^(dim / (dim - 2)): static NTK-aware scaling."""
    return Schedule(native.schedules_ntk(dim, base, alpha))


def llama3(
    dim: int,
    base: float,
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    original_max_position_embeddings: float,
) -> Schedule:
    """Returns Llama 3.1's schedule, of pairs with wavelength w = 2 pi / inv_i.

    With L0 = original_max_position_embeddings: inv_i / factor where w > L0 / low_freq_factor, inv_i
    where w < L0 / high_freq_factor, and linear in L0 / w between them.
    """
    return Schedule(
        native.schedules_llama3(
            dim,
            base,
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        )
    )
