"""Who rotates: this library in three ways, plain torch as transformers writes it, the same through
torch.compile, and the ceiling, which only scales in place. For bench.py and the test.

A provider makes, from a Workload, one call for each of its sets of q and k.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import torch_rope
from benchmarks.gpu.cases import Pair, Workload

Call = Callable[[], Any]  # returns new (q, k), or writes to its set


@dataclass(frozen=True)
class Provider:
    """in_place: calls write to their set; otherwise they return what they made. rotates: the result
    is the rotation, and not the set negated."""

    name: str
    make: Callable[[Workload], list[Call]]
    in_place: bool = True
    rotates: bool = True


def ours(work: Workload, *, table: bool) -> list[Call]:
    """In place; with a cached table, or with angles computed on the fly."""
    angles = {"inv_freq": work.turns, **({"cos_sin": work.table} if table else {})}
    keywords = {"interleaved": work.case.interleaved, **angles}
    return [partial(torch_rope.apply, pair.q, pair.k, work.pos, **keywords) for pair in work.sets]


def ours_new(work: Workload) -> list[Call]:
    """Into new tensors, with a cached table."""
    keywords = {
        "interleaved": work.case.interleaved,
        "inv_freq": work.turns,
        "cos_sin": work.table,
    }
    return [
        partial(torch_rope.rotate_qk, pair.q, pair.k, work.pos, **keywords) for pair in work.sets
    ]


def rotate_half(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def rotate_every_two(x: Tensor) -> Tensor:
    return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)


def plain(
    q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, interleaved: bool
) -> tuple[Tensor, Tensor]:
    """The rotation in plain torch, as model code in Python states it: on (B, H, S, D) views, with
    cos and sin (1, S, R) made once a forward pass; components beyond R are passed on."""
    partner = rotate_every_two if interleaved else rotate_half
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    width = cos.shape[-1]

    def one(x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        rotated, rest = x[..., :width], x[..., width:]
        rotated = rotated * cos + partner(rotated) * sin
        return torch.cat((rotated, rest), dim=-1) if rest.shape[-1] else rotated

    return one(q), one(k)


def eager(work: Workload, function: Callable[..., Any] = plain) -> list[Call]:
    def call(pair: Pair) -> tuple[Tensor, Tensor]:
        q, k = function(pair.q, pair.k, work.cos, work.sin, work.case.interleaved)
        return q.transpose(1, 2), k.transpose(1, 2)

    return [partial(call, pair) for pair in work.sets]


def compiled(work: Workload) -> list[Call]:
    """For these shapes alone: the best that torch.compile can know."""
    torch.compiler.reset()
    return eager(work, torch.compile(plain, dynamic=False))


SIGNS = {4: 0x80000000, 2: 0x80008000}


def load_scale(path: Path) -> Any:
    function = ctypes.CDLL(str(path)).rope_scale_in_place
    tensor = [ctypes.c_void_p, ctypes.c_int64]
    function.argtypes = [*tensor, *tensor, ctypes.c_uint32, ctypes.c_int, ctypes.c_void_p]
    function.restype = ctypes.c_int
    return function


def scale(work: Workload, function: Any, vectors: int) -> list[Call]:
    """scale.cu, on as many bytes without gaps as the case rotates."""
    signs = SIGNS[work.case.dtype.itemsize]

    def call(pair: Pair) -> None:
        stream = torch.cuda.current_stream().cuda_stream
        q, k = pair.q, pair.k
        error = function(q.data_ptr(), q.nbytes, k.data_ptr(), k.nbytes, signs, vectors, stream)
        if error:
            raise RuntimeError(f"the scale kernel was not launched: cudaError {error}")

    return [partial(call, pair) for pair in work.plain_sets]


def scale_by_torch(work: Workload) -> list[Call]:
    """Where there is no kernel, as on a CPU: two calls of neg_."""

    def call(pair: Pair) -> None:
        pair.q.neg_()
        pair.k.neg_()

    return [partial(call, pair) for pair in work.plain_sets]


def all_providers(scale_library: Path | None, *, with_compile: bool) -> list[Provider]:
    """The ceiling comes as one provider for each number of vectors a thread."""
    if scale_library is None:
        ceilings = [Provider("scale", scale_by_torch, rotates=False)]
    else:
        function = load_scale(scale_library)
        ceilings = [
            Provider(
                f"scale-{vectors}",
                partial(scale, function=function, vectors=vectors),
                rotates=False,
            )
            for vectors in (1, 2, 4, 8)
        ]
    rest = [
        Provider("table", partial(ours, table=True)),
        Provider("computed", partial(ours, table=False)),
        Provider("new", ours_new, in_place=False),
        Provider("eager", eager, in_place=False),
    ]
    if with_compile:
        rest.append(Provider("compile", compiled, in_place=False))
    return ceilings + rest
