"""Imports a module of this package right after another library's module, and never before.

torch.distributed.tensor alone takes longer to import than all of torch_rope, and most programs need
none of what is registered with it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

__all__ = ["import_after"]


def _import(ours: str) -> None:
    # Some of what is registered with is private to torch, and may have moved in a newer one. That
    # must keep nobody from importing torch's own module.
    try:
        importlib.import_module(ours)
    except Exception as error:
        warnings.warn(
            f"{ours} does not work with torch {torch.__version__}: {error!r}", stacklevel=2
        )


class _Loader(Loader):
    """Another module's loader, which afterwards imports ours."""

    def __init__(self, loader: Loader, ours: str) -> None:
        self._loader = loader
        self._ours = ours

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _import(self._ours)

    def __getattr__(self, name: str) -> Any:
        # What inspect, pkgutil and the like ask a loader for.
        return getattr(self._loader, name)


class _Finder(MetaPathFinder):
    """Finds one module once, with the help of all other finders."""

    def __init__(self, theirs: str, ours: str) -> None:
        self._theirs = theirs
        self._ours = ours

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._theirs or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._ours)
        return spec


def import_after(theirs: str, ours: str) -> None:
    """Imports module `ours` once `theirs` has been imported: now, where it already is."""
    if theirs in sys.modules:
        _import(ours)
    else:
        sys.meta_path.insert(0, _Finder(theirs, ours))
