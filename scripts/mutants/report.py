"""What a run says: a line for each fault, and the score in a table. For run.py."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mutants.fault import Fault

WIDTH = 120  # where no terminal says


@dataclass(frozen=True)
class Result:
    fault: Fault
    noticed: str | None  # by which test
    error: str | None  # of the table: the fault was not tried
    seconds: float

    @property
    def verdict(self) -> Text:
        if self.error is not None:
            return Text(f"ERROR: {self.error}", style="bold magenta")
        if self.noticed is None:
            return Text("SURVIVED", style="bold red")
        return Text(self.noticed, style="green")


def console() -> Console:
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=WIDTH)


@contextmanager
def timed(title: str) -> Iterator[None]:
    """As the steps of environment/report.py are told."""
    print(f"{title} … ", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    finally:
        print(f"{time.monotonic() - start:.1f} s", flush=True)


def line(result: Result) -> None:
    how = "ERROR" if result.error else "noticed" if result.noticed else "SURVIVED"
    print(f"{result.fault.name} … {result.seconds:.1f} s, {how}", flush=True)


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def catalogue(faults: Sequence[Fault]) -> None:
    table = _table(["fault", "in", "breaks", "should be noticed by"])
    for fault in faults:
        table.add_row(fault.name, fault.file, fault.breaks, "\n".join(fault.tests))
    console().print(table)


def summary(results: Sequence[Result]) -> None:
    table = _table(["fault", "in", "noticed by"])
    for result in results:
        table.add_row(result.fault.name, result.fault.file, result.verdict)
    console().print(table)
    for result in results:
        if not result.noticed:
            fault = result.fault
            print(f"{fault.name}: {fault.breaks} (log: build/mutants/log/{fault.name}.txt)")
    count = Counter(
        "errors" if result.error else "noticed" if result.noticed else "survived"
        for result in results
    )
    share = 100 * count["noticed"] / len(results)
    print(
        f"{count['noticed']} of {len(results)} seeded faults noticed ({share:.0f} %), "
        f"{count['survived']} survived, {count['errors']} errors"
    )
