"""This library's CPU kernels, forced to one of the instruction sets they are compiled for.

Through the kernel library's own hook for tests, rope::use_backend: kernels/cpu/backend.h has its
contract. For ours.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch_rope
from benchmarks.cpu.call import Missing

NAMES = ("x86-64-v4", "x86-64-v3", "baseline")
_SYMBOL = "_ZN4rope11use_backendEPKc"  # bool rope::use_backend(const char*)


@cache
def _use_backend() -> Callable[[bytes | None], bool]:
    library = ctypes.CDLL(str(Path(torch_rope.__file__).parent / "lib" / "librope_kernels.so"))
    function = getattr(library, _SYMBOL, None)
    if function is None:
        raise Missing("this build of torch_rope lets nobody choose the instruction set")
    function.argtypes, function.restype = [ctypes.c_char_p], ctypes.c_bool
    return function


@contextmanager
def running_on(name: str) -> Iterator[None]:
    """torch_rope runs on these kernels meanwhile, in every thread."""
    if not _use_backend()(name.encode()):
        raise Missing(f"this processor or this build has no {name}")
    try:
        yield
    finally:
        _use_backend()(None)
