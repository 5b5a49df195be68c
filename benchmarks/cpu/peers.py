"""transformers' rotary functions, as they are and through torch.compile. For providers.py alone.

They get the same cosines and sines as torch_rope, rounded to q's type as they expect them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.cpu import ours
from benchmarks.cpu.call import Call, Missing, from_pair
from benchmarks.cpu.cases import Case
from benchmarks.cpu.workload import Pair, Workload

Rotation = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(f"{name.split('.')[0]} is not installed") from error


def _model(case: Case) -> str:
    """The transformers model whose function rotates such heads."""
    if case.interleaved:
        return "glm"
    return "gpt_neox" if case.is_partial else "llama"


def rotation(case: Case) -> Rotation:
    """The function of that model, on (B, S, H, D)."""
    model = _model(case)
    function = installed(f"transformers.models.{model}.modeling_{model}").apply_rotary_pos_emb
    first = case.rotary_offset

    def whole(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        return function(q, k, cos, sin, unsqueeze_dim=2)

    def end(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """As models with latent attention do: split, rotated and put together again."""
        rotated = whole(q[..., first:], k[..., first:], cos, sin)
        kept = (q[..., :first], k[..., :first])
        new_q, new_k = (torch.cat(parts, dim=-1) for parts in zip(kept, rotated, strict=True))
        return new_q, new_k

    return end if first else whole


def eager(work: Workload) -> list[Call]:
    return _new_tensors(work, rotation(work.case))


def eager_backward(work: Workload) -> list[Call]:
    return ours.gradient(work, rotation(work.case), work.cos, work.sin)


def compiled(work: Workload) -> list[Call]:
    return _new_tensors(work, compile_for_these(rotation(work.case)))


def compiled_in_place(work: Workload) -> list[Call]:
    rotate = rotation(work.case)

    def in_place(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> None:
        rotated_q, rotated_k = rotate(q, k, cos, sin)
        q.copy_(rotated_q)
        k.copy_(rotated_k)

    run = compile_for_these(in_place)

    def call(pair: Pair) -> Call:
        return Call(lambda: run(pair.q, pair.k, work.cos, work.sin), lambda: pair)

    return [call(pair) for pair in work.sets]


def _new_tensors(work: Workload, rotate: Rotation) -> list[Call]:
    return [
        from_pair(lambda pair=pair: rotate(pair.q, pair.k, work.cos, work.sin))
        for pair in work.sets
    ]


def compile_for_these(function: Callable[..., Any]) -> Callable[..., Any]:
    """For these very shapes, which is the best that Inductor can do."""
    return torch.compile(function, fullgraph=True, dynamic=False)


def forget_compiled() -> None:
    """Between workloads: Inductor's code for other shapes counts against a limit, past which it
    runs eagerly. What was compiled before must not be called again."""
    torch._dynamo.reset()
