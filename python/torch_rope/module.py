"""RotaryEmbedding: the rotation as a module that keeps its frequencies and its cached table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torch_rope import ops
from torch_rope.ops import Keywords
from torch_rope.schedule import Schedule


class RotaryEmbedding(nn.Module):
    """Rotates q and k by a schedule.

    table_rows: how many positions, from 0, get a cached table; positions outside are computed, with
    the same bits. interleaved, rotary_offset and layout as for `torch_rope.apply`.

    The buffers `turns` (int64) and `table` (float32, or None) follow the module's device but never
    its dtype, are not part of the state dict, and are made anew from the schedule wherever the
    module arrives, from the meta device too.
    """

    schedule: Schedule
    table_rows: int
    options: Keywords  # what every call passes on; without keywords at their default, which cost
    turns: Tensor
    table: Tensor | None

    def __init__(
        self,
        schedule: Schedule,
        *,
        table_rows: int = 0,
        interleaved: bool = False,
        rotary_offset: int = 0,
        layout: str = "bshd",
    ) -> None:
        super().__init__()
        if table_rows < 0:
            raise ValueError(f"RotaryEmbedding: table_rows must be >= 0, got {table_rows}")
        if table_rows > 0 and (schedule.num_axes > 1 or schedule.per_head):
            raise ValueError(
                "RotaryEmbedding: table_rows needs a schedule of one axis that all heads share,"
                f" got {schedule}"
            )
        self.schedule = schedule
        self.table_rows = table_rows
        self.options = _options(schedule, interleaved, rotary_offset, layout)
        self.register_buffer("turns", None, persistent=False)
        self.register_buffer("table", None, persistent=False)
        self._make_buffers(torch.get_default_device())

    def forward(self, q: Tensor, k: Tensor, pos: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns q and k rotated, as `torch_rope.rotate_qk`."""
        return ops.rotate_qk(q, k, pos, **self._keywords())

    def apply(self, q: Any, k: Tensor | None = None, pos: Tensor | None = None) -> Any:
        """Rotates q, and k where it is given, in place, as `torch_rope.apply`.

        Called with a function instead of a tensor it is `torch.nn.Module.apply`, which walks
        through this module as a part of others.
        """
        if not isinstance(q, Tensor):
            return super().apply(q)
        ops.apply(q, k, pos, **self._keywords())
        return None

    def extra_repr(self) -> str:
        named = {"table_rows": self.table_rows, **self.options}
        named.pop("attention_factor", None)  # The schedule shows it.
        return ", ".join([str(self.schedule), *(f"{name}={named[name]!r}" for name in named)])

    def _keywords(self) -> Keywords:
        table = self.table
        if table is None:
            return {"inv_freq": self.turns, **self.options}
        # A cast from outside (of the buffer, not of the module) would cost precision silently.
        if table.dtype != torch.float32:
            self._make_buffers(self.turns.device)
            table = self.table
        return {"inv_freq": self.turns, "cos_sin": table, **self.options}

    def _make_buffers(self, device: torch.device) -> None:
        # Tensors made in inference mode could never be saved for a backward pass.
        with torch.inference_mode(False), torch.no_grad():
            self.turns = self.schedule.kwargs(device)["inv_freq"]
            if self.table_rows > 0:
                self.table = self.schedule.table(self.table_rows, device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RotaryEmbedding:
        """Moves the buffers where fn (of .to, .half, .to_empty, ...) would; keeps their values."""
        turns, table = self.turns, self.table
        apply_to_all: Any = super()._apply  # torch leaves it untyped
        apply_to_all(fn, recurse)
        if self.turns is not turns:
            self._make_buffers(self.turns.device)
        else:
            self.table = table
        return self


def _options(schedule: Schedule, interleaved: bool, rotary_offset: int, layout: str) -> Keywords:
    options: Keywords = {}
    if schedule.attention_factor != 1.0:
        options["attention_factor"] = schedule.attention_factor
    if interleaved:
        options["interleaved"] = True
    if rotary_offset != 0:
        options["rotary_offset"] = rotary_offset
    if layout != "bshd":
        options["layout"] = layout
    return options
