"""What a model's own rotary function does with cos and sin, and ours that does the same.

Model files of transformers each define the function that rotates q and k. Its name says nothing of
which components make a pair or where a pair's cosine is, so it is tried on small random tensors
and compared with every kind that these operators know; a function that is none of them is refused.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from torch_rope import ops
from torch_rope.integrations.transformers.trial import Function, agree

# Where the cosine of pair i of n is in a row: at i and n + i, at 2i and 2i + 1, or at i alone.
HALVES, PAIRS, ONCE = "halves", "pairs", "once"


@dataclass(frozen=True)
class Rotation:
    """One kind of rotary function."""

    columns: str
    interleaved: bool
    to_halves: bool  # interleaved pairs go in, halves come out (DeepSeek V3)
    inverse: bool  # by the negative angle
    at_end: bool  # the last components of a head, not the first
    layout: str
    keeps_none: bool  # without a k it returns (q, None), not q alone

    def __call__(self, q: Tensor, k: Tensor | None, cos: Tensor, sin: Tensor, layout: str) -> Any:
        """q and k (or k None), (B, H, S, D) or as layout says: in place where nothing needs a
        gradient, else on new tensors."""
        cos, sin = of_pairs(cos, self.columns), of_pairs(sin, self.columns)
        if cos.dtype not in (q.dtype, torch.float32):
            cos, sin = cos.float(), sin.float()
        # Each keyword costs a call for one token some of its time.
        keywords: ops.Keywords = {"cos": cos, "sin": sin, "layout": layout}
        if self.interleaved:
            keywords["interleaved"] = True
        if self.inverse:
            keywords["inverse"] = True
        if self.at_end:
            keywords["rotary_offset"] = -2 * cos.shape[-1]
        prepare = _halves if self.to_halves else _rotatable
        q, k = prepare(q), None if k is None else prepare(k)
        if torch.is_grad_enabled():
            if k is None:
                return ops.rotate(q, **keywords)
            return ops.rotate_qk(q, k, **keywords)
        ops.apply(q, k, **keywords)
        return q if k is None else (q, k)


def of_pairs(columns: Tensor, arrangement: str) -> Tensor:
    """One column a pair, as a view."""
    if arrangement == HALVES:
        return columns[..., : columns.shape[-1] // 2]
    return columns[..., ::2] if arrangement == PAIRS else columns


def in_columns(of_each_pair: Tensor, arrangement: str) -> Tensor:
    """The other way round."""
    if arrangement == HALVES:
        return torch.cat((of_each_pair, of_each_pair), dim=-1)
    return of_each_pair.repeat_interleave(2, -1) if arrangement == PAIRS else of_each_pair


def _halves(x: Tensor) -> Tensor:
    """Interleaved pairs moved apart into halves, in new memory."""
    pairs = x.view(*x.shape[:-1], x.shape[-1] // 2, 2)
    return pairs.transpose(-1, -2).flatten(-2)


def _rotatable(x: Tensor) -> Tensor:
    """x, or a copy of what the operators cannot rotate in place: strided or repeated components."""
    steps = x.stride()
    if steps[-1] == 1 and 0 not in steps:
        return x
    is_repeated = any(step == 0 and size > 1 for size, step in zip(x.shape, steps, strict=True))
    return x.contiguous() if is_repeated or steps[-1] != 1 else x


def ours_for(stock: Function) -> Function:
    """A function that takes and returns what `stock` does.

    ValueError where it does something else than any kind, or takes something else than q, k, cos
    and sin under the names that transformers uses.
    """
    names = _names(stock)
    make = _SIGNATURES.get(names)
    if make is None:
        raise ValueError(f"{_name(stock)}({', '.join(names)}) takes unknown arguments")
    for rotation in _kinds():
        ours = make(rotation)
        if agree(stock, ours, names, partial(in_columns, arrangement=rotation.columns)):
            return ours
    raise ValueError(f"{_name(stock)} is no rotation of pairs that torch_rope knows")


def _name(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _names(function: Function) -> tuple[str, ...]:
    """Of its parameters, without those that change nothing."""
    if isinstance(function, torch.nn.Module):  # as the package `kernels` leaves it
        function = function.forward
    names = inspect.signature(function).parameters
    return tuple(name for name in names if name != "position_ids")


def _kinds() -> Iterator[Rotation]:
    pairings = ((False, False), (True, False), (False, True))
    either = (False, True)
    for columns, pairing, inverse, at_end, layout, keeps_none in itertools.product(
        (HALVES, PAIRS, ONCE), pairings, either, either, ("bhsd", "bshd"), either
    ):
        yield Rotation(columns, *pairing, inverse, at_end, layout, keeps_none)


# The layout of a function that takes unsqueeze_dim is what it is told.
_LAYOUTS = {1: "bhsd", 2: "bshd"}


def _of_q_and_k(rotation: Rotation) -> Function:
    def apply_rotary_pos_emb(
        q: Tensor,
        k: Tensor | None = None,
        cos: Any = None,
        sin: Any = None,
        position_ids: Any = None,
        unsqueeze_dim: int = 1,
    ) -> Any:
        if k is None and q.dim() == 3 and cos.dim() == 2:  # one sequence, as Qwen4's indexer's
            whole = rotation(q[None], k, cos[None], sin[None], _LAYOUTS[unsqueeze_dim + 1])
            result = whole[0]
        else:
            result = rotation(q, k, cos, sin, _LAYOUTS[unsqueeze_dim])
        return (result, None) if k is None and rotation.keeps_none else result

    return apply_rotary_pos_emb


def _of_x(rotation: Rotation) -> Function:
    def apply_rotary_pos_emb(x: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> Any:
        return rotation(x, None, cos, sin, _LAYOUTS[unsqueeze_dim])

    return apply_rotary_pos_emb


def _of_tensor(rotation: Rotation) -> Function:
    def apply_rotary_pos_emb(tensor: Tensor, sin: Tensor, cos: Tensor) -> Any:
        # CodeGen multiplies by float32 tables, and goes on in float32.
        tensor = tensor.to(torch.promote_types(tensor.dtype, cos.dtype))
        return rotation(tensor, None, cos, sin, rotation.layout)

    return apply_rotary_pos_emb


def _of_complex(rotation: Rotation) -> Function:
    def apply_rotary_emb(xq: Tensor, xk: Tensor, freqs_cis: Tensor) -> Any:
        cos, sin = torch.view_as_real(freqs_cis).unbind(-1)
        return rotation(xq, xk, cos, sin, rotation.layout)

    return apply_rotary_emb


_SIGNATURES: dict[tuple[str, ...], Callable[[Rotation], Function]] = {
    ("q", "k", "cos", "sin", "unsqueeze_dim"): _of_q_and_k,
    ("x", "cos", "sin", "unsqueeze_dim"): _of_x,
    ("tensor", "sin", "cos"): _of_tensor,
    ("xq", "xk", "freqs_cis"): _of_complex,
}
