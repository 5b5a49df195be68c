"""The command line: python -m study, from the checkout's root, behind make study. Measures what
docs/article.md says, from the weights that are shipped, and writes the page and its figures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import torch

from study import figures, measure, page


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m study", description=__doc__)
    told = "measure nothing: write the pages and figures from study/results.json"
    parser.add_argument("--kept", action="store_true", help=told)
    chosen = parser.parse_args(arguments)
    start = time.monotonic()
    if not chosen.kept:
        torch.set_num_threads(1)
        measure.write(measure.measure())
    results = measure.read()
    for path in [*page.write(results), *figures.draw(results)]:
        print(f"   {path.relative_to(page.ROOT)}")
    print(f" · {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
