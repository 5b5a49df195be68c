"""docs/schedules.md as a reader uses it: every block of Python runs after the imports, and prints
what the page says; its table calls the builders as they are; its figure is what its block draws.
"""

import inspect
import re

import matplotlib
import pytest
from matplotlib import pyplot

from schedules_figure import FIGURE, PAGE, blocks, draw
from torch_rope import schedules

matplotlib.use("Agg")
TEXT = PAGE.read_text(encoding="utf-8")
IMPORTS, *BLOCKS = blocks()


def title(block):
    """The heading above, and the first word of the block."""
    headings = re.findall(r"^##+ (.*)$", TEXT[: TEXT.index(block)], re.MULTILINE)
    return "-".join(["", *headings][-1].lower().split() + re.findall(r"\w+", block)[:1])


def promised(block):
    """What it prints is on the page in comments: lines of their own, or behind a print."""
    return re.findall(r"^(?:print\(.*\) +)?# (.*)$", block, re.MULTILINE)


def test_every_block_is_found():
    assert len(BLOCKS) + 1 == TEXT.count("```python") == TEXT.count("```") / 2


@pytest.mark.parametrize("block", BLOCKS, ids=[title(block) for block in BLOCKS])
def test_block(block, capsys):
    exec(compile(IMPORTS + block, str(PAGE), "exec"), {})
    pyplot.close("all")
    assert capsys.readouterr().out.splitlines() == promised(block)


ROWS = dict(re.findall(r"\| `(\w+)\(([\w, ]+)\)` \|", TEXT))


@pytest.mark.parametrize("name", schedules.__all__)
def test_the_table_says_what_a_builder_needs(name):
    parameters = inspect.signature(getattr(schedules, name)).parameters.values()
    needed = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    assert ROWS[name].split(", ") == needed


def test_the_figure_is_drawn_by_the_page(tmp_path):
    """Otherwise: make figures."""
    draw(tmp_path / "schedules.svg")
    assert (tmp_path / "schedules.svg").read_bytes() == FIGURE.read_bytes()
    assert f"(figures/{FIGURE.name})" in TEXT
    assert "scripts/schedules_figure.py" in (PAGE.parents[1] / "Makefile").read_text("utf-8")
