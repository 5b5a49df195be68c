"""CMake through its presets: configured once, built every time (a build without changes takes a
moment). For environment/main.py and scripts/test.py.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

from environment import packages, requirements, system
from environment.report import ROOT, StepFailure, step

# A translation unit that includes torch takes g++ up to 1.5 GB.
BYTES_PER_JOB = 2 << 30


def jobs() -> int:
    given = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // BYTES_PER_JOB))


def _cached(folder: Path, name: str) -> str | None:
    try:
        cache = (folder / "CMakeCache.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(rf"^{name}:\w+=(.*)$", cache, re.MULTILINE)
    return match[1] if match else None


def _generator(folder: Path) -> str:
    default = "Ninja" if packages.program("ninja") else "Unix Makefiles"
    return _cached(folder, "CMAKE_GENERATOR") or default


def _notes(log: str) -> None:
    """Repeats what our own CMakeLists.txt has to say, such as that the build is for the CPU."""
    for note in re.findall(r"^-- (rope: .*)$", log, re.MULTILINE):
        print(f"    {note}", flush=True)


def _configure_once(preset: str, arguments: list[str], facts: list[str]) -> None:
    """Configures unless that was done with the same arguments and facts."""
    folder = ROOT / "build" / preset
    key_file = folder / "configured_as.txt"
    key = hashlib.sha256("\n".join([*arguments, *facts]).encode()).hexdigest()
    home = _cached(folder, "CMAKE_HOME_DIRECTORY")
    if home == str(ROOT) and key_file.exists() and key_file.read_text() == key:
        return
    if home is not None and home != str(ROOT):
        shutil.rmtree(folder)  # A checkout that was moved: CMake refuses such a cache.
    log = step(
        f"configure {preset}",
        ["cmake", "--preset", preset, "-G", _generator(folder), *arguments],
        log=f"configure-{preset}",
        advice=f"CMake could not configure build/{preset}: see the lines above",
        env=packages.environment(),
    )
    _notes(log)
    key_file.write_text(key)


def configure(preset: str, python: Path = packages.PYTHON) -> None:
    """Without GoogleTest, and without a network to fetch it, the C++ tests are left out.
    python: whose torch the library is built for."""
    arguments = []
    presets = (ROOT / "CMakePresets.json").read_text(encoding="utf-8")
    facts = [os.environ.get("CXX", ""), os.environ.get("CUDACXX", ""), presets]
    if preset not in ("asan", "tsan"):
        torch = requirements.installed(python, ["torch"]).get("torch", "none")
        arguments.append(f"-DPython_EXECUTABLE={python}")
        facts.append(torch)
    if os.environ.get("ROPE_GTEST_SOURCE"):
        arguments.append(f"-DROPE_GTEST_SOURCE={os.environ['ROPE_GTEST_SOURCE']}")
    if system.has_google_test():
        _configure_once(preset, arguments, facts)
        return
    try:
        _configure_once(preset, arguments, facts)
    except StepFailure as failure:
        if not re.search(r"googletest|GTest", failure.text, re.IGNORECASE):
            raise
        system.leave_out_google_test()
        _configure_once(preset, [*arguments, "-DROPE_TESTS=OFF"], facts)


def build(preset: str, *targets: str, python: Path = packages.PYTHON) -> None:
    """All targets unless some are named."""
    configure(preset, python)
    folder = ROOT / "build" / preset
    only = ["--target", *targets] if targets else []
    step(
        f"build {preset}",
        ["cmake", "--build", str(folder), "--parallel", str(jobs()), *only],
        log=f"build-{preset}",
        advice=f"The build in build/{preset} failed: see the lines above",
        env=packages.environment(),
    )


def install_commands(build: Path, package: Path) -> list[list[str]]:
    """All that the Python package in this folder needs of a build: cmake/Install.cmake."""
    install = ["cmake", "--install", str(build), "--prefix", str(package), "--component"]
    return [[*install, component] for component in ("library", "python")]


def install(preset: str, package: Path) -> None:
    for command in install_commands(ROOT / "build" / preset, package):
        step(
            f"install into {package.relative_to(ROOT)}: {command[-1]}",
            command,
            log=f"install-{preset}-{command[-1]}",
            advice=f"What is in build/{preset} could not be installed into {package}",
            env=packages.environment(),
        )


def installed_package(preset: str) -> Path:
    """A package torch_rope of this checkout's Python files and of what was built; the one in
    python/ stays as it is."""
    package = ROOT / "build" / preset / "package" / "torch_rope"
    shutil.rmtree(package, ignore_errors=True)
    binaries = shutil.ignore_patterns("lib", "include", "share", "*.so", "_built.py", "__pycache__")
    shutil.copytree(ROOT / "python" / "torch_rope", package, ignore=binaries)
    install(preset, package)
    return package
