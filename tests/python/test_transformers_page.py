"""docs/transformers.md as a reader uses it: every block runs after the first, and prints what the
page says.
"""

import pytest
from pages import Page, promised

PAGE = Page("transformers.md")


def test_every_block_is_found():
    assert PAGE.finds_every_block()


@pytest.mark.parametrize("block", PAGE.blocks, ids=PAGE.ids)
def test_block(block, capsys):
    PAGE.run(block)
    assert capsys.readouterr().out.splitlines() == promised(block)
