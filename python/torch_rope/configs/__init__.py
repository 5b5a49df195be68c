"""Schedules from the configurations of other libraries, behind Schedule.from_config.

A configuration is read and never changed. What it says about the rotation and is not understood
raises: a scaling that is silently dropped gives a model that seems to work.
"""

from __future__ import annotations

from typing import Any

from torch_rope.configs import exact, single
from torch_rope.configs.fields import Fields
from torch_rope.configs.parameters import read
from torch_rope.schedule import Schedule

__all__ = ["exact_schedule_from", "schedule_from"]


def schedule_from(config: Any, layer_type: str | None, seq_len: int | None) -> Schedule:
    """Schedule.from_config says what it takes."""
    parameters = read(Fields(config), layer_type, seq_len)
    inv_freq, attention_factor = single.FREQUENCIES[parameters.rope_type](parameters)
    return Schedule(inv_freq, attention_factor)


def exact_schedule_from(config: Any, layer_type: str | None, seq_len: int | None) -> Schedule:
    """The same frequencies before transformers' float32 roundings: as the builders make them."""
    parameters = read(Fields(config), layer_type, seq_len)
    return exact.SCHEDULES[parameters.rope_type](parameters)
