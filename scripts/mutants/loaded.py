"""A pytest plugin: the tests run on the binaries of this very tree, or not at all.
workshop.py asks for it, in the pytest of the copied tree.
"""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "torch_rope"
BINARY = re.compile(r"/\S*(?:/librope|/librope_kernels|/torch_rope/_C\.\S*)\.so$", re.MULTILINE)
NUM_BINARIES = 3  # librope_kernels.so, librope.so, _C


def is_of_this_tree(maps: str) -> bool:
    """Whether all three are mapped, and from PACKAGE; maps as /proc/self/maps shows them."""
    mapped = {Path(path) for path in BINARY.findall(maps)}
    return len(mapped) == NUM_BINARIES and all(PACKAGE in path.parents for path in mapped)


def pytest_collection_finish() -> None:
    """The tests' modules are imported by now, and with them the package."""
    if not is_of_this_tree(Path("/proc/self/maps").read_text(encoding="utf-8")):
        raise pytest.UsageError(f"the tests do not run on the binaries in {PACKAGE}")
