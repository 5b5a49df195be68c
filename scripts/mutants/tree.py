"""A copy of the checkout, for faults to be seeded into; the checkout itself is only ever read.
For workshop.py and run.py.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from check.tree import files
from environment.report import ROOT
from mutants.fault import Fault

FOLDER = ROOT / "build" / "mutants"
TREE = FOLDER / "tree"


def _is_same(source: Path, copy: Path) -> bool:
    return copy.is_file() and source.read_bytes() == copy.read_bytes()


def copy_checkout() -> None:
    """Brings TREE to what git tracks or would track. A file without a change keeps its time, so
    that what was built from it stays good; a fault that was left behind goes.
    """
    wanted = {TREE / path: ROOT / path for path in files()}
    for copy, source in wanted.items():
        if not _is_same(source, copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            shutil.copymode(source, copy)
    for copy in TREE.rglob("*"):
        if copy not in wanted and (copy.is_file() or copy.is_symlink()):
            copy.unlink()


@contextmanager
def seeded(fault: Fault) -> Iterator[None]:
    """The copy with this fault in it; afterwards without, whatever happens."""
    path = TREE / fault.file
    text = path.read_text(encoding="utf-8")
    path.write_text(fault.seeded(text), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
