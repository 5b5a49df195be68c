"""Keys that transformers has cached, for other positions or frequencies than they were rotated for.

Dynamic NTK and LongRoPE change the frequencies while keys are cached, and dropping old tokens
changes the positions of those that stay. Nothing here is imported before somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from torch_rope import ops
from torch_rope.schedule import Schedule

__all__ = ["drop_oldest", "rerotate_cache"]


def rerotate_cache(
    cache: Any,
    old: Schedule,
    new: Schedule,
    *,
    positions: Tensor | None = None,
    interleaved: bool = False,
) -> None:
    """Brings the keys of a cache from one schedule to another, in place.

    cache: a DynamicCache or StaticCache of transformers whose layers hold keys of all tokens,
    (B, H, S, head_dim), the first rotary_dim components rotated under `old`. positions: of the
    cached tokens, (S,) or (B, S); None: 0 ... S - 1. interleaved: as in rotate. Each key is rotated
    once, by the exact difference of the phases, and rounded once. What the keys of deeper layers
    were made of, attention under `old`, stays as it was.

    ValueError for layers that hold something else (a sliding window, quantised keys), before any
    key is changed.
    """
    for layer, length in _layers(cache, "rerotate_cache"):
        keys = layer.keys[:, :, :length]
        pos = _counted(length, keys.device) if positions is None else positions
        _rerotate(keys, pos, pos, old, new, interleaved)


def drop_oldest(
    cache: Any,
    schedule: Schedule,
    num_tokens: int,
    *,
    keep: int = 0,
    interleaved: bool = False,
) -> None:
    """Forgets num_tokens tokens after the first `keep`, and moves the rest up to their places.

    cache: as in rerotate_cache, its keys rotated under `schedule` at positions 0 ... S - 1; those
    of the S - num_tokens tokens that stay are then rotated for 0 ... S - num_tokens - 1. keep:
    leading tokens that stay, such as attention sinks.

    ValueError where there are not that many tokens, before anything is changed.
    """
    layers = list(_layers(cache, "drop_oldest"))
    for _, length in layers:
        if num_tokens < 0 or keep < 0 or keep + num_tokens > length:
            raise ValueError(
                f"drop_oldest: num_tokens and keep must be at least 0 and at most {length}, the"
                f" cached tokens, together, got {num_tokens} and {keep}"
            )
    for layer, length in layers:
        _drop(layer, length, keep, num_tokens)
        moved = layer.keys[:, :, keep : length - num_tokens]
        new_pos = _counted(length - num_tokens, moved.device)[keep:]
        _rerotate(moved, new_pos + num_tokens, new_pos, schedule, schedule, interleaved)


def _counted(length: int, device: torch.device) -> Tensor:
    return torch.arange(length, device=device)


def _rerotate(
    keys: Tensor, old_pos: Tensor, new_pos: Tensor, old: Schedule, new: Schedule, interleaved: bool
) -> None:
    with torch.no_grad():
        ops.rerotate(
            keys,
            old_pos,
            new_pos,
            old_inv_freq=old.kwargs(keys.device)["inv_freq"],
            new_inv_freq=new.kwargs(keys.device)["inv_freq"],
            scale=new.attention_factor / old.attention_factor,
            interleaved=interleaved,
            layout="bhsd",
        )


def _layers(cache: Any, name: str) -> Iterator[tuple[Any, int]]:
    """The layers that hold keys, each with its number of tokens."""
    from transformers.cache_utils import DynamicLayer, StaticLayer

    layers = list(cache.layers)
    for layer in layers:
        if type(layer) not in (DynamicLayer, StaticLayer):
            raise ValueError(
                f"{name}: layers must hold the keys of all tokens, as DynamicLayer and StaticLayer"
                f" do, got {type(layer).__name__}"
            )
    for layer in layers:
        length = int(layer.get_seq_length())
        if length > 0:
            yield layer, length


def _drop(layer: Any, length: int, keep: int, num_tokens: int) -> None:
    """Of keys and values alike: into new memory in a layer that grows, else in their place."""
    stay = slice(keep + num_tokens, length)
    if not hasattr(layer, "cumulative_length"):
        layer.keys, layer.values = (
            torch.cat((held[:, :, :keep], held[:, :, stay]), dim=2)
            for held in (layer.keys, layer.values)
        )
        return
    for held in (layer.keys, layer.values):
        held[:, :, keep : length - num_tokens] = held[:, :, stay].clone()
        held[:, :, length - num_tokens : length] = 0
    layer.cumulative_length.sub_(num_tokens)
