"""What a call costs apart from its data: one token, so that checks, dispatch and Python are most of
it, beside torch's own `q.add_(1)`.

For runner.py and report.py. All take turns in one run, as the cases do, on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

import torch_rope
from benchmarks.cpu.call import Call
from benchmarks.cpu.clock import figures, take_turns

HEADS_Q, HEADS_K, HEAD_DIM, POSITION = 32, 8, 128, 2048
LIMIT = "add_"
ABOUT = {
    LIMIT: "q.add_(1)",
    "apply": "torch.ops.rope.apply(q, k, pos)",
    "apply, table": "the same with cos_sin",
    "apply, turns": "the same with inv_freq in turns and an attention_factor",
    "apply, 9 keywords": "inv_freq, attention_factor, rotary_dim, … skip_negative",
    "torch_rope.apply": "the Python function, with cos_sin",
    "rotate_qk, table": "new tensors",
}


def measure(seconds: float) -> dict[str, Any]:
    """Microseconds a call for one token of bfloat16 q (1, 1, 32, 128) and k (1, 1, 8, 128)."""
    q = torch.randn(1, 1, HEADS_Q, HEAD_DIM).bfloat16()
    k = torch.randn(1, 1, HEADS_K, HEAD_DIM).bfloat16()
    added = torch.zeros_like(q)
    pos = torch.tensor([POSITION])
    schedule = torch_rope.schedules.default(dim=HEAD_DIM, base=500000.0)
    table, turns = schedule.table(POSITION + 1), schedule.kwargs()
    offsets = torch.zeros(1, dtype=torch.int64)
    op = torch.ops.rope
    runs: dict[str, Callable[[], object]] = {
        LIMIT: lambda: added.add_(1),
        "apply": lambda: op.apply(q, k, pos),
        "apply, table": lambda: op.apply(q, k, pos, cos_sin=table),
        "apply, turns": lambda: op.apply(q, k, pos, **turns),
        "apply, 9 keywords": lambda: op.apply(
            q,
            k,
            pos,
            **turns,
            rotary_dim=HEAD_DIM,
            rotary_offset=0,
            interleaved=False,
            inverse=False,
            layout="bshd",
            offsets=offsets,
            skip_negative=True,
        ),
        "torch_rope.apply": lambda: torch_rope.apply(q, k, pos, cos_sin=table),
        "rotate_qk, table": lambda: op.rotate_qk(q, k, pos, cos_sin=table),
    }
    times = take_turns({name: [Call(run)] for name, run in runs.items()}, seconds)
    return {"about": ABOUT, "providers": figures(times, LIMIT, "over_add", "us")}


def show(measured: dict[str, Any], console: Console) -> None:
    title = " One token, bfloat16, 32 + 8 heads of 128: the cost of a call"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for header in ("µs", "÷ add_"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("")
    for name, found in measured["providers"].items():
        about = measured["about"][name]
        table.add_row(name, f"{found['us']:.2f}", f"{found['over_add']:.2f}", about)
    console.print(table)
