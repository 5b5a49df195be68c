"""A transformers model in float64 throughout: what it would compute without float32's roundings."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class Float64(TorchFunctionMode):
    """In this mode whoever asks for float32, as norms, softmax and angles do, gets float64."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        keywords = {name: _wider(value) for name, value in (kwargs or {}).items()}
        return func(*(_wider(argument) for argument in args), **keywords)


def _wider(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


class Float64Twin:
    """A copy with the same weights and frequencies, called as the model is."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).double()

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.model.parameters()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        with Float64():
            return self.model(*arguments, **keywords)
