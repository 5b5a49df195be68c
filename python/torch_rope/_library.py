"""Loads the two binaries of this package: the operators (lib/librope.so) and the extension _C.

Only the modules of this package import it. It first asks _built.py whether they are for this torch
and this Python, since those of another torch may crash; whatever keeps them from loading becomes
one ImportError, which says what they were built for, what was found and what to do.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch_rope import _C as native

_PACKAGE = Path(__file__).absolute().parent
_LIBRARY = _PACKAGE / "lib" / "librope.so"
_BUILD = (
    "build torch_rope for it: run `python -m pip install --no-build-isolation .` in the sources of"
    " torch-rope"
)

__all__ = ["cmake_prefix_path", "native", "ops"]

# What find_package(Rope) needs in CMAKE_PREFIX_PATH.
cmake_prefix_path = str(_PACKAGE)


def _import_error(reason: str, advice: str) -> ImportError:
    python = ".".join(map(str, sys.version_info[:2]))
    return ImportError(
        f"torch_rope cannot be loaded: {reason} (looked for {_LIBRARY} and {_PACKAGE}/_C*.so; found"
        f" torch {torch.__version__} and Python {python}); {advice}",
        name="torch_rope",
        path=str(_LIBRARY),
    )


def _built_torch() -> str | None:
    """The torch that the binaries are for; None where nothing was built."""
    try:
        return str(importlib.import_module("torch_rope._built").TORCH)
    except ModuleNotFoundError:
        return None


def _minor(version: str) -> str:
    return ".".join(version.split("+")[0].split(".")[:2])


def _mismatch(built: str | None) -> ImportError | None:
    """What can be said before anything is loaded."""
    if built is None or not _LIBRARY.exists():
        return _import_error("it is not built", _BUILD)
    if _minor(built) != _minor(torch.__version__):
        # Its C++ interface changes with the minor version.
        wanted = f"torch=={_minor(built)}.*"
        return _import_error(
            f"it was built for torch {built}, and this is torch {torch.__version__}",
            f"install that torch, `python -m pip install '{wanted}'`, or {_BUILD}",
        )
    if importlib.machinery.PathFinder.find_spec("torch_rope._C", [str(_PACKAGE)]) is None:
        there = ", ".join(sorted(file.name for file in _PACKAGE.glob("_C*.so"))) or "none at all"
        return _import_error(
            f"it has no extension module for this Python; there is {there}",
            f"use the Python that it was installed with, or {_BUILD}",
        )
    return None


def _load() -> Any:
    """Loads both binaries and returns the extension module."""
    built = _built_torch()
    mismatch = _mismatch(built)
    if mismatch is not None:
        raise mismatch
    try:
        load_library: Any = torch.ops.load_library  # torch leaves it untyped
        load_library(_LIBRARY)
        return importlib.import_module("torch_rope._C")
    except (OSError, ImportError) as error:
        # Torch may keep the loader's own words for the cause.
        reason = f"built for torch {built}, it does not load: {error.__cause__ or error}"
        raise _import_error(reason, _BUILD) from error


if not TYPE_CHECKING:
    native = _load()

# The operators, after the library that defines them.
ops: Any = torch.ops.rope
