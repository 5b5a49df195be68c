"""The table of sines and cosines that GPT-J and CodeGen keep in each attention module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torch_rope.schedule import Schedule

_NAME = "embed_positions"  # (rows, 2n): sines, then cosines, of positions 0, 1, ...
_STOCK = "torch_rope_stock_positions"
_ROWS_TRIED = 8
_TOLERANCE = 1e-2  # of a table that may have been cast to bfloat16; one of anything else is far off


def has_table(module: nn.Module) -> bool:
    return isinstance(module._buffers.get(_NAME), Tensor)


def exact_table(attention: Any, own: Schedule, given: Schedule | None) -> Tensor:
    """The same rows from exact phases, float32: of its own schedule, or of the given one.

    ValueError where the model's are of other angles than `own`, or `given` fits none of its width.
    """
    name = type(attention).__name__
    stock = attention.__dict__.get(_STOCK, attention._buffers[_NAME])
    first = stock[:_ROWS_TRIED]
    table = _rows(own, first)
    if table.shape != first.shape or (table - first).abs().max() > _TOLERANCE:
        raise ValueError(f"{name}.{_NAME} is no table of its configuration")
    if given is None:
        return _rows(own, stock)
    if given.num_axes > 1 or given.per_head:
        raise ValueError(f"{name} takes positions of one axis for all heads, the schedule others")
    if given.rotary_dim != own.rotary_dim:
        raise ValueError(
            f"{name} rotates {own.rotary_dim} components of a head, the schedule {given.rotary_dim}"
        )
    return _rows(given, stock)


def _rows(schedule: Schedule, stock: Tensor) -> Tensor:
    cos, sin = schedule.table(stock.shape[0], stock.device).chunk(2, dim=-1)
    return torch.cat((sin, cos), dim=-1)


def set_table(attention: Any, table: Tensor) -> None:
    attention.__dict__.setdefault(_STOCK, attention._buffers[_NAME])
    attention._buffers[_NAME] = table


def restore_table(module: Any) -> None:
    stock = module.__dict__.pop(_STOCK, None)
    if stock is not None:
        module._buffers[_NAME] = stock.to(module._buffers[_NAME].device)
