"""What torch.utils.flop_counter counts for the rotating operators.

A pair costs four products and two sums: three operations for each rotated component, as torch
counts a product and a sum as two. Making the angles is not counted, as for torch's own operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from torch.utils.flop_counter import register_flop_formula

from torch_rope._library import ops

__all__: list[str] = []

_PER_COMPONENT = 3
# Extents of a tensor: torch gives formulas these instead of tensors.
Shape = Sequence[int]


def _rotary_dim(x: Shape, keywords: dict[str, Any]) -> int:
    """How many components of a head are rotated, as the operators find it."""
    if keywords.get("rotary_dim", 0):
        return int(keywords["rotary_dim"])
    for name in ("inv_freq", "cos", "new_inv_freq", "old_inv_freq"):
        if keywords.get(name) is not None:
            return 2 * int(keywords[name][-1])
    if keywords.get("cos_sin") is not None:
        return int(keywords["cos_sin"][-1])
    start = int(keywords.get("rotary_offset", 0))
    return -start if start < 0 else x[-1] - start


def _flops(x: Shape | None, keywords: dict[str, Any]) -> int:
    return 0 if x is None else _PER_COMPONENT * prod(x[:-1]) * _rotary_dim(x, keywords)


@register_flop_formula(ops.apply)
def _apply(q: Shape, k: Shape | None = None, *_: Any, **keywords: Any) -> int:
    return _flops(q, keywords) + _flops(k, keywords)


@register_flop_formula(ops.rotate)
def _rotate(x: Shape, *_: Any, **keywords: Any) -> int:
    return _flops(x, keywords)


@register_flop_formula(ops.rotate_qk)
def _rotate_qk(q: Shape, k: Shape, *_: Any, **keywords: Any) -> int:
    return _flops(q, keywords) + _flops(k, keywords)


@register_flop_formula(ops.rerotate)
def _rerotate(k: Shape, *_: Any, **keywords: Any) -> int:
    return _flops(k, keywords)


@register_flop_formula(ops.apply_qkv)
def _apply_qkv(qkv: Shape, *_: Any, num_heads_q: int, num_heads_k: int, **keywords: Any) -> int:
    heads = -3 if keywords.get("layout") == "bhsd" else -2
    rotated = list(qkv)
    rotated[heads] = num_heads_q + num_heads_k
    return _flops(rotated, keywords)
