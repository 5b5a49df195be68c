"""Builds the package: CMake compiles and installs, this only says where to.
An editable install builds in build/dev, as `make test` does, and installs into python/torch_rope;
a wheel builds in build/release, or in build/$ROPE_PRESET, and installs into what goes into it.
"""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
OLDEST_TORCH = (2, 11)
# pip asks for egg_info where it hides torch, before it asks for anything that is built.
WITHOUT_TORCH = {"egg_info", "sdist"}
# In a build folder: what CMAKE_ARGS was, so that nothing of it outlives it in CMake's cache.
ARGUMENTS = "cmake_args.txt"


def version() -> str:
    """CMakeLists.txt states it; everything else asks there."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    match = re.search(r"^\s*(?:project\(\w+\s+)?VERSION\s+(\d+\.\d+\.\d+)", text, re.MULTILINE)
    if match is None:
        sys.exit("CMakeLists.txt has no project(... VERSION x.y.z).")
    return match[1]


def torch_here() -> str:
    """As in 2.15.0: the torch that this Python imports, for which the library is built."""
    try:
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        sys.exit(
            "torch-rope is built for the torch that it will run with, and this build sees none:"
            " install torch, then run `python -m pip install --no-build-isolation .`, without which"
            " pip hides it."
        )
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", found)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        sys.exit(f"torch-rope needs torch {oldest} or newer, and this Python has torch {found}.")
    return match[0]


def required_torch() -> str:
    """Sources go with every torch that is supported; what was built, with the minor version that it
    was built for, whose C++ interface it calls."""
    if WITHOUT_TORCH.intersection(sys.argv[1:]):
        return "torch>=" + ".".join(map(str, OLDEST_TORCH))
    return f"torch=={torch_here().rpartition('.')[0]}.*"


def torch_of(folder: Path) -> "str | None":
    """The one that a build folder was configured for, or an installed package built for."""
    try:
        text = (folder / "_built.py").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    match = re.search(r'^TORCH = "(.*)"$', text, re.MULTILINE)
    return match and match[1]


def is_configured(build: Path, arguments: "list[str]") -> bool:
    """For this checkout, this Python and its torch, and with no other arguments by pip."""
    cache = build / "CMakeCache.txt"
    if not cache.exists():
        return False
    text = cache.read_text(encoding="utf-8", errors="replace")
    home = re.search(r"^CMAKE_HOME_DIRECTORY:\w+=(.*)$", text, re.MULTILINE)
    python = re.search(r"^Python_EXECUTABLE:\w+=(.*)$", text, re.MULTILINE)
    # Another torch: its headers may be older than the objects that were made from the last one's.
    moved = home is None or python is None or Path(home[1]) != ROOT
    if moved or torch_of(build) != torch_here():
        shutil.rmtree(build)
        return False
    noted = build / ARGUMENTS
    given = noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
    return given == arguments and Path(python[1]).parent == Path(sys.executable).parent


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
    arguments = shlex.split(os.environ.get("CMAKE_ARGS", ""))
    if not is_configured(build, arguments):
        python = f"-DPython_EXECUTABLE={sys.executable}"
        run("cmake", "--fresh", "--preset", preset, python, *arguments)
        (build / ARGUMENTS).write_text("\n".join(arguments), encoding="utf-8")
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(len(os.sched_getaffinity(0))))
    run("cmake", "--build", str(build), "--parallel", jobs)
    install = ["cmake", "--install", str(build), "--prefix", str(prefix)]
    for component in ("library", "python"):
        run(*install, "--component", component, *options)
    built = torch_of(prefix)
    if built != torch_here():
        sys.exit(
            f"CMake built for torch {built}, and this Python has torch {torch_here()}: unset"
            " TORCH_ROOT and CMAKE_PREFIX_PATH, or use the Python whose torch that is."
        )


class BuildWithCMake(build_ext):
    """Takes the place of setuptools' compiler for the one extension below."""

    def run(self) -> None:
        if self.editable_mode or self.inplace:
            build_and_install("dev", ROOT / "python" / "torch_rope")
        else:
            preset = os.environ.get("ROPE_PRESET", "release")
            package = Path(self.build_lib).resolve() / "torch_rope"
            build_and_install(preset, package, "--strip")

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class BuildPython(build_py):
    """Into an empty folder: all that lies there goes into the wheel, modules that are gone too."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib) / "torch_rope", ignore_errors=True)
        super().run()


if __name__ == "__main__":
    setup(
        version=version(),
        install_requires=[required_torch()],
        # Without sources: it makes the wheel one of this platform and this Python.
        ext_modules=[Extension("torch_rope._C", sources=[])],
        cmdclass={"build_ext": BuildWithCMake, "build_py": BuildPython},
    )
