"""How the package gets its binaries: what import says when they are missing, and what they are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torch_rope

PACKAGE = Path(torch_rope.__file__).parent
VERSION = re.compile(r"\d+\.\d+")


def run_python(code, *, path, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def package(tmp_path):
    """A copy of the package, of links, that a test may break."""
    copy = tmp_path / "torch_rope"
    (copy / "lib").mkdir(parents=True)
    for source in [*PACKAGE.glob("*.py"), *PACKAGE.glob("_C*.so"), PACKAGE / "integrations"]:
        (copy / source.name).symlink_to(source)
    (copy / "lib" / "librope.so").symlink_to(PACKAGE / "lib" / "librope.so")
    return copy


def import_error(package):
    """The one line that import prints when it fails, and nothing but an ImportError."""
    result = run_python("import torch_rope", path=package.parent)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: torch_rope cannot be loaded: ")
    assert f"found torch {torch.__version__}" in last
    assert str(package / "lib" / "librope.so") in last
    assert "pip install --no-build-isolation" in last
    return last


def test_the_copy_works(package):
    result = run_python("import torch_rope; print(torch_rope.__file__)", path=package.parent)
    assert result.stdout.strip() == str(package / "__init__.py"), result.stderr


def test_missing_library(package):
    (package / "lib" / "librope.so").unlink()
    assert "it is not built" in import_error(package)


def test_nothing_built(package):
    (package / "_built.py").unlink()
    assert "it is not built" in import_error(package)


@pytest.mark.parametrize(
    "names", [[], ["_C.cpython-39-x86_64-linux-gnu.so"]], ids=["none", "other"]
)
def test_no_extension_for_this_python(package, names):
    for extension in package.glob("_C*.so"):
        extension.unlink()
    for name in names:
        (package / name).touch()
    there = ", ".join(names) or "none at all"
    assert f"no extension module for this Python; there is {there}" in import_error(package)


def break_library(package):
    (package / "lib" / "librope.so").unlink()
    (package / "lib" / "librope.so").write_bytes(b"not a library")


def test_library_that_does_not_load(package):
    break_library(package)
    error = import_error(package)
    assert "its binaries, built for torch" in error
    assert "do not load: " in error


def test_library_of_another_torch(package):
    """It is not even opened: another torch's may crash."""
    break_library(package)
    (package / "_built.py").unlink()
    (package / "_built.py").write_text('TORCH = "1.99.0+cpu"\n')
    error = import_error(package)
    assert f"it was built for torch 1.99.0+cpu, and this is torch {torch.__version__} " in error
    assert "install that torch, `python -m pip install 'torch==1.99.*'`, or build" in error


def test_fork_after_import():
    code = """
import os, torch, torch_rope
x = torch.ones(1, 4, 2, 8)
torch_rope.apply(x)
child = os.fork()
if child == 0:
    y = torch.ones(1, 4, 2, 8)
    torch_rope.apply(y)
    os._exit(0 if torch.equal(x, y) else 1)
print(os.waitpid(child, 0)[1])
"""
    result = run_python(code, path=PACKAGE.parent)
    assert result.stdout.strip() == "0", result.stderr


def test_build_info():
    info = torch_rope.build_info()
    assert set(info) == {
        "version",
        "torch_built",
        "torch_found",
        "cuda",
        "architectures",
        "ptx",
    }
    assert VERSION.match(info["version"])
    assert VERSION.match(info["torch_built"])
    assert info["torch_found"] == torch.__version__
    assert info["cuda"] is None or VERSION.match(info["cuda"])
    assert all(isinstance(architecture, str) for architecture in info["architectures"])
    assert bool(info["architectures"]) == (info["cuda"] is not None)
    assert torch_rope.__version__ == info["version"]


def test_cmake_prefix_path():
    assert Path(torch_rope.cmake_prefix_path).is_dir()
