"""torch_rope's ways to rotate, and the limit: moving the same bytes without a rotation.

For providers.py alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

import torch_rope
from benchmarks.cpu import instruction_sets
from benchmarks.cpu.call import Call, from_pair
from benchmarks.cpu.workload import Pair, Workload

Keywords = dict[str, Tensor | int | bool]
Rotation = Callable[..., tuple[Tensor, Tensor]]


def _rotated(pair: Pair, first: int, width: int) -> Pair:
    return Pair(*(x[..., first : first + width] for x in pair))


def limit(work: Workload) -> list[Call]:
    first, width = work.case.rotary_offset, work.case.rotary_dim
    if work.case.dtype == torch.float32:
        return [_scale(pair, _rotated(pair, first, width)) for pair in work.sets]
    return [_copy(pair, pair.clone(), first, width) for pair in work.sets]


def _scale(pair: Pair, part: Pair) -> Call:
    def run() -> None:
        part.q.mul_(1.0)
        part.k.mul_(1.0)

    return Call(run, lambda: pair)


def _copy(source: Pair, target: Pair, first: int, width: int) -> Call:
    read, written = _rotated(source, first, width), _rotated(target, first, width)

    def run() -> None:
        written.q.copy_(read.q)
        written.k.copy_(read.k)

    return Call(run, lambda: target)


def _keywords(work: Workload, *, table: bool) -> Keywords:
    angles = {"cos_sin": work.table} if table else {"inv_freq": work.turns}
    where = {"rotary_offset": work.case.rotary_offset, "interleaved": work.case.interleaved}
    return {**where, **angles}


def apply(work: Workload, *, table: bool) -> list[Call]:
    keywords = _keywords(work, table=table)

    def call(pair: Pair) -> Call:
        return Call(lambda: torch_rope.apply(pair.q, pair.k, work.pos, **keywords), lambda: pair)

    return [call(pair) for pair in work.sets]


def apply_on(work: Workload, name: str, *, table: bool) -> list[Call]:
    """apply with the kernels of one instruction set."""
    setting = partial(instruction_sets.running_on, name)
    return [Call(call.run, call.result, setting) for call in apply(work, table=table)]


def rotate_qk(work: Workload, *, table: bool) -> list[Call]:
    keywords = _keywords(work, table=table)
    return [
        from_pair(lambda pair=pair: torch_rope.rotate_qk(pair.q, pair.k, work.pos, **keywords))
        for pair in work.sets
    ]


@contextmanager
def recording() -> Iterator[None]:
    """Gradients, though runs are in inference mode; on a CPU a backward pass runs on the thread
    that asks for it, and so as this one is set."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def gradient(work: Workload, rotation: Rotation, *constants: Tensor) -> list[Call]:
    """The backward pass alone of rotation(q, k, *constants) → (q, k); gradients are new tensors."""
    with recording():
        kept = [x.clone() for x in constants]
        return [_gradient(pair, rotation, kept) for pair in work.sets]


def _gradient(pair: Pair, rotation: Rotation, constants: list[Tensor]) -> Call:
    leaves = tuple(x.clone().requires_grad_() for x in pair)
    outputs, given = rotation(*leaves, *constants), Pair(*(x.clone() for x in pair))
    backward = partial(torch.autograd.grad, outputs, leaves, tuple(given), retain_graph=True)
    return from_pair(backward, recording)


def rotate_qk_backward(work: Workload) -> list[Call]:
    keywords = _keywords(work, table=True)
    del keywords["cos_sin"]

    def rotation(q: Tensor, k: Tensor, pos: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        return torch_rope.rotate_qk(q, k, pos, cos_sin=table, **keywords)

    return gradient(work, rotation, work.pos, work.table)
