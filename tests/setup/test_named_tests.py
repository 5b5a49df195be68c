"""The tests that docs/autograd.md names for what it says are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "autograd.md"
# A file, and behind a colon the tests of it that are meant.
NAMED = re.compile(r"`(tests/[\w/]+\.py)`(?::((?:,? `\w+`)+))?")


def named():
    found = set()
    for file, tests in NAMED.findall(PAGE.read_text(encoding="utf-8")):
        found.update((file, test) for test in re.findall(r"\w+", tests) or [""])
    return sorted(found)


@pytest.mark.parametrize(("file", "test"), named())
def test_is_there(file, test):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not test or f"\ndef {test}(" in text


def test_the_page_names_tests():
    assert len(named()) > 20
