"""Pages of docs/ as a reader uses them: every block runs after the first, and prints what the page
says.
"""

import pytest
from pages import Page, promised

PAGES = [Page(name) for name in ("compat.md", "transformers.md")]
BLOCKS = [
    pytest.param(page, block, id=f"{page.path.stem}-{title}")
    for page in PAGES
    for block, title in zip(page.blocks, page.ids, strict=True)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_every_block_is_found(page):
    assert page.finds_every_block()


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_block(page, block, capsys):
    page.run(block)
    assert capsys.readouterr().out.splitlines() == promised(block)
