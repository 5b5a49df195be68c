"""How the examples talk: progress lines, tables with a reading hint, and a fair stopwatch.

For the scripts in this directory only; it knows nothing about rotations.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


class Report:
    """Prints to `console` while the work goes on; nothing is kept."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    def title(self, text: str) -> None:
        self.console.rule(Text(text, style="bold"), align="left")

    def say(self, text: str) -> None:
        self.console.print(Padding(Text(text), (0, 0, 1, 1)))

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Says what is about to happen and, once it is done, how long it took."""
        self.console.print(Text(f" · {text} … ", style="dim"), end="")
        start = time.perf_counter()
        yield
        self.console.print(Text(f"{time.perf_counter() - start:.1f} s", style="dim"))

    def facts(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Names on the left, what there is to say about them on the right."""
        table = Table(show_header=False, box=box.SIMPLE_HEAD)
        table.add_column(no_wrap=True)
        table.add_column()
        self._print(title, table, rows)

    def table(
        self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], hint: str
    ) -> None:
        """Words in the first column, numbers in the others; `hint` says how to read it."""
        table = Table(box=box.SIMPLE_HEAD, min_width=76)
        table.add_column(header[0], no_wrap=True, vertical="bottom")
        for name in header[1:]:
            table.add_column(name, justify="right", vertical="bottom", no_wrap=True)
        self._print(title, table, rows)
        self.say(f"How to read it: {hint}")

    def _print(self, title: str, table: Table, rows: Sequence[Sequence[str]]) -> None:
        for row in rows:
            table.add_row(*row)
        self.console.print()
        self.console.print(Text(f" {title}", style="bold"))
        self.console.print(table)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """One call, until `device` has finished the work."""
    synchronize(device)
    start = time.perf_counter()
    function()
    synchronize(device)
    return time.perf_counter() - start


def take_turns(
    functions: Mapping[str, Callable[[], object]], limit: float, device: torch.device
) -> dict[str, float]:
    """Seconds a call: the mean of the fastest tenth (one call at least) of each function's calls.

    The functions take turns, so that whatever else keeps the machine busy meets all of them, for
    about `limit` seconds, but three rounds at least.
    """
    for function in functions.values():
        function()  # warms caches and allocators
    calls: list[dict[str, float]] = []
    end = time.perf_counter() + limit
    while len(calls) < 3 or time.perf_counter() < end:
        calls.append({name: seconds(function, device) for name, function in functions.items()})
    count = max(1, len(calls) // 10)
    return {name: sum(sorted(call[name] for call in calls)[:count]) / count for name in functions}
