"""Draws the figure of docs/schedules.md with the page's own block, so that the two cannot differ.
Behind make figures.

Usage: .venv/bin/python scripts/schedules_figure.py
"""

import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot, style

from environment.report import ROOT, guarded

PAGE = ROOT / "docs" / "schedules.md"
FIGURE = ROOT / "docs" / "figures" / "schedules.svg"
LOOK = ROOT / "docs" / "figures" / "look.mplstyle"


def blocks() -> list[str]:
    """The page's Python. The first is of imports, with which each of the others stands alone."""
    page = PAGE.read_text(encoding="utf-8")
    found: list[str] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return found


def draw(path: Path) -> None:
    imports, *others = blocks()
    (drawing,) = (block for block in others if ".plot(" in block)
    names: dict[str, Any] = {}
    mpl.use("Agg")
    with style.context(["default", LOOK]):
        exec(imports + drawing, names)
        figure = names["ax"].figure
        # The date and the version of matplotlib stay out of the file.
        figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def main() -> int:
    draw(FIGURE)
    print(f" · {FIGURE.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
