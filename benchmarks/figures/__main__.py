"""The command line: python -m benchmarks.figures, from the checkout's root."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cpu import machine
from benchmarks.figures import plots, readme, results

FIGURES = machine.ROOT / "docs" / "figures"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.figures",
        description="README's tables of times and the plots, from the newest results",
    )
    parser.add_argument("--results", type=Path, default=results.RESULTS, metavar="FOLDER")
    parser.add_argument("--figures", type=Path, default=FIGURES, metavar="FOLDER")
    parser.add_argument("--readme", type=Path, default=readme.README, metavar="FILE")
    parser.add_argument("--png", action="store_true", help="plots to look at, instead of .svg")
    chosen = parser.parse_args(arguments)
    chosen.figures.mkdir(parents=True, exist_ok=True)
    for kind in ("cpu", "gpu"):
        for result in results.newest(kind, chosen.results):
            print(f" · {result.path}: {result.title}, {result.date}")
            for path in plots.draw(result, chosen.figures, ".png" if chosen.png else ".svg"):
                print(f"   {path}")
    text = chosen.readme.read_text(encoding="utf-8")
    new = readme.rewritten(text, chosen.results)
    if new != text:
        chosen.readme.write_text(new, encoding="utf-8")
    print(f" · {chosen.readme}: {'written' if new != text else 'as it was'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
