"""The pages in docs/ name tests: the files exist, and the names stand in them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FILE = re.compile(r"`(tests/[\w/]+\.(?:py|cpp|cu))`(?:: ((?:`\w+`(?:, )?)+))?")


def named(page):
    """(file, test or None) for each that a page names."""
    for match in FILE.finditer(page.read_text(encoding="utf-8")):
        yield match[1], None
        for test in re.findall(r"`(\w+)`", match[2] or ""):
            yield match[1], test


NAMED = sorted({(page.name, *found) for page in PAGES for found in named(page)}, key=str)


def test_pages_name_tests():
    assert {"autograd.md", "numerics.md", "safety.md", "testing.md"} <= {
        page for page, _, _ in NAMED
    }


@pytest.mark.parametrize(("page", "file", "test"), NAMED)
def test_a_named_test_exists(page, file, test):
    path = ROOT / file
    assert path.is_file(), f"{page} names {file}"
    if test is not None:
        text = path.read_text(encoding="utf-8")
        assert re.search(rf"\bdef {test}\(|\b{test}\) {{", text), f"{page} names {test} of {file}"
