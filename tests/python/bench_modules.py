"""Modules of benchmarks/, which is no package that a test finds by itself."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def imported(package: str, names: Sequence[str]) -> Iterator[SimpleNamespace]:
    """benchmarks.<package>.<name> as the attribute <name>, for as long as it is entered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        modules = {name: importlib.import_module(f"benchmarks.{package}.{name}") for name in names}
        yield SimpleNamespace(**modules)
