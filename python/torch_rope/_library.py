"""Loads the two binaries of this package: the operators (lib/librope.so) and the extension _C.

Only the modules of this package import it; whatever keeps a binary from loading becomes one
ImportError here, which says what was looked for, which torch was found and what to do.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch_rope import _C as native

_PACKAGE = Path(__file__).absolute().parent
_LIBRARY = _PACKAGE / "lib" / "librope.so"

__all__ = ["cmake_prefix_path", "native", "ops"]

# What find_package(Rope) needs in CMAKE_PREFIX_PATH.
cmake_prefix_path = str(_PACKAGE)


def _import_error(reason: str) -> ImportError:
    python = ".".join(map(str, sys.version_info[:2]))
    return ImportError(
        f"torch_rope cannot be loaded: {reason} (looked for {_LIBRARY} and {_PACKAGE}/_C*.so; found"
        f" torch {torch.__version__} and Python {python}). Build it for them: run"
        " `python -m pip install --no-build-isolation .` in the sources of torch-rope",
        name="torch_rope",
        path=str(_LIBRARY),
    )


def _minor(version: str) -> list[str]:
    return version.split("+")[0].split(".")[:2]


def _load() -> Any:
    """Loads both binaries and returns the extension module."""
    if not _LIBRARY.exists():
        raise _import_error("it is not built")
    try:
        load_library: Any = torch.ops.load_library  # torch leaves it untyped
        load_library(_LIBRARY)
        extension = importlib.import_module("torch_rope._C")
    except (OSError, ImportError) as error:
        raise _import_error(f"it was built for another torch or Python: {error}") from error
    # Another minor version of torch may load and then crash: its C++ interface is not stable.
    built = str(extension.build_info()["torch_built"])
    if _minor(built) != _minor(torch.__version__):
        raise _import_error(f"it was built for torch {built}")
    return extension


if not TYPE_CHECKING:
    native = _load()

# The operators, after the library that defines them.
ops: Any = torch.ops.rope
