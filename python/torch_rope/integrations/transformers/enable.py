"""enable and disable: one model's rotations on these operators, and off them again.

All that is wanted is looked up first, so that a model which is refused stays as it was. Everything
is kept in the model's own modules, which can be copied, moved and cast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from torch_rope.configs import exact_schedule_from, schedule_from
from torch_rope.integrations.transformers import forwards, modules, tables
from torch_rope.integrations.transformers import frequencies as sources
from torch_rope.integrations.transformers.angles import AXES, Source, forward_with
from torch_rope.integrations.transformers.rotations import ours_for
from torch_rope.schedule import Schedule

_MODES = ("model", "exact", "stock")
_Step = Callable[[], None]


def enable(model: nn.Module, *, frequencies: str | Schedule = "model") -> None:
    """Puts the rotations of this transformers model on torch_rope's operators.

    model: one that transformers made, or one around it, on any device, in training or not, in
    float32, bfloat16 or float16. Other models in the process stay as they are, those of the same
    class included; keys of its state_dict do not change. Without gradients q and k are rotated in
    place. Called again it changes the mode.

    frequencies: "model": the float32 frequencies that the model holds, taken as exact, and phases
    without error, however far the position. "exact": those of its configuration in float64.
    "stock": the cos and sin of the model's own rotary module, as they are. A Schedule: these, in
    all layers (torch_rope.schedules.ntk, ...).

    ValueError, naming the model and the reason, where it is not supported; it then is unchanged.
    """
    if not isinstance(frequencies, Schedule) and frequencies not in _MODES:
        raise ValueError(
            f"enable: frequencies must be one of {', '.join(_MODES)}, or a Schedule, got"
            f" {frequencies!r}"
        )
    # Tensors made in inference mode could never be saved for a backward pass.
    with torch.inference_mode(False), torch.no_grad():
        try:
            steps = list(_steps(model, frequencies))
        except ValueError as problem:
            name = type(model).__name__
            raise ValueError(f"enable: {name} is not supported: {problem}") from None
        disable(model)
        for step in steps:
            step()


def disable(model: nn.Module) -> None:
    """Takes a model off these operators: it is as it was before `enable`, if that was called."""
    for module in model.modules():
        forwards.restore_forward(module)
        _drop_buffers(module)
        tables.restore_table(module)


def _drop_buffers(module: nn.Module) -> None:
    for name in [name for name in module._buffers if name.endswith((AXES, sources.TURNS))]:
        delattr(module, name)


def _steps(model: nn.Module, frequencies: str | Schedule) -> Iterator[_Step]:
    _refuse_unfit(model)
    attentions = list(dict.fromkeys(_attentions_of(model)))
    if not attentions:
        raise ValueError("no module of it calls a rotary function of transformers")
    forward_of = {kind: _attention_forward(kind) for kind in {type(one) for one in attentions}}
    for attention in attentions:
        yield partial(forwards.set_forward, attention, forward_of[type(attention)])
    if frequencies != "stock":
        yield from _steps_of_angles(model, attentions, frequencies)


def _refuse_unfit(model: nn.Module) -> None:
    for parameter in model.parameters():
        if parameter.dtype == torch.float64:
            raise ValueError("it is float64, and the operators rotate smaller types")
        if parameter.is_meta:
            raise ValueError("it is on the meta device: enable it once it has weights")


def _attentions_of(module: nn.Module, of_pictures: bool = False) -> Iterator[nn.Module]:
    """Modules that call a rotary function, without those of vision towers, in which the same
    function rotates by places in a picture."""
    modalities = getattr(module, "input_modalities", None)  # of a model inside this one, innermost
    if modalities is not None:
        named = {modalities} if isinstance(modalities, str) else set(modalities)
        of_pictures = named <= {"image", "video"}
    if not of_pictures and forwards.rotary_functions(type(module)):
        yield module
    for child in module.children():
        yield from _attentions_of(child, of_pictures)


def _attention_forward(kind: type[nn.Module]) -> forwards.Function:
    stock = forwards.rotary_functions(kind)
    return forwards.with_globals(
        kind.forward, {name: ours_for(function) for name, function in stock.items()}
    )


def _steps_of_angles(
    model: nn.Module, attentions: list[nn.Module], frequencies: str | Schedule
) -> Iterator[_Step]:
    rotaries = list(_rotaries_of(model, attentions))
    with_tables = [attention for attention in attentions if tables.has_table(attention)]
    if not rotaries and not with_tables:
        raise ValueError("no module of it makes cos and sin of position_ids")
    for rotary in rotaries:
        yield from _steps_of_rotary(rotary, frequencies)
    for attention in with_tables:
        given = frequencies if isinstance(frequencies, Schedule) else None
        table = tables.exact_table(attention, _table_schedule(model, frequencies), given)
        yield partial(tables.set_table, attention, table)


def _rotaries_of(model: nn.Module, attentions: list[nn.Module]) -> Iterator[nn.Module]:
    """The rotary modules that stand beside or in one of these; others are of pictures."""
    for parent in model.modules():
        rotaries = [module for module in parent.children() if modules.is_rotary(module)]
        if rotaries and not set(attentions).isdisjoint(parent.modules()):
            yield from rotaries


def _steps_of_rotary(rotary: nn.Module, frequencies: str | Schedule) -> Iterator[_Step]:
    layer_types = tuple(modules.layer_types(rotary))
    forms = {layer_type: modules.form_of(rotary, layer_type) for layer_type in layer_types}
    source: Source = sources.of_module
    masks = {modules.named(AXES, t): form.axis_mask() for t, form in forms.items()}
    buffers = {name: mask for name, mask in masks.items() if mask is not None}
    if frequencies != "model":
        given = frequencies if isinstance(frequencies, Schedule) else None
        if given is not None:
            for form in forms.values():
                form.refuse_unfit(type(rotary).__name__, given)
        source, turns = sources.others(rotary, layer_types, given)
        buffers |= turns
    device = modules.own_frequencies(rotary, layer_types[0])[0].device
    for name, held in buffers.items():
        yield partial(rotary.register_buffer, name, held.to(device), persistent=False)
    forward = forward_with(source, forms, updates=hasattr(rotary, "rope_type"))
    yield partial(forwards.set_forward, rotary, forward)


def _table_schedule(model: Any, frequencies: str | Schedule) -> Schedule:
    make = exact_schedule_from if frequencies == "exact" else schedule_from
    return make(model.config, None, None)
