"""The schedule that a configuration asks for, in float64: the builders, without float32 between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch_rope import schedules
from torch_rope.configs.fields import refuse
from torch_rope.configs.parameters import Parameters
from torch_rope.configs.single import yarn_factors
from torch_rope.schedule import Schedule


def _default(parameters: Parameters) -> Schedule:
    return schedules.default(*_dim_and_base(parameters))


def _dim_and_base(parameters: Parameters) -> tuple[int, float]:
    """Where a part of a head gives an odd width d, transformers makes (d + 1) / 2 pairs of it, with
    base^(-2i / d)."""
    dim, base = parameters.rotary_dim, parameters.base
    return (dim, base) if dim % 2 == 0 else (dim + 1, base ** ((dim + 1) / dim))


def _even_dim(parameters: Parameters) -> int:
    if parameters.rotary_dim % 2 != 0:
        refuse(f"rope_type {parameters.rope_type} needs an even width, got {parameters.rotary_dim}")
    return parameters.rotary_dim


def _linear(parameters: Parameters) -> Schedule:
    return schedules.linear(*_dim_and_base(parameters), parameters.given["factor"])


def _dynamic(parameters: Parameters) -> Schedule:
    dim, base, given = _even_dim(parameters), parameters.base, parameters.given
    if "alpha" in given:
        return schedules.ntk(dim, base, given["alpha"])
    length = parameters.length()
    seq_len = length if parameters.seq_len is None else parameters.seq_len
    return schedules.dynamic_ntk(dim, base, given["factor"], length, seq_len)


def _yarn(parameters: Parameters) -> Schedule:
    given: Any = parameters.given
    factor, attention_factor = yarn_factors(parameters)
    return schedules.yarn(
        _even_dim(parameters),
        parameters.base,
        factor,
        parameters.original_length(),
        beta_fast=given.get("beta_fast") or 32,
        beta_slow=given.get("beta_slow") or 1,
        truncate=given.get("truncate", True),
        attention_factor=attention_factor,
    )


def _longrope(parameters: Parameters) -> Schedule:
    given: Any = parameters.given
    return schedules.longrope(
        _even_dim(parameters),
        parameters.base,
        given["short_factor"],
        given["long_factor"],
        parameters.original_length(),
        max_position_embeddings=parameters.max_position_embeddings,
        factor=given.get("factor"),
        seq_len=parameters.seq_len,
        attention_factor=given.get("attention_factor"),
    )


def _llama3(parameters: Parameters) -> Schedule:
    given = parameters.given
    return schedules.llama3(
        _even_dim(parameters),
        parameters.base,
        given["factor"],
        given["low_freq_factor"],
        given["high_freq_factor"],
        parameters.original_length(),
    )


def _proportional(parameters: Parameters) -> Schedule:
    return schedules.proportional(
        parameters.head_dim,
        parameters.base,
        parameters.partial,
        parameters.given.get("factor", 1.0),
    )


SCHEDULES: dict[str, Callable[[Parameters], Schedule]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
    "proportional": _proportional,
}
