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
PYTHON = ".".join(map(str, sys.version_info[:2]))
BUILD = (
    "build torch_rope for it: run `python -m pip install --no-build-isolation .` in the sources of"
    " torch-rope"
)


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
    for source in PACKAGE.iterdir():
        if source.name not in ("lib", "include", "share", "__pycache__"):
            (copy / source.name).symlink_to(source)
    (copy / "lib" / "librope.so").symlink_to(PACKAGE / "lib" / "librope.so")
    return copy


def replace(file, content):
    """The file itself, not what the link leads to."""
    file.unlink()
    file.write_text(content)


def built_for(package, torch_version):
    """Binaries of another torch, as far as can be told before they are loaded. They cannot be
    loaded at all, so that nobody can have tried."""
    replace(package / "_built.py", f'TORCH = "{torch_version}"\n')
    replace(package / "lib" / "librope.so", "not a library")


def import_error(package):
    """The one line that import prints when it fails, and nothing but an ImportError."""
    result = run_python("import torch_rope", path=package.parent)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: torch_rope cannot be loaded: ")
    assert f"found torch {torch.__version__}" in last
    assert str(package / "lib" / "librope.so") in last
    assert BUILD in last
    return last


def test_the_copy_works(package):
    result = run_python("import torch_rope; print(torch_rope.__file__)", path=package.parent)
    assert result.stdout.strip() == str(package / "__init__.py"), result.stderr


@pytest.mark.parametrize("missing", ["lib/librope.so", "_built.py"])
def test_not_built(package, missing):
    (package / missing).unlink()
    assert "cannot be loaded: it is not built (" in import_error(package)


@pytest.mark.parametrize(
    ("built", "minor"),
    [("1.99.0+cpu", "1.99"), ("2.150.0", "2.150")],
    ids=["older", "same_first_digits"],
)
def test_library_of_another_torch(package, built, minor):
    built_for(package, built)
    said = import_error(package)
    assert f"it was built for torch {built}, and this is torch {torch.__version__} (" in said
    assert f"install that torch, `python -m pip install 'torch=={minor}.*'`, or {BUILD}" in said


def test_library_of_another_patch_of_this_torch(package):
    major, minor = torch.__version__.split(".")[:2]
    replace(package / "_built.py", f'TORCH = "{major}.{minor}.99"\n')
    result = run_python("import torch_rope", path=package.parent)
    assert result.returncode == 0, result.stderr


def test_extension_of_another_python(package):
    for extension in package.glob("_C*.so"):
        extension.unlink()
    others = ["_C.cpython-38-x86_64-linux-gnu.so", "_C.cpython-39-x86_64-linux-gnu.so"]
    for other in others:
        (package / other).touch()
    said = import_error(package)
    assert f"it has no extension module for this Python; there is {', '.join(others)} (" in said
    assert f"and Python {PYTHON}); use the Python that it was installed with, or " in said


def test_missing_extension(package):
    for extension in package.glob("_C*.so"):
        extension.unlink()
    assert "no extension module for this Python; there is none at all (" in import_error(package)


def test_library_that_does_not_load(package):
    replace(package / "lib" / "librope.so", "not a library")
    said = import_error(package)
    assert f"built for torch {torch_rope.build_info()['torch_built']}, it does not load: " in said
    assert "file too short" in said


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
