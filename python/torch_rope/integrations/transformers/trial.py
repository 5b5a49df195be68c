"""Two rotary functions tried on the same small random tensors.

Every extent is another one, so functions that agree here agree in layout, pairing, sign, and in the
columns of cos and sin that they read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]
Arguments = dict[str, Any]

_BATCH, _TOKENS, _PAIRS = 2, 3, 6
_HEADS = {"q": 4, "k": 5, "x": 4, "tensor": 4, "xq": 4, "xk": 5}
_WIDER = 15  # a head of which 2 * _PAIRS components are rotated
_WHAT_A_WRONG_SHAPE_RAISES = (RuntimeError, TypeError, ValueError, AttributeError, IndexError)
# float32, numbers of a normal distribution, sums of two products: other rotations are farther off.
_TOLERANCE = 1e-4


def agree(
    stock: Function, ours: Function, names: tuple[str, ...], columns: Callable[[Tensor], Tensor]
) -> bool:
    """Whether both return the same wherever `stock` takes the arguments, and it takes some.

    names: of the arguments. columns: makes a row of cos or sin of one value a pair.
    """
    taken = 0
    with torch.no_grad():
        for arguments in _calls(names, columns):
            expected = _result(stock, arguments)
            if expected is None:
                continue
            taken += 1
            if not _same(expected, _result(ours, arguments)):
                return False
    return taken > 0


def _calls(names: tuple[str, ...], columns: Callable[[Tensor], Tensor]) -> Iterator[Arguments]:
    generator = torch.Generator("cpu").manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device="cpu")

    cos, sin = (columns(draw(_BATCH, _TOKENS, _PAIRS)) for _ in range(2))
    for width in (2 * _PAIRS, _WIDER):
        for unsqueeze_dim in (1, 2):
            given: Arguments = {"cos": cos, "sin": sin}
            if "freqs_cis" in names:
                given = {"freqs_cis": torch.complex(cos, sin)}
            for name in set(names) & set(_HEADS):
                x = draw(_BATCH, _TOKENS, _HEADS[name], width)
                given[name] = x.transpose(1, 2) if unsqueeze_dim == 1 else x
            told: Arguments = {"unsqueeze_dim": unsqueeze_dim} if "unsqueeze_dim" in names else {}
            yield {**given, **told}
            if told:  # what such a function takes for granted
                yield given
            if "k" in given:
                alone = {name: value for name, value in given.items() if name != "k"}
                yield from ({**alone, **told, "k": None}, {**alone, **told})


def _result(function: Function, arguments: Arguments) -> tuple[Any, ...] | None:
    """What it returned, in a tuple even where it is one tensor; None where it raised."""
    copies = {
        name: value.clone() if isinstance(value, Tensor) else value
        for name, value in arguments.items()
    }
    try:
        result = function(**copies)
    except _WHAT_A_WRONG_SHAPE_RAISES:
        return None
    return result if isinstance(result, tuple) else ("one tensor", result)


def _same(expected: tuple[Any, ...], ours: tuple[Any, ...] | None) -> bool:
    if ours is None or len(ours) != len(expected):
        return False
    return all(
        torch.allclose(a, b, rtol=0, atol=_TOLERANCE)
        if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape
        else (a is None or isinstance(a, str)) and a == b
        for a, b in zip(expected, ours, strict=True)
    )
