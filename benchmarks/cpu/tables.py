"""The cached table: how long making one takes, beside plain torch and beside filling its memory.

For runner.py and report.py. All take turns in one run, as the cases do, and all allocate.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

import torch_rope
from benchmarks.cpu.call import Call
from benchmarks.cpu.clock import fastest_tenth, take_turns

ROWS, ROTARY_DIM, BASE = 131072, 128, 500000.0
OURS = "cos_sin_table"
ABOUT = {
    OURS: "torch_rope.cos_sin_table of int64 turns",
    "torch float64": "outer product, cos, sin and cast to float32, in plain torch",
    "fill": "torch.empty(rows, rotary_dim).fill_(1)",
}


def measure(seconds: float) -> dict[str, Any]:
    """Times in ms for a table (ROWS, ROTARY_DIM) on the CPU; raises if the values are wrong."""
    schedule = torch_rope.schedules.default(dim=ROTARY_DIM, base=BASE)
    turns, inv_freq = schedule.kwargs()["inv_freq"], schedule.inv_freq

    def plain() -> torch.Tensor:
        angles = torch.outer(torch.arange(ROWS, dtype=torch.float64), inv_freq)
        return torch.cat((angles.cos(), angles.sin()), dim=-1).float()

    calls = {
        OURS: lambda: torch_rope.cos_sin_table(turns, ROWS),
        "torch float64": plain,
        "fill": lambda: torch.empty(ROWS, ROTARY_DIM).fill_(1),
    }
    # Both are within a float32's rounding; the float64 angle itself is off by rows * 2^-53.
    if (calls[OURS]() - plain()).abs().max() > 2.0**-23:
        raise RuntimeError("cos_sin_table and plain torch disagree")
    times = take_turns({name: [Call(run)] for name, run in calls.items()}, seconds)
    best = {name: fastest_tenth(samples) for name, samples in times.items()}
    figures = {
        name: {
            "ms": 1e3 * best[name],
            "median_ms": 1e3 * statistics.median(times[name]),
            "samples": len(times[name]),
            "over_ours": best[name] / best[OURS],
        }
        for name in calls
    }
    return {"rows": ROWS, "rotary_dim": ROTARY_DIM, "about": ABOUT, "providers": figures}


def show(measured: dict[str, Any], console: Console) -> None:
    title = f" A table of {measured['rows']} rows, rotary_dim {measured['rotary_dim']}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for header in ("", "ms", f"÷ {OURS}", ""):
        table.add_column(header, justify="right" if header else "left", no_wrap=bool(header))
    for name, facts in measured["providers"].items():
        ratio = f"{facts['over_ours']:.2f}"
        table.add_row(name, f"{facts['ms']:.1f}", ratio, measured["about"][name])
    console.print(table)
