"""Inside a compiled graph, where Inductor fuses a rotation in plain torch with its neighbours, and
cannot fuse an operator: what comes before attention, compiled with either.

A projection's output gets its bias, its queries and keys are rotated and scaled. For runner.py and
report.py; all take turns in one run, as the cases do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

import torch_rope
from benchmarks.cpu import peers
from benchmarks.cpu.agreement import allowed_error
from benchmarks.cpu.call import Call, Missing, from_pair, reason_of
from benchmarks.cpu.cases import DTYPES, Case
from benchmarks.cpu.clock import figures, take_turns
from benchmarks.cpu.workload import Workload

TOKENS = (1, 2048)
SCALE = 128**-0.25  # of the scores, half on each side
PEER = "inlined"
ABOUT = {
    PEER: "the block with transformers' function, all in one graph",
    "apply": "the block with torch.ops.rope.apply, its table cached",
    "rotate_qk": "the block with torch.ops.rope.rotate_qk, its table cached",
}
Rotation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Block = Callable[[Tensor], tuple[Tensor, Tensor]]


def block(case: Case, bias: Tensor, rotation: Rotation) -> Block:
    """(1, S, (heads_q + heads_k) head_dim) → q, k (1, S, H, D) of a projection's output."""
    heads = [case.heads_q, case.heads_k]

    def run(projected: Tensor) -> tuple[Tensor, Tensor]:
        together = (projected + bias).unflatten(-1, (-1, case.head_dim))
        q, k = rotation(*together.split(heads, dim=-2))
        return q * SCALE, k * SCALE

    return run


def rotations(work: Workload) -> dict[str, Rotation]:
    plain = peers.rotation(work.case)
    keywords = {"cos_sin": work.table, "interleaved": work.case.interleaved}

    def in_place(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        torch.ops.rope.apply(q, k, work.pos, **keywords)
        return q, k

    return {
        PEER: lambda q, k: plain(q, k, work.cos, work.sin),
        "apply": in_place,
        "rotate_qk": lambda q, k: torch.ops.rope.rotate_qk(q, k, work.pos, **keywords),
    }


def measure(seconds: float) -> dict[str, Any]:
    """name → milliseconds a call, for each case."""
    cases = [
        Case("", dtype, False, tokens=tokens, first_position=2048 * (tokens == 1))
        for tokens in TOKENS
        for dtype in (torch.float32, torch.bfloat16)
    ]
    measured = [_measure(case, seconds / len(cases)) for case in cases]
    return {"about": ABOUT, "cases": measured}


def _measure(case: Case, seconds: float) -> dict[str, Any]:
    facts = {"id": case.id, "dtype": DTYPES[case.dtype], "tokens": case.tokens}
    try:
        calls = _prepare(case)
    except Missing as reason:
        return {**facts, "providers": {}, "missing": str(reason)}
    times = take_turns({name: [call] for name, call in calls.items()}, seconds)
    return {**facts, "providers": figures(times, PEER, "over_inlined")}


def _prepare(case: Case) -> dict[str, Call]:
    """Missing without transformers, or where this machine cannot compile."""
    peers.forget_compiled()
    work = Workload(case, threads=1, cache_bytes=0)
    projected = torch.cat([x.flatten(2) for x in work.original], dim=-1)
    bias = torch.randn(projected.shape[-1], generator=torch.Generator().manual_seed(1))
    bias = bias.to(case.dtype)
    blocks = {name: block(case, bias, rotation) for name, rotation in rotations(work).items()}
    exact = block(case, bias.double(), _exact_rotation(work))(projected.double())
    calls = {}
    for name, run in blocks.items():
        compiled = peers.compile_for_these(run)
        calls[name] = from_pair(lambda compiled=compiled: compiled(projected))
        try:
            calls[name].run()
        except Exception as error:  # no compiler, or one that fails
            raise Missing(f"{name}: {reason_of(error)}") from error
        _verify(name, calls[name], exact, case)
    return calls


def _exact_rotation(work: Workload) -> Rotation:
    def rotation(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        q, k = (
            torch_rope.reference.rotate(
                x, work.pos, inv_freq=work.inv_freq, interleaved=work.case.interleaved
            )
            for x in (q, k)
        )
        return q, k

    return rotation


def _verify(name: str, call: Call, exact: tuple[Tensor, Tensor], case: Case) -> None:
    """The sum with the bias and the product with SCALE are rounded once each, before and after what
    agreement.py derives: 2 u norm more, and 2 % for the terms of second order."""
    allowed = 1.02 * (allowed_error(case.dtype) + torch.finfo(case.dtype).eps)
    for got, expected in zip(call.result(), exact, strict=True):
        halves = expected.unflatten(-1, (2, -1))
        norms = torch.linalg.vector_norm(halves, dim=-2, keepdim=True).expand_as(halves).flatten(-2)
        error = ((got.double() - expected).abs() / norms.clamp(min=2.0**-9)).max()
        if not error <= allowed:
            raise RuntimeError(f"{name} in a compiled graph, {case.id}: off by {error:.3g}")


def show(measured: dict[str, Any], console: Console) -> None:
    title = " Inside a compiled graph: bias, rotation, scale; 32 + 8 heads of 128"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("µs, ÷ inlined")
    for case in measured["cases"]:
        table.add_column(f"{case['dtype']}, {case['tokens']}", justify="right", no_wrap=True)
    for name in measured["about"]:
        cells = []
        for case in measured["cases"]:
            found = case["providers"].get(name)
            text = f"{1e3 * found['ms']:.0f}, {found['over_inlined']:.2f}" if found else "–"
            cells.append(text)
        table.add_row(name, *cells)
    console.print(table)
