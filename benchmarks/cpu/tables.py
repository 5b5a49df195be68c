"""The cached table: how long making one takes, beside plain torch and beside filling its memory.

For runner.py and report.py. All take turns in one run, as the cases do, and all allocate: first new
memory from the system, whose every page is then touched for the first time, then memory that the
process has had before.
"""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

import torch_rope
from benchmarks.cpu.call import Call
from benchmarks.cpu.clock import figures, take_turns

ROWS, ROTARY_DIM, BASE = 131072, 128, 500000.0
OURS = "cos_sin_table"
ABOUT = {
    OURS: "torch_rope.cos_sin_table of int64 turns",
    "torch float64": "outer product, cos, sin and cast to float32, in plain torch",
    "fill": "torch.empty(rows, rotary_dim).fill_(1)",
}
# mallopt's parameters (malloc.h) and their defaults.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
TRIM_THRESHOLD, MMAP_MAX = 128 * 1024, 65536


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """glibc hands nothing back to the system meanwhile. False where a table's memory is new all the
    same: without glibc, or in a heap that has no room to grow."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield False
        return
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    # One piece that all tables of a round fit into, whatever small things lie between them.
    torch.empty(16, ROWS, ROTARY_DIM).fill_(1)
    try:
        yield min(_faults() for _ in range(5)) < 1000  # of 16,384 pages of 4 KiB
    finally:
        libc.mallopt(M_MMAP_MAX, MMAP_MAX)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        libc.malloc_trim(0)


def _faults() -> int:
    """How many pages filling memory for a table touches for the first time."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(ROWS, ROTARY_DIM).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def measure(seconds: float) -> dict[str, Any]:
    """Times in ms for a table (ROWS, ROTARY_DIM) on the CPU; raises if the values are wrong."""
    schedule = torch_rope.schedules.default(dim=ROTARY_DIM, base=BASE)
    turns, inv_freq = schedule.kwargs()["inv_freq"], schedule.inv_freq

    def plain() -> torch.Tensor:
        angles = torch.outer(torch.arange(ROWS, dtype=torch.float64), inv_freq)
        return torch.cat((angles.cos(), angles.sin()), dim=-1).float()

    calls = {
        OURS: Call(lambda: torch_rope.cos_sin_table(turns, ROWS)),
        "torch float64": Call(plain),
        "fill": Call(lambda: torch.empty(ROWS, ROTARY_DIM).fill_(1)),
    }
    # Both are within a float32's rounding; the float64 angle itself is off by rows * 2^-53.
    if (torch_rope.cos_sin_table(turns, ROWS) - plain()).abs().max() > 2.0**-23:
        raise RuntimeError("cos_sin_table and plain torch disagree")
    document = {"rows": ROWS, "rotary_dim": ROTARY_DIM, "about": ABOUT}
    document["providers"] = _figures(calls, seconds / 2)
    with freed_memory_kept() as is_kept:
        if is_kept:
            document["in_used_memory"] = _figures(calls, seconds / 2)
    return document


def _figures(calls: dict[str, Call], seconds: float) -> dict[str, Any]:
    times = take_turns({name: [call] for name, call in calls.items()}, seconds)
    return figures(times, OURS, "over_ours")


def show(measured: dict[str, Any], console: Console) -> None:
    title = f" A table of {measured['rows']} rows, rotary_dim {measured['rotary_dim']}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    kinds = {"new memory": "providers", "used memory": "in_used_memory"}
    shown = {header: measured[key] for header, key in kinds.items() if key in measured}
    table.add_column("ms, ÷ ours")
    for header in shown:
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("")
    for name, about in measured["about"].items():
        cells = (f"{s[name]['ms']:.1f}, {s[name]['over_ours']:.2f}" for s in shown.values())
        table.add_row(name, *cells, about)
    console.print(table)
