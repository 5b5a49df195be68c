"""Methods of one module that differ from those of its class.

A model's attention finds its rotary function among the globals of the file that it stands in, for
all models of that kind at once. Here a module gets a `forward` of its own: the same code with other
globals. Nothing of another model changes, not even one of the same class.
"""

from __future__ import annotations

import inspect
import pickle
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from torch import nn

Function = Callable[..., Any]

# What model files call the function that rotates q and k of text.
_ROTARY = re.compile(r"apply_(multimodal_)?rotary_(pos_)?emb(_interleave)?")
_NO_CODE = (lambda: None).__code__
# Where accelerate keeps the forward that its hooks call.
_PLACES = ("_old_forward", "forward")
_NOT_PICKLED = "torch_rope_not_pickled"
_REPLICATE = "_replicate_for_data_parallel"


def rotary_functions(kind: type[nn.Module]) -> dict[str, Function]:
    """The rotary functions that the forward of this class of modules names, in its file."""
    forward: Any = inspect.unwrap(kind.forward)
    scope = getattr(forward, "__globals__", {})
    names = getattr(forward, "__code__", _NO_CODE).co_names
    return {
        name: scope[name] for name in names if _ROTARY.fullmatch(name) and callable(scope.get(name))
    }


def with_globals(function: Any, changed: Mapping[str, Any]) -> Function:
    """`function` with these globals instead of its own of those names, inside its decorators.

    The copy has no __name__ among its globals: torch.compile looks there for the module to take
    them from, and would find the others.
    """
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is None:
        scope = {name: value for name, value in function.__globals__.items() if name != "__name__"}
        return _copy(function, {**scope, **changed}, function.__closure__)
    cells = getattr(function, "__closure__", None) or ()
    if all(cell.cell_contents is not wrapped for cell in cells):
        raise ValueError(f"{function.__qualname__} hides what it decorates")
    inner = types.CellType(with_globals(wrapped, changed))
    cells = tuple(inner if cell.cell_contents is wrapped else cell for cell in cells)
    return _copy(function, function.__globals__, cells)


def _copy(function: Any, scope: dict[str, Any], closure: tuple[Any, ...] | None) -> Function:
    code = function.__code__.replace()  # torch.compile keeps its results by code
    copy = types.FunctionType(code, scope, function.__name__, function.__defaults__, closure)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = function.__annotations__
    copy.__doc__ = function.__doc__
    return copy


class _NotPickled:
    """Kept in a module beside its forward, of which pickle would write the name alone."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __deepcopy__(self, memo: object) -> _NotPickled:
        return self

    def __reduce__(self) -> NoReturn:
        raise pickle.PicklingError(
            f"enable: a model that is enabled cannot be pickled ({self._name} has a forward of its"
            " own): save its state_dict, or disable it before"
        )


def _replica(module: Any) -> Any:
    """What DataParallel runs on another device: its forward is bound to it, not to `module`."""
    replica = type(module)._replicate_for_data_parallel(module)
    for place, _ in list(_ours(module)):
        bound = types.MethodType(module.__dict__[place].__func__, replica)
        setattr(replica, place, bound)
    return replica


def set_forward(module: nn.Module, function: Function) -> None:
    """`module` calls `function`, and no other module does."""
    function.torch_rope_stands_for = type(module).forward  # type: ignore[attr-defined]
    bound = types.MethodType(function, module)
    place = next((p for p in _PLACES if p in module.__dict__), "forward")
    setattr(module, place, bound)
    module.__dict__[_NOT_PICKLED] = _NotPickled(type(module).__name__)
    module.__dict__[_REPLICATE] = types.MethodType(_replica, module)


def restore_forward(module: nn.Module) -> None:
    for name in (_NOT_PICKLED, _REPLICATE):
        module.__dict__.pop(name, None)
    for place, stock in list(_ours(module)):
        delattr(module, place)
        if place != "forward":
            setattr(module, place, types.MethodType(stock, module))


def _ours(module: nn.Module) -> Iterator[tuple[str, Function]]:
    for place in _PLACES:
        function = getattr(module.__dict__.get(place), "__func__", None)
        stock = getattr(function, "torch_rope_stands_for", None)
        if stock is not None:
            yield place, stock
