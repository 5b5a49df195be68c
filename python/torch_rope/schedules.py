"""Frequency schedules by name: each builder returns a Schedule of float64 frequencies.

The formulas live in C++, once for both languages (rope/schedules.h states them with their sources);
this module gives them Python's types. Throughout, inv_i stands for base^(-2i / dim),
i = 0 ... dim / 2 - 1; dim is even, 2 to 1024. Bad values raise ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch_rope._library import native
from torch_rope.schedule import Schedule

__all__ = [
    "axial",
    "default",
    "dynamic_ntk",
    "linear",
    "llama3",
    "longrope",
    "mrope",
    "ntk",
    "proportional",
    "yarn",
]


def default(dim: int, base: float = 10000.0) -> Schedule:
    """Returns inv_i: Llama, Mistral, Qwen."""
    return Schedule(*native.schedules_default(dim, base))


def linear(dim: int, base: float, factor: float) -> Schedule:
    """Returns inv_i / factor: position interpolation."""
    return Schedule(*native.schedules_linear(dim, base, factor))


def ntk(dim: int, base: float, alpha: float) -> Schedule:
    """Returns the default schedule of base * alpha^(dim / (dim - 2)): static NTK-aware scaling."""
    return Schedule(*native.schedules_ntk(dim, base, alpha))


def dynamic_ntk(
    dim: int, base: float, factor: float, max_position_embeddings: float, seq_len: float
) -> Schedule:
    """Returns ntk with alpha = factor * seq_len / max_position_embeddings - (factor - 1).

    Up to max_position_embeddings alpha is 1. Another seq_len gives other frequencies: rotate cached
    keys again (torch_rope.rerotate).
    """
    return Schedule(
        *native.schedules_dynamic_ntk(dim, base, factor, max_position_embeddings, seq_len)
    )


def yarn(
    dim: int,
    base: float,
    factor: float,
    original_max_position_embeddings: float,
    beta_fast: float = 32,
    beta_slow: float = 1,
    mscale: float | None = None,
    mscale_all_dim: float | None = None,
    truncate: bool = True,
    attention_factor: float | None = None,
) -> Schedule:
    """Returns YaRN's schedule: DeepSeek, Qwen's long contexts, Kimi, gpt-oss (truncate=False).

    Pairs that turn more than beta_fast times over the original context keep inv_i, those that turn
    less than beta_slow times get inv_i / factor, with a straight line over i between. The attention
    factor, unless given, is m(mscale) / m(mscale_all_dim) where both are given, else m(1), with
    m(k) = 0.1 k ln(factor) + 1, and 1 where factor <= 1.
    """
    return Schedule(
        *native.schedules_yarn(
            dim,
            base,
            factor,
            original_max_position_embeddings,
            beta_fast,
            beta_slow,
            mscale,
            mscale_all_dim,
            truncate,
            attention_factor,
        )
    )


def longrope(
    dim: int,
    base: float,
    short_factor: Iterable[float],
    long_factor: Iterable[float],
    original_max_position_embeddings: float,
    max_position_embeddings: float | None = None,
    factor: float | None = None,
    seq_len: float | None = None,
    attention_factor: float | None = None,
) -> Schedule:
    """Returns inv_i / long_factor[i] where seq_len > L0, else inv_i / short_factor[i]: Phi-3.

    L0 = original_max_position_embeddings; without seq_len the short factors hold. The attention
    factor, unless given, is sqrt(1 + ln s / ln L0), and 1 where s <= 1, with s = factor, or
    max_position_embeddings / L0, or 1 without either.
    """
    return Schedule(
        *native.schedules_longrope(
            dim,
            base,
            list(short_factor),
            list(long_factor),
            original_max_position_embeddings,
            max_position_embeddings,
            factor,
            seq_len,
            attention_factor,
        )
    )


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
        *native.schedules_llama3(
            dim,
            base,
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        )
    )


def proportional(
    dim: int, base: float, partial_rotary_factor: float, factor: float = 1.0
) -> Schedule:
    """Returns inv_i / factor for the first int(partial_rotary_factor * dim / 2) pairs, 0 behind.

    dim is the whole head: Gemma 4.
    """
    return Schedule(*native.schedules_proportional(dim, base, partial_rotary_factor, factor))


def mrope(dim: int, base: float, sections: Iterable[int], interleaved: bool = False) -> Schedule:
    """Returns (3, dim / 2): pair i turns with inv_i along time, height or width alone.

    sections: how many pairs each of the three has, dim / 2 together, one block behind the other
    (Qwen2-VL, Qwen2.5-VL); interleaved: t, h, w by turns while h and w last (Qwen3-VL).
    """
    return Schedule(*native.schedules_mrope(dim, base, list(sections), interleaved))


def axial(axes_dim: Iterable[int], base: float, shared: bool = False) -> Schedule:
    """Returns (A, n): a block of axes_dim[a] components for each of A <= 4 axes, n = sum / 2.

    Each block restarts base^(-2i / axes_dim[a]) (Flux: [16, 56, 56]; Wan), or, shared, all are
    parts of one list base^(-2i / sum).
    """
    return Schedule(*native.schedules_axial(list(axes_dim), base, shared))
