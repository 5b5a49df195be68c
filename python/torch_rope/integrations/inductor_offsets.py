"""Tells Inductor where a view begins when that is symbolic, until torch does so itself.

An operator gets a part of an intermediate to write to as as_strided(…, sym_storage_offset(…)). For
that operator Inductor has no lowering, and asks a tensor that it makes for the purpose and that
begins at 0: the call then writes elsewhere (https://github.com/pytorch/pytorch/issues/198068).
"""

from __future__ import annotations

from typing import Any

import torch
from torch._inductor import lowering
from torch._inductor.virtualized import V

__all__: list[str] = []

_OPERATOR: Any = torch.ops.aten.sym_storage_offset.default


def _offset(tensor: Any) -> Any:
    """Returns what was traced, as Inductor does for sizes and strides."""
    traced = V.graph.current_node.meta["val"]
    return traced.node.expr if isinstance(traced, torch.SymInt) else int(traced)


if _OPERATOR not in lowering.lowerings:
    register: Any = lowering.register_lowering
    register(_OPERATOR)(_offset)
