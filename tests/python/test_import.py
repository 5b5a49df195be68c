"""What `import torch_rope` costs on top of `import torch`: no time, no slow module, no word to the
CUDA driver.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import torch_rope

PACKAGE = Path(torch_rope.__file__).parent
MOST_SECONDS = 0.3
SLOW = ("torch._inductor", "torch.distributed.tensor", "torch.onnx._internal", "onnx", "triton")
# A driver that notes what it is asked first: its version, a function, or to begin. Torch by itself
# loads it and asks nothing.
DRIVER = """
#include <cstdio>
#include <cstdlib>
static int note() {
  if (FILE* file = std::fopen(std::getenv("ROPE_DRIVER_LOG"), "a")) std::fclose(file);
  return 100;
}
extern "C" int cuInit(unsigned) { return note(); }
extern "C" int cuDriverGetVersion(int*) { return note(); }
extern "C" int cuGetProcAddress_v2(const char*, void**, int, unsigned long, void*) {
  return note();
}
"""
ASK_CUDA = """
import ctypes
library = ctypes.CDLL(str(__import__("pathlib").Path(torch_rope.__file__).parent
                          / "lib" / "librope_kernels.so"))
library._ZN4rope10found_cudaEv()
"""


def printed(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_time():
    """Of the processor, which a busy machine does not change; the better of two."""
    code = (
        "import time, torch; start = time.process_time(); import torch_rope;"
        " print(time.process_time() - start)"
    )
    assert min(float(printed(code)[0]) for _ in range(2)) < MOST_SECONDS


def test_modules():
    code = (
        "import sys, torch; before = set(sys.modules); import torch_rope;"
        " print(*(set(sys.modules) - before))"
    )
    added = printed(code)
    assert "torch_rope" in added
    assert [name for name in added if name.startswith(SLOW)] == []


@pytest.fixture
def driver(tmp_path):
    """The environment of a process whose CUDA driver notes that it is asked; and the note."""
    source = tmp_path / "driver.cpp"
    source.write_text(DRIVER)
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["g++", "-shared", "-fPIC", "-o", library, source], check=True)
    log = tmp_path / "asked"
    return {"LD_LIBRARY_PATH": str(tmp_path), "ROPE_DRIVER_LOG": str(log)}, log


def test_no_driver_is_asked(driver):
    environment, log = driver
    printed("import torch, torch_rope", **environment)
    assert not log.exists()


@pytest.mark.skipif(torch_rope.build_info()["cuda"] is None, reason="a build for the CPU alone")
def test_a_driver_that_is_asked_says_so(driver):
    """The test above can fail."""
    environment, log = driver
    printed("import torch, torch_rope" + ASK_CUDA, **environment)
    assert log.exists()


# Whether the first GPU has a context, by the driver's own word, before and after torch uses it.
CONTEXT = """
import ctypes, torch, torch_rope
driver = ctypes.CDLL("libcuda.so.1")
def active():
    flags, is_active = ctypes.c_uint(), ctypes.c_int()
    assert driver.cuInit(0) == 0
    assert driver.cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(is_active)) == 0
    return is_active.value
print(torch.cuda.is_initialized(), active())
torch.zeros(1, device="cuda:0")
print(torch.cuda.is_initialized(), active())
"""


@pytest.mark.cuda
def test_no_context():
    assert printed(CONTEXT) == ["False", "0", "True", "1"]
