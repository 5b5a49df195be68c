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


def exact_table(attention: Any, schedule: Schedule) -> Tensor:
    """The same rows from exact phases, float32.

    ValueError where the model's own are of other angles than this schedule's.
    """
    stock = attention.__dict__.get(_STOCK, attention._buffers[_NAME])
    cos, sin = schedule.table(stock.shape[0], stock.device).chunk(2, dim=-1)
    table = torch.cat((sin, cos), dim=-1)
    tried = slice(None, _ROWS_TRIED)
    if table.shape != stock.shape or (table[tried] - stock[tried]).abs().max() > _TOLERANCE:
        raise ValueError(f"{type(attention).__name__}.{_NAME} is no table of its configuration")
    return table


def set_table(attention: Any, table: Tensor) -> None:
    attention.__dict__.setdefault(_STOCK, attention._buffers[_NAME])
    attention._buffers[_NAME] = table


def restore_table(module: Any) -> None:
    stock = module.__dict__.pop(_STOCK, None)
    if stock is not None:
        module._buffers[_NAME] = stock.to(module._buffers[_NAME].device)
