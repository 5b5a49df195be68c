"""Builds the package: CMake compiles and installs, this only says where to.
An editable install builds in build/dev, as `make test` does, and installs into python/torch_rope;
a wheel builds in build/release, or in build/$ROPE_PRESET, and installs into what goes into it.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """CMakeLists.txt states it; everything else asks there."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    match = re.search(r"^\s*(?:project\(\w+\s+)?VERSION\s+(\d+\.\d+\.\d+)", text, re.MULTILINE)
    if match is None:
        sys.exit("CMakeLists.txt has no project(... VERSION x.y.z).")
    return match[1]


def torch_here() -> "str | None":
    """The version of torch that the library would be built for."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def required_torch() -> str:
    """Sources go with every torch that is supported; what was built, with the minor version that it
    was built for, whose C++ interface it calls."""
    torch = torch_here()
    if torch is None or "sdist" in sys.argv:
        return "torch>=2.11"
    return "torch==" + ".".join(torch.split("+")[0].split(".")[:2]) + ".*"


def is_configured(build: Path) -> bool:
    """For this checkout and for the Python that runs this."""
    cache = build / "CMakeCache.txt"
    if not cache.exists():
        return False
    text = cache.read_text(encoding="utf-8", errors="replace")
    home = re.search(r"^CMAKE_HOME_DIRECTORY:\w+=(.*)$", text, re.MULTILINE)
    python = re.search(r"^Python_EXECUTABLE:\w+=(.*)$", text, re.MULTILINE)
    if home is None or python is None or Path(home[1]) != ROOT:
        shutil.rmtree(build)
        return False
    return Path(python[1]).parent == Path(sys.executable).parent


def run(*command: str) -> None:
    # First ninja, where pip installed it; last nvcc, where CUDA's installer leaves it.
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    env = {**os.environ, "PATH": os.pathsep.join(path)}
    if shutil.which("ninja", path=env["PATH"]):
        env.setdefault("CMAKE_GENERATOR", "Ninja")  # A configured folder keeps its own.
    subprocess.run(command, cwd=ROOT, env=env, check=True)


def build_and_install(preset: str, prefix: Path, *options: str) -> None:
    """CMake arguments of one's own come in CMAKE_ARGS, as in CMAKE_ARGS=-DROPE_CUDA=OFF."""
    build = ROOT / "build" / preset
    extra = os.environ.get("CMAKE_ARGS", "").split()
    if extra or not is_configured(build):
        python = f"-DPython_EXECUTABLE={sys.executable}"
        run("cmake", "--preset", preset, python, *extra)
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(len(os.sched_getaffinity(0))))
    run("cmake", "--build", str(build), "--parallel", jobs)
    install = ["cmake", "--install", str(build), "--prefix", str(prefix)]
    for component in ("library", "python"):
        run(*install, "--component", component, *options)


class BuildWithCMake(build_ext):
    """Takes the place of setuptools' compiler for the one extension below."""

    def run(self) -> None:
        if torch_here() is None:
            sys.exit(
                "torch-rope is built for the torch that it will run with, and here is none: install"
                " torch, then run pip install --no-build-isolation"
            )
        if self.editable_mode or self.inplace:
            build_and_install("dev", ROOT / "python" / "torch_rope")
        else:
            preset = os.environ.get("ROPE_PRESET", "release")
            package = Path(self.build_lib).resolve() / "torch_rope"
            shutil.rmtree(package / "lib", ignore_errors=True)  # of another build
            build_and_install(preset, package, "--strip")

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


if __name__ == "__main__":
    setup(
        version=version(),
        install_requires=[required_torch()],
        # Without sources: it makes the wheel one of this platform and this Python.
        ext_modules=[Extension("torch_rope._C", sources=[])],
        cmdclass={"build_ext": BuildWithCMake},
    )
