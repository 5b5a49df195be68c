"""The wheel and the source distribution, as somebody gets them who has neither the checkout nor a
compiler. make test-wheel runs all Python tests there; here are a few.
"""

import os
import re
import sys
import tarfile
import zipfile

from programs import run, succeed

from environment import wheel
from environment.report import ROOT

# A few of each kind; none compiles anything.
TESTS = ("apply", "gradients", "library", "module", "ops", "schedules", "tables")
USED = """
import torch, torch_rope
q, k = torch.zeros(1, 2, 4, 64), torch.zeros(1, 2, 1, 64)
rotated: torch.Tensor = torch_rope.rotate(q, interleaved=True)
reveal_type(torch_rope.rotate_qk(q, k))
torch_rope.apply(q, k, base="ten thousand")
"""


def check_contents(file):
    with zipfile.ZipFile(file) as members:
        names = set(members.namelist())
        content = {name: members.read(name) for name in names}
    package = {name.removeprefix("torch_rope/") for name in names if name.startswith("torch_rope/")}
    sources = ROOT / "python" / "torch_rope"
    assert {path.relative_to(sources).as_posix() for path in sources.rglob("*.py")} <= package
    assert {"py.typed", "_C.pyi", "_built.py", "lib/librope.so", "include/rope/rope.h"} <= package
    assert {"lib/cmake/Rope/RopeConfig.cmake", "include/rope/kernels.h"} <= package
    assert not [name for name in names if name.endswith((".a", ".pyc")) or "test" in name]
    (information,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    licences = {"LICENSE", "LICENSE-THIRD-PARTY", "NOTICE"}
    assert {f"{information}/licenses/{name}" for name in licences} <= names
    metadata = content[f"{information}/METADATA"].decode()
    (built,) = re.findall(rb'^TORCH = "(\d+\.\d+)\.', content["torch_rope/_built.py"], re.MULTILINE)
    assert f"Requires-Dist: torch=={built.decode()}.*\n" in metadata
    place = os.fsencode(f"{ROOT}/")
    assert [name for name, data in content.items() if place in data] == []


def check_types(python, folder):
    """A type checker finds the annotations of the installed package."""
    program = folder / "used.py"
    program.write_text(USED)
    mypy = [python, "-m", "mypy", "--cache-dir", folder / "mypy", "--config-file", os.devnull]
    status, output = run(*mypy, program, env=wheel.without_compilers(python))
    assert status == 1
    assert 'Revealed type is "tuple[torch._tensor.Tensor, torch._tensor.Tensor]"' in output
    assert 'used.py:6: error: Argument "base" to "apply" has incompatible type "str"' in output
    assert "Found 1 error in 1 file" in output


def test_wheel(tmp_path):
    """One test, for one build."""
    file = wheel.build(tmp_path)
    check_contents(file)
    python = wheel.create_environment(tmp_path / "venv", file)
    env = wheel.without_compilers(python)
    told = (
        "import torch_rope as r; print(r.__file__, r.cmake_prefix_path, r.build_info(), sep='\\n')"
    )
    place, prefix, built = succeed(python, "-c", told, env=env).splitlines()
    assert place.startswith(f"{tmp_path}/venv/lib/")
    assert prefix == place.removesuffix("/__init__.py")
    assert "'torch_built': " in built
    tests = [f"tests/python/test_{name}.py" for name in TESTS]
    succeed(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, env=env, cwd=ROOT)
    check_types(python, tmp_path)


def test_source_distribution(tmp_path, toolless):
    """It holds all that CMake reads, and nothing that was built."""
    with tarfile.open(wheel.build_sdist(tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    (sources,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert not [path for path in sources.rglob("*") if path.suffix in {".so", ".a", ".o"}]
    assert not (sources / "python" / "torch_rope" / "_built.py").exists()
    assert "Requires-Dist: torch>=2.11" in (sources / "PKG-INFO").read_text()
    for name in (
        "LICENSE",
        "LICENSE-THIRD-PARTY",
        "NOTICE",
        "README.md",
        "setup.py",
        "pyproject.toml",
    ):
        assert (sources / name).is_file()
    options = ["-DROPE_CUDA=OFF", f"-DPython_EXECUTABLE={sys.executable}"]
    succeed("cmake", "-S", sources, "-B", tmp_path / "build", *options, env=toolless)
    succeed("cmake", "--build", tmp_path / "build", "--target", "rope_kernels", env=toolless)
