"""Builds under sanitizers, and what runs in them: fuzz (libFuzzer below torch) and python (the
Python tests on an instrumented library). Behind make sanitizers; docs/testing.md says what they
look at.

Usage: .venv/bin/python scripts/sanitizers/run.py [fuzz|python …] [--minutes M] [--all] …
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment.report import guarded
from sanitizers import libfuzzer, python_tests

# Of each libFuzzer program, in CI.
SHORT_SECONDS = 10


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Builds under sanitizers, and what runs in them.")
    parser.add_argument("parts", nargs="*", metavar="fuzz|python", help="none: both")
    parser.add_argument("--minutes", type=float, help="fuzz: of one core, with a new seed")
    parser.add_argument("--seed", type=int, help="fuzz: libFuzzer's")
    parser.add_argument(
        "--only", nargs="+", choices=libfuzzer.TARGETS, default=libfuzzer.TARGETS, help="fuzz"
    )
    parser.add_argument("--all", action="store_true", help="python: every test, not a choice")
    chosen = parser.parse_args(arguments)
    long = chosen.minutes is not None
    seconds = round(60.0 * chosen.minutes / len(chosen.only)) if long else SHORT_SECONDS
    parts: dict[str, Callable[[], None]] = {
        "fuzz": lambda: libfuzzer.run(chosen.only, max(1, seconds), long, chosen.seed),
        "python": lambda: python_tests.run(chosen.all),
    }
    unknown = sorted(set(chosen.parts) - set(parts))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(parts)}")

    def one(name: str) -> int:
        parts[name]()
        return 0

    return max(guarded(lambda name=name: one(name)) for name in chosen.parts or parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
