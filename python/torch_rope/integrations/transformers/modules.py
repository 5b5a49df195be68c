"""What a model's rotary module returns for positions.

Rotary modules of transformers hold float32 frequencies and return cos and sin, a row for each
token. Which columns hold which pair, and which of several positions a pair counts (M-RoPE), is
found by calling the module with small positions and looking.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torch_rope.integrations.transformers.rotations import HALVES, ONCE, PAIRS, in_columns, of_pairs
from torch_rope.schedule import Schedule

# Positions of a token on three axes, all different, so small that float32 angles are good to 1e-6.
_POSITIONS = ((0, 1, 2, 3), (5, 7, 4, 6), (11, 8, 9, 10))
_TOLERANCE = 1e-5
_ROTARY_BUFFER = "inv_freq"


@dataclass(frozen=True)
class Form:
    """How a rotary module's result is arranged."""

    columns: str
    is_complex: bool
    axes: tuple[int, ...] | None  # the axis of each pair where positions have several
    num_axes: int

    def refuse_unfit(self, name: str, schedule: Schedule) -> None:
        """ValueError for a schedule of other axes than positions have, or of several heads."""
        if schedule.per_head:
            raise ValueError(f"{name} turns all heads alike, the schedule each by itself")
        if schedule.num_axes not in (1, self.num_axes):
            raise ValueError(
                f"{name} has num_axes {self.num_axes}, the schedule {schedule.num_axes}"
            )

    def axis_mask(self) -> Tensor | None:
        """(A, n), bool: whether a pair counts an axis; None where positions have one."""
        if self.axes is None:
            return None
        return torch.arange(self.num_axes)[:, None] == torch.tensor(self.axes)

    def result(self, cos: Tensor, sin: Tensor) -> Any:
        if self.is_complex:
            return torch.complex(cos, sin)
        return in_columns(cos, self.columns), in_columns(sin, self.columns)


def is_rotary(module: nn.Module) -> bool:
    """Whether it makes angles of position_ids. Those of pictures take other arguments."""
    takes = inspect.signature(type(module).forward).parameters
    return "position_ids" in takes and any(True for _ in layer_types(module))


def layer_types(module: nn.Module) -> Iterator[str | None]:
    """The types of layers that have frequencies of their own; None where all have the same."""
    for name, _ in module.named_buffers(recurse=False):
        if name == _ROTARY_BUFFER:
            yield None
        elif name.endswith(f"_{_ROTARY_BUFFER}") and not name.endswith(
            f"original_{_ROTARY_BUFFER}"
        ):
            yield name.removesuffix(f"_{_ROTARY_BUFFER}")


def named(name: str, layer_type: str | None) -> str:
    """What a rotary module calls it, where types of layers have their own."""
    return name if layer_type is None else f"{layer_type}_{name}"


def own_frequencies(module: Any, layer_type: str | None) -> tuple[Tensor, float]:
    """(n,) radians per position, as the module holds them, and the factor of cos and sin."""
    inv_freq = getattr(module, named(_ROTARY_BUFFER, layer_type))
    return inv_freq, float(getattr(module, named("attention_scaling", layer_type), 1.0))


def form_of(module: nn.Module, layer_type: str | None) -> Form:
    """ValueError where the module computes something else than cos and sin of pos * inv_freq."""
    module = copy.deepcopy(module)  # some keep the length that they have seen
    inv_freq, _ = own_frequencies(module, layer_type)
    positions = torch.tensor(_POSITIONS, device=inv_freq.device)
    for given in (positions[:, None], positions[:2, None], positions[:1]):
        form = _matching_form(module, layer_type, given)
        if form is not None and _holds_far(module, layer_type, form):
            return form
    raise ValueError(f"{type(module).__name__} returns no cosines and sines of pos * inv_freq")


def _matching_form(module: nn.Module, layer_type: str | None, positions: Tensor) -> Form | None:
    try:
        result = _stock(module, layer_type, positions)
    except (RuntimeError, TypeError, ValueError, IndexError):  # for a module of one axis
        return None
    is_complex = isinstance(result, Tensor) and result.is_complex()
    cos, sin = (result.real, result.imag) if isinstance(result, Tensor) else result
    inv_freq, factor = own_frequencies(module, layer_type)
    for columns in (HALVES, PAIRS, ONCE):
        if 2 * inv_freq.shape[-1] != cos.shape[-1] * (2 if columns == ONCE else 1):
            continue
        axes = _axes(of_pairs(cos, columns), of_pairs(sin, columns), inv_freq, factor, positions)
        form = Form(
            columns, is_complex, axes if positions.dim() == 3 else None, num_axes=len(positions)
        )
        if axes is not None and _is_arranged(cos, columns):
            return form
    return None


def _holds_far(module: Any, layer_type: str | None, form: Form) -> bool:
    """Whether that is so beyond the length it was made for, where frequencies may be others."""
    length = getattr(getattr(module, "config", None), "max_position_embeddings", None) or 2048
    inv_freq, _ = own_frequencies(module, layer_type)
    positions = 2 * int(length) + torch.arange(4, device=inv_freq.device)[None]
    result = _stock(module, layer_type, positions)
    cos = result.real if isinstance(result, Tensor) else result[0]
    inv_freq, factor = own_frequencies(module, layer_type)
    phase = positions.double()[..., None] * inv_freq.double()
    # Two roundings of a float32 angle, and what is allowed near 0.
    allowed = factor * (_TOLERANCE + phase * 2.0**-23)
    return bool(((phase.cos() * factor - of_pairs(cos, form.columns)).abs() <= allowed).all())


def _stock(module: nn.Module, layer_type: str | None, positions: Tensor) -> Any:
    x = torch.zeros(1, 1, 1, device=positions.device)
    more = () if layer_type is None else (layer_type,)
    with torch.no_grad():
        return type(module).forward(module, x, positions, *more)


def _is_arranged(cos: Tensor, columns: str) -> bool:
    return torch.equal(cos, in_columns(of_pairs(cos, columns), columns))


def _axes(
    cos: Tensor, sin: Tensor, inv_freq: Tensor, factor: float, positions: Tensor
) -> tuple[int, ...] | None:
    """Of each pair of cos and sin, (1, 4, n), the axis whose positions give them."""
    if cos.shape[:-1] != positions.shape[-2:]:
        return None
    phase = (positions.double()[..., None] * inv_freq.double()).reshape(-1, *cos.shape)
    cos_error = (phase.cos() * factor - cos).abs().amax(dim=(1, 2))
    # Also of the slowest pairs, whose cosines all round to 1, the sines tell the axis.
    sin_error, axes = (phase.sin() * factor - sin).abs().amax(dim=(1, 2)).min(dim=0)
    errors = torch.maximum(cos_error.gather(0, axes[None])[0], sin_error)
    if not bool((errors < _TOLERANCE * factor).all()):
        return None
    return tuple(int(axis) for axis in axes)
