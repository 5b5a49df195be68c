"""docs/schedules.md as a reader uses it: every block of Python runs after the imports, and prints
what the page says; its table calls the builders as they are; its figure is what its block draws.
"""

import inspect
import re

import matplotlib
import pytest
from matplotlib import pyplot
from pages import Page, promised

from schedules_figure import FIGURE, draw
from torch_rope import schedules

matplotlib.use("Agg")
PAGE = Page("schedules.md")


def test_every_block_is_found():
    assert PAGE.finds_every_block()


@pytest.mark.parametrize("block", PAGE.blocks, ids=PAGE.ids)
def test_block(block, capsys):
    PAGE.run(block)
    pyplot.close("all")
    assert capsys.readouterr().out.splitlines() == promised(block)


ROWS = dict(re.findall(r"\| `(\w+)\(([\w, ]+)\)` \|", PAGE.text))


@pytest.mark.parametrize("name", schedules.__all__)
def test_the_table_says_what_a_builder_needs(name):
    parameters = inspect.signature(getattr(schedules, name)).parameters.values()
    needed = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    assert ROWS[name].split(", ") == needed


def test_the_figure_is_drawn_by_the_page(tmp_path):
    """Otherwise: make figures."""
    draw(tmp_path / "schedules.svg")
    assert (tmp_path / "schedules.svg").read_bytes() == FIGURE.read_bytes()
    assert f"(figures/{FIGURE.name})" in PAGE.text
    assert "scripts/schedules_figure.py" in (PAGE.path.parents[1] / "Makefile").read_text("utf-8")
