"""The frequencies that an enabled model's rotary module turns by: its own, or others beside them.

Others are kept in the module as buffers of int64 turns, which follow it to its device, which no
cast to half precision touches, and which no state_dict shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torch_rope.configs import exact_schedule_from
from torch_rope.integrations.transformers.angles import Source
from torch_rope.integrations.transformers.modules import named, own_frequencies
from torch_rope.schedule import Schedule

TURNS = "torch_rope_turns"
# Of some roundings, in the exponents' too, which the base's logarithm multiplies.
_OF_FLOAT32 = 1e-5


def of_module(module: Any, layer_type: str | None, position_ids: Tensor) -> tuple[Tensor, float]:
    """The module's float32 frequencies, taken as exact."""
    inv_freq, factor = own_frequencies(module, layer_type)
    return inv_freq.float(), factor


def others(
    module: Any, layer_types: tuple[str | None, ...], given: Schedule | None
) -> tuple[Source, Mapping[str, Tensor]]:
    """A source of a given schedule, or of the configuration's in float64, and its buffers."""
    schedules: dict[str | None, tuple[Schedule, ...]]
    if given is not None:
        schedules = dict.fromkeys(layer_types, (given,))
    else:
        schedules = {layer_type: _exact(module, layer_type) for layer_type in layer_types}
        _refuse_unlike(module, schedules)
    for layer_type, choices in schedules.items():
        own, _ = own_frequencies(module, layer_type)
        if choices[0].rotary_dim != 2 * own.shape[-1]:
            raise ValueError(
                f"{type(module).__name__} rotates {2 * own.shape[-1]} components of a head, the"
                f" schedule {choices[0].rotary_dim}"
            )
    factors = {t: choices[0].attention_factor for t, choices in schedules.items()}
    buffers = {
        named(TURNS, layer_type): torch.stack([_turns(choice) for choice in choices])
        for layer_type, choices in schedules.items()
    }
    changing = {t: given is None and "dynamic" in _rope_type(module, t) for t in layer_types}

    def source(module: Any, layer_type: str | None, position_ids: Tensor) -> tuple[Tensor, float]:
        if changing[layer_type]:
            return _of_length(module, layer_type)
        turns = getattr(module, named(TURNS, layer_type))
        if len(turns) == 1:
            return turns[0], factors[layer_type]
        is_long = position_ids.max() + 1 > _original_length(module, layer_type)
        return torch.where(is_long, turns[1], turns[0]), factors[layer_type]

    return source, buffers


def _refuse_unlike(module: Any, schedules: Mapping[str | None, tuple[Schedule, ...]]) -> None:
    """A configuration that was changed after the module was made of it, or is read amiss."""
    for layer_type, (schedule, *_) in schedules.items():
        first = getattr(module, named("original_inv_freq", layer_type), None)
        own = own_frequencies(module, layer_type)[0] if first is None else first
        if own.dtype == torch.float32 and not torch.allclose(
            schedule.inv_freq, own.double().cpu(), rtol=_OF_FLOAT32, atol=0
        ):
            raise ValueError(
                f"{type(module).__name__} holds other frequencies than its configuration asks for"
            )


def _exact(module: Any, layer_type: str | None) -> tuple[Schedule, ...]:
    """One schedule, or LongRoPE's two: for up to the original length, and for more."""
    lengths: tuple[int | None, ...] = (None,)
    if _rope_type(module, layer_type) == "longrope":
        lengths = (None, _original_length(module, layer_type) + 1)
    return tuple(exact_schedule_from(module.config, layer_type, length) for length in lengths)


def _of_length(module: Any, layer_type: str | None) -> tuple[Tensor, float]:
    """Dynamic NTK, for the length that the module itself has gone by last."""
    length = getattr(module, named("max_seq_len_cached", layer_type), None)
    length = int(module.max_seq_len_cached if length is None else length)
    schedule = exact_schedule_from(module.config, layer_type, length)
    return _turns(schedule), schedule.attention_factor


def _original_length(module: Any, layer_type: str | None) -> int:
    parameters = module.config.rope_parameters
    parameters = parameters if layer_type is None else parameters[layer_type]
    return int(parameters["original_max_position_embeddings"])


def _rope_type(module: Any, layer_type: str | None) -> str:
    rope_type: Any = getattr(module, "rope_type", "default")
    return str(rope_type if layer_type is None else rope_type[layer_type])


def _turns(schedule: Schedule) -> Tensor:
    return schedule.kwargs()["inv_freq"]
