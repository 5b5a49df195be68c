"""Where kernels can run: on the CPU once for each instruction set that this processor has, forced
through the library's hook, and on a GPU under the mark cuda.
"""

import contextlib
import ctypes
from pathlib import Path

import pytest

import torch_rope

_NAMES = ["baseline", "x86-64-v3", "x86-64-v4", "neon"]

# rope::use_backend(const char*): kernels/cpu/backend.h has its contract. nullptr: the widest.
_library = ctypes.CDLL(str(Path(torch_rope.__file__).parent / "lib" / "librope_kernels.so"))
_use_backend = _library._ZN4rope11use_backendEPKc
_use_backend.argtypes = [ctypes.c_char_p]
_use_backend.restype = ctypes.c_bool


def _is_here(name):
    found = _use_backend(name.encode())
    _use_backend(None)
    return found


BACKENDS = [name for name in _NAMES if _is_here(name)]
assert BACKENDS, "rope::use_backend knows none of the backends"

PLACES = [pytest.param(name, id=f"cpu-{name}") for name in BACKENDS]
PLACES.append(pytest.param("cuda", id="cuda", marks=pytest.mark.cuda))


@contextlib.contextmanager
def running_on(place):
    """Gives the device of a place; the CPU kernels of this process run on that one meanwhile."""
    if place == "cuda":
        yield "cuda"
        return
    if not _use_backend(place.encode()):
        raise ValueError(f"no CPU backend {place!r} here")
    try:
        yield "cpu"
    finally:
        _use_backend(None)
