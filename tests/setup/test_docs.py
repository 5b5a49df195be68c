"""The pages in docs/ name tests: the files exist, and the names stand in them."""

import ast
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
    assert {"compile.md", "numerics.md", "pytorch.md", "safety.md", "testing.md"} <= {
        page for page, _, _ in NAMED
    }


@pytest.mark.parametrize(("page", "file", "test"), NAMED)
def test_a_named_test_exists(page, file, test):
    path = ROOT / file
    assert path.is_file(), f"{page} names {file}"
    if test is not None:
        text = path.read_text(encoding="utf-8")
        assert re.search(rf"\bdef {test}\(|\b{test}\) {{", text), f"{page} names {test} of {file}"


def matrix():
    """The rows of docs/pytorch.md: the feature, what the operators do, and the word on CUDA."""
    text = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)[1:]
    cells = [[cell.strip() for cell in row.split(" | ")] for row in rows]
    return [(feature, " ".join(operators), cuda) for feature, *operators, cuda in cells]


def arguments_of(file, test):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    (found,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == test]
    return [argument.arg for argument in found.args.args]


@pytest.mark.parametrize(
    ("operators", "cuda"), [row[1:] for row in matrix()], ids=[row[0] for row in matrix()]
)
def test_a_row_of_the_matrix(operators, cuda):
    """It names tests, and on CUDA run those that ask for a device."""
    tests = [
        (match[1], test)
        for match in FILE.finditer(operators)
        for test in re.findall(r"`(\w+)`", match[2] or "")
    ]
    assert tests
    assert cuda.startswith(("the same tests", "CPU alone: ", "only there"))
    for file, test in tests if cuda == "the same tests" else ():
        assert "device" in arguments_of(file, test), f"{test} of {file} runs on the CPU alone"
