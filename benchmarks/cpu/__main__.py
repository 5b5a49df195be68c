"""The command line: python -m benchmarks.cpu [options], from the checkout's root."""

import argparse
import logging
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.cpu import machine, report, runner
from benchmarks.cpu.cases import all_cases

# The whole run then takes three minutes on two cores; and one or two more the first time, as the
# some forty compilations of torch.compile are some 3 s each, until Inductor's own cache has them.
SECONDS = 80.0
NAME_ADVICE = "a name, not a path: it goes into the processor's folder in benchmarks/results"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cpu", description="the rotation on this CPU, beside others"
    )
    parser.add_argument("--threads", type=int, default=min(2, machine.usable_cpus()))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of timing, all together")
    parser.add_argument("--cases", default="", metavar="TEXT", help="only those with it in the id")
    parser.add_argument(
        "--save", nargs="?", const="", metavar="NAME", help="keep the results as a JSON file"
    )
    parser.add_argument("--show", type=Path, metavar="FILE", help="show a file's results instead")
    chosen = parser.parse_args(arguments)
    if chosen.save and Path(chosen.save).name != chosen.save:
        parser.error(f"--save takes {NAME_ADVICE}, got {chosen.save}")
    return chosen


def main(arguments: Sequence[str]) -> int:
    chosen, console = parse(arguments), Console(highlight=False)
    if chosen.show:
        report.show(report.load(chosen.show), console)
        return 0
    cases = [case for case in all_cases() if chosen.cases in case.id]
    if not cases:
        ids = "\n".join(case.id for case in all_cases())
        print(f"No case has {chosen.cases} in its id; there are\n{ids}", file=sys.stderr)
        return 1
    # Without a GPU torch.compile says so at length.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    command = shlex.join(["python", "-m", "benchmarks.cpu", *arguments])
    settings = runner.Settings(chosen.threads, chosen.seconds, command)
    start = time.monotonic()
    document = runner.run(cases, settings, lambda line: console.print(f" · {line}", style="dim"))
    report.show(document, console)
    if chosen.save is not None:
        path = report.save(document, chosen.save)
        console.print(f" Saved: {path.relative_to(machine.ROOT)}")
    console.print(f" Done in {time.monotonic() - start:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
