"""What a provider is, and what makes one of a differentiable rotation's way back. For providers.py,
peers/ and whoever runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.cases import Workload
from benchmarks.gpu.clock import Call, at_side

OURS, PEER, CEILING, FLOOR = "ours", "peer", "ceiling", "floor"


class NotServed(Exception):
    """Why a provider has no such case: it is told, and is nobody's mistake."""


@dataclass(frozen=True)
class Provider:
    """make: from a Workload, one call for each of its sets of q and k.

    in_place: calls write to their set; otherwise they return what they made. rotates: the result
    is the rotation, and not the set negated. float_angles: it takes the angles themselves, in
    float32. about: a line for the reader of bench.json.
    """

    name: str
    make: Callable[[Workload], list[Call]]
    in_place: bool = True
    rotates: bool = True
    kind: str = OURS
    float_angles: bool = False
    about: str = ""


Rotation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def forward_or_back(work: Workload, rotation: Rotation) -> list[Call]:
    """Calls of rotation(q, k) with each set; in a backward case, of its gradient alone, where the
    sets are the gradients that arrive and one forward pass has been run before."""
    if not work.case.backward:
        return [partial(rotation, pair.q, pair.k) for pair in work.sets]
    given = tuple(torch.randn_like(x).requires_grad_() for x in (work.sets[0].q, work.sets[0].k))
    with at_side(work.device):
        made = rotation(*given)

    def back(*arriving: Tensor) -> Any:
        return torch.autograd.grad(made, given, arriving, retain_graph=True)

    return [partial(back, pair.q, pair.k) for pair in work.sets]


def refuse(condition: bool, reason: str) -> None:
    if condition:
        raise NotServed(reason)
