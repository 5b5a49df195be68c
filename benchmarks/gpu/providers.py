"""Who rotates: this library in three ways, plain torch as transformers writes it, the same through
torch.compile, others where there are any, and the ceiling, which only scales in place. For bench.py
and the test.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import torch_rope
from benchmarks.gpu.cases import Pair, Workload
from benchmarks.gpu.clock import Call
from benchmarks.gpu.provider import CEILING, FLOOR, PEER, Provider, forward_or_back, refuse


def keywords_of(work: Workload, *, table: bool) -> dict[str, Any]:
    """Of torch_rope's operators. The table comes with turns, as from a Schedule."""
    case = work.case
    optional = {"rotary_offset": case.rotary_offset} if case.rotary_offset else {}
    angles = {"inv_freq": work.turns, **({"cos_sin": work.table} if table else {})}
    return {"interleaved": case.interleaved, **angles, **optional}


def ours(work: Workload, *, table: bool) -> list[Call]:
    """In place; with a cached table, or with angles computed on the fly. The way back is that of
    rotate_qk, since what is done in place has none."""
    if work.case.backward:
        return ours_new(work, table=table)
    keywords = keywords_of(work, table=table)
    return [partial(torch_rope.apply, pair.q, pair.k, work.pos, **keywords) for pair in work.sets]


def ours_new(work: Workload, *, table: bool) -> list[Call]:
    """Into new tensors."""
    keywords = keywords_of(work, table=table)
    return forward_or_back(work, lambda q, k: torch_rope.rotate_qk(q, k, work.pos, **keywords))


def ours_functional(work: Workload, *, table: bool) -> list[Call]:
    refuse(work.case.backward, "a backward case has table and computed")
    return ours_new(work, table=table)


def rotate_half(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def rotate_every_two(x: Tensor) -> Tensor:
    return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)


def plain(
    q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, interleaved: bool, offset: int = 0
) -> tuple[Tensor, Tensor]:
    """The rotation in plain torch, as model code in Python states it: on (B, H, S, D) views, with
    cos and sin (1, S, R) made once a forward pass; components before `offset`, or beyond the R
    rotated ones, are passed on."""
    partner = rotate_every_two if interleaved else rotate_half
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    width = cos.shape[-1]

    def one(x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        start = offset % x.shape[-1] if offset else 0
        before, rotated, rest = x.split((start, width, x.shape[-1] - start - width), dim=-1)
        rotated = rotated * cos + partner(rotated) * sin
        parts = [part for part in (before, rotated, rest) if part.shape[-1]]
        return torch.cat(parts, dim=-1) if len(parts) > 1 else rotated

    return one(q), one(k)


def eager(work: Workload, function: Callable[..., Any] = plain) -> list[Call]:
    refuse(work.case.chain, "a chain is of single launches")

    def rotation(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        case = work.case
        q, k = function(q, k, work.cos, work.sin, case.interleaved, case.rotary_offset)
        return q.transpose(1, 2), k.transpose(1, 2)

    return forward_or_back(work, rotation)


def compiled(work: Workload) -> list[Call]:
    """For these shapes alone: the best that torch.compile can know."""
    refuse(work.case.chain, "a chain is of single launches")
    torch.compiler.reset()
    # A way back that may run but once would take its buffers for its own.
    with torch._functorch.config.patch(donated_buffer=False):
        calls = eager(work, torch.compile(plain, dynamic=False))
        calls[0]()  # compiles: once more where only the way back is left
    return calls


SIGNS = {4: 0x80000000, 2: 0x80008000}


def load_scale(path: Path) -> Any:
    """The function that scales; its library's other one is .floor."""
    library = ctypes.CDLL(str(path))
    function = library.rope_scale_in_place
    function.floor = library.rope_empty
    function.floor.argtypes = [ctypes.c_int, ctypes.c_void_p]
    function.floor.restype = ctypes.c_int
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


def floor(work: Workload, function: Any, dependent: bool) -> list[Call]:
    """A kernel of one block that does nothing; dependent: with programmatic dependent launch."""
    refuse(not work.case.chain, "it is for chains")

    def call() -> None:
        error = function(int(dependent), torch.cuda.current_stream().cuda_stream)
        if error:
            raise RuntimeError(f"the empty kernel was not launched: cudaError {error}")

    return [call]


def scale_by_torch(work: Workload) -> list[Call]:
    """Where there is no kernel, as on a CPU: two calls of neg_."""

    def call(pair: Pair) -> None:
        pair.q.neg_()
        pair.k.neg_()

    return [partial(call, pair) for pair in work.plain_sets]


def ceilings(scale_library: Path | None) -> list[Provider]:
    """One for each number of vectors a thread, and what a launch takes at least."""
    if scale_library is None:
        about = "q and k negated by torch, in two calls"
        return [Provider("scale", scale_by_torch, rotates=False, kind=CEILING, about=about)]
    function = load_scale(scale_library)
    scales = [
        Provider(
            f"scale-{vectors}",
            partial(scale, function=function, vectors=vectors),
            rotates=False,
            kind=CEILING,
            about=f"q and k negated in one launch, {vectors} x 16 bytes a thread",
        )
        for vectors in (1, 2, 4, 8)
    ]
    floors = [
        Provider(
            name,
            partial(floor, function=function.floor, dependent=dependent),
            rotates=False,
            kind=FLOOR,
            about=f"an empty kernel, {how} programmatic dependent launch",
        )
        for name, dependent, how in (("floor", False, "without"), ("floor-pdl", True, "with"))
    ]
    return scales + floors


def all_providers(scale_library: Path | None, *, with_compile: bool) -> list[Provider]:
    """All but those of peers/."""
    new = partial(Provider, in_place=False)
    rest = [
        Provider("table", partial(ours, table=True), about="apply, with a cached table"),
        Provider("computed", partial(ours, table=False), about="apply, angles computed"),
        new("new", partial(ours_functional, table=True), about="rotate_qk, with a cached table"),
        new(
            "new_computed",
            partial(ours_functional, table=False),
            about="rotate_qk, angles computed",
        ),
        new("eager", eager, kind=PEER, about="plain torch, cos and sin ready-made"),
    ]
    if with_compile:
        about = "the same through torch.compile, for this shape"
        rest.append(new("compile", compiled, kind=PEER, about=about))
    return ceilings(scale_library) + rest
