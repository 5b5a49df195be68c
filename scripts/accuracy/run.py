"""Measures what docs/numerics.md and docs/transformers.md say of errors, and writes their tables
and figures. Behind make accuracy; one or two minutes on one core.

Usage: .venv/bin/python scripts/accuracy/run.py [--quick]
--quick prints the tables instead, without the columns that take long, and writes nothing.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from accuracy import figures, measure, modes, page, tables
from environment.report import ROOT, guarded


def show(results: measure.Results) -> None:
    for name, text in tables.texts(results).items():
        print(f"{name}\n{text}\n")


def publish(results: measure.Results) -> None:
    for path, texts in ((page.PAGE, tables.texts(results)), (modes.PAGE, modes.texts())):
        path.write_text(page.write(path.read_text(encoding="utf-8"), texts), encoding="utf-8")
    figures.draw(results, page.PAGE.parent / "figures")
    written = [
        page.PAGE,
        modes.PAGE,
        *(page.PAGE.parent / "figures" / f"{name}.svg" for name in figures.DRAWN),
    ]
    print("written:", *(str(path.relative_to(ROOT)) for path in written))


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Writes the tables of docs/numerics.md and docs/transformers.md."
    )
    parser.add_argument("--quick", action="store_true", help="print some of it, write nothing")
    quick: bool = parser.parse_args().quick
    start = time.monotonic()
    results = measure.measure(quick=quick)
    if quick:
        show(results)
    else:
        publish(results)
    print(f"measured and written in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
