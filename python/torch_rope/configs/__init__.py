"""Schedules from the configurations of other libraries, behind Schedule.from_config.

A configuration is read and never changed. What it says about the rotation and is not understood
raises: a scaling that is silently dropped gives a model that seems to work.
"""

from __future__ import annotations

from typing import Any

from torch_rope.configs import exact, gguf, megatron, single
from torch_rope.configs.fields import Fields, refuse
from torch_rope.configs.parameters import SAYING, read
from torch_rope.schedule import Schedule

__all__ = ["exact_schedule_from", "schedule_from"]

_FORMATS = ((gguf.mark, gguf.schedule), (megatron.mark, megatron.schedule))


def schedule_from(config: Any, layer_type: str | None, seq_len: int | None) -> Schedule:
    """Schedule.from_config says what it takes."""
    fields = Fields(config)
    found = [(name, made) for mark, made in _FORMATS if (name := mark(fields)) is not None]
    if not found:
        parameters = read(fields, layer_type, seq_len)
        return Schedule(*single.FREQUENCIES[parameters.rope_type](parameters))
    names = [name for name, _ in found]
    # Megatron-LM has a flag by the name of a dict of transformers.
    keys = [name for name in sorted(SAYING) if not isinstance(fields.get(name), (bool, type(None)))]
    if len(names + keys) > 1:
        refuse(f"keys of different formats: {', '.join(names + keys)}")
    return found[0][1](fields, layer_type, seq_len)


def exact_schedule_from(config: Any, layer_type: str | None, seq_len: int | None) -> Schedule:
    """Of a transformers configuration, before its float32 roundings: as the builders make it."""
    parameters = read(Fields(config), layer_type, seq_len)
    return exact.SCHEDULES[parameters.rope_type](parameters)
