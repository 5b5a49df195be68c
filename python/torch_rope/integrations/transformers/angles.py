"""cos and sin of exact phases, in the place of those that a model's rotary module makes.

One row a token, once in a forward pass, for all layers: what the model's own module does, with
angles whose error does not grow with the position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from torch_rope import ops
from torch_rope.integrations.transformers.modules import Form, named

# A buffer of rotary modules, so that no pass copies it to the device: Form.axis_mask.
AXES = "torch_rope_axes"
# (module, layer type, position_ids) -> frequencies as the operators take them, (n,) or (A, n), and
# the factor of cos and sin.
Source = Callable[[Any, str | None, Tensor], tuple[Tensor, float]]


def cos_and_sin(pos: Tensor, inv_freq: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """(B, S, n) each, float32: what the rotation makes of the pair (1, 0)."""
    ones = torch.ones(
        (*pos.shape[-2:], 1, inv_freq.shape[-1]), dtype=torch.float32, device=pos.device
    )
    unit = torch.cat((ones, torch.zeros_like(ones)), dim=-1)
    rows = ops.rotate(unit, pos, inv_freq=inv_freq, attention_factor=factor)
    cos, sin = rows.squeeze(-2).chunk(2, dim=-1)
    return cos, sin


def forward_with(
    source: Source, forms: Mapping[str | None, Form], *, updates: bool
) -> Callable[..., Any]:
    """A forward for a rotary module whose results look like `forms`, by types of layers.

    updates: frequencies that depend on the length change where the model's own code changes them.
    The module holds AXES for each form that has several.
    """

    def forward(self: Any, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> Any:
        form = forms[layer_type]
        inv_freq, factor = source(self, layer_type, position_ids)
        inv_freq = inv_freq.to(position_ids.device)
        if form.axes is not None:
            position_ids = position_ids.expand(form.num_axes, -1, -1)
            if inv_freq.shape[:-1] != (form.num_axes,):  # a schedule may say itself
                inv_freq = torch.where(getattr(self, named(AXES, layer_type)), inv_freq, 0)
        return form.result(*cos_and_sin(position_ids, inv_freq, factor))

    if not updates:
        return torch.no_grad()(forward)
    from transformers import modeling_rope_utils

    updating: Any = modeling_rope_utils.dynamic_rope_update  # transformers leaves it untyped
    updated: Callable[..., Any] = torch.no_grad()(updating(forward))
    return updated
