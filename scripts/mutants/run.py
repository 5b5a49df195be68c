"""Seeds one fault after another into a copy of the checkout and runs the tests that should notice.
A survivor is a gap in the tests: the status is then 1. Behind make mutants; the faults are in
faults_*.py. Usage: .venv/bin/python scripts/mutants/run.py [--list] [--canaries] [--only NAME …]
"""

import argparse
import fcntl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment.report import Failure, guarded
from mutants import report, table, tree, workshop
from mutants.fault import Fault, TableError
from mutants.report import Result


def examine(fault: Fault, clean: str) -> Result:
    """Whether fault's tests notice it; clean is the digest of their binaries without it."""
    start = time.monotonic()
    log = workshop.Log(fault.name)

    def result(noticed: str | None = None, error: str | None = None) -> Result:
        return Result(fault, noticed, error, time.monotonic() - start)

    try:
        with tree.seeded(fault):
            workshop.build(fault, log)
            if workshop.digest(fault) == clean:
                raise TableError("it changes no binary that its tests run")
            return result(noticed=workshop.run_tests(fault, log))
    except TableError as problem:
        return result(error=str(problem))


def run_clean(faults: Sequence[Fault]) -> None:
    """The tests pass without a fault; else a failure would say nothing."""
    programs = sorted({name for fault in faults for name in fault.programs})
    python_tests = sorted({name for fault in faults for name in fault.python_tests})
    log = workshop.Log("clean")
    try:
        failed = workshop.run_programs(programs, log) or workshop.run_python_tests(
            python_tests, log
        )
    except TableError as problem:
        failed = str(problem)
    if failed is not None:
        raise Failure(f"Without a fault: {failed} (log: {log.path}).")


@contextmanager
def alone() -> Iterator[None]:
    tree.FOLDER.mkdir(parents=True, exist_ok=True)
    with (tree.FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("Another run of the mutants is under way: wait for it.") from None
        yield


def run(faults: Sequence[Fault]) -> int:
    with alone():
        tree.copy_checkout()
        workshop.configure()
        workshop.build_clean(faults)
        clean = {fault.name: workshop.digest(fault) for fault in faults}
        with report.timed("their tests, without a fault"):
            run_clean(faults)
        results = []
        for fault in faults:
            results.append(examine(fault, clean[fault.name]))
            report.line(results[-1])
    report.summary(results)
    return 0 if all(result.noticed for result in results) else 1


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Do the tests notice seeded faults?")
    parser.add_argument("--list", action="store_true", help="the faults, without running anything")
    parser.add_argument("--canaries", action="store_true", help="three quick ones")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these")
    options = parser.parse_args(arguments)
    faults = table.chosen([*options.only, *(table.CANARIES if options.canaries else ())])
    if options.list:
        report.catalogue(faults)
        return 0
    return run(faults)


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
