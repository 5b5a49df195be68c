"""One build of the copied tree, and its tests. For run.py."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from environment import cmake, packages
from environment.report import step
from mutants.fault import PROGRAM, Fault, TableError
from mutants.tree import FOLDER, TREE

BUILD = FOLDER / "build"
PACKAGE = TREE / "python" / "torch_rope"
PYTHON_TARGETS = ["rope_kernels", "rope", "_C"]
# The slowest chosen test takes a few seconds; a fault may make it endless.
TEST_SECONDS = 300
SECONDS_TO_END = 10
PYTEST_PASSED, PYTEST_FAILED = 0, 1


@dataclass
class Log:
    """What a fault's commands printed, in build/mutants/log."""

    name: str
    text: str = field(default="")

    @property
    def path(self) -> Path:
        return FOLDER / "log" / f"{self.name}.txt"

    def add(self, text: str) -> None:
        self.text += text
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text, encoding="utf-8")


def environment() -> dict[str, str]:
    """The tree's package comes before the editable one of .venv, and leaves nothing behind."""
    places = [TREE / "python", TREE / "scripts"]
    return {
        **packages.environment(),
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _end(process: subprocess.Popen[str]) -> None:
    """And its children. First a signal that ninja passes on: its compilers are in groups of their
    own, and one that went on would write an object of the fault when the source has none any more.
    """
    if process.poll() is not None:
        return
    for way in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, way)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)


def _run(command: Sequence[str], log: Log, seconds: float | None = None) -> tuple[int | None, str]:
    """Status and output; None for one that did not end in time."""
    process = subprocess.Popen(
        command,
        cwd=TREE,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that its children can be ended with it
    )
    try:
        output, _ = process.communicate(timeout=seconds)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        output, status = "", None
    finally:
        _end(process)
    log.add(f"$ {' '.join(command)}\n{output}\n")
    return status, output


def configure() -> None:
    """Every time: it takes a moment. A folder that was configured for another place starts anew."""
    cache = BUILD / "CMakeCache.txt"
    home = f"CMAKE_HOME_DIRECTORY:INTERNAL={TREE}\n"
    if cache.exists() and home not in cache.read_text(encoding="utf-8"):
        shutil.rmtree(BUILD)
    options = ["-DROPE_CUDA=OFF", "-DROPE_TESTS=ON", f"-DPython_EXECUTABLE={packages.PYTHON}"]
    generator = {"CMAKE_GENERATOR": "Ninja"} if packages.program("ninja") else {}
    step(
        "configure the copy",
        ["cmake", "-S", str(TREE), "-B", str(BUILD), *options],
        log="mutants-configure",
        advice="CMake could not configure build/mutants/build: see the lines above",
        env={**packages.environment(), **generator},
    )


def _build_command(faults: Iterable[Fault]) -> list[str]:
    targets: set[str] = set()
    for fault in faults:
        targets.update(f"{PROGRAM.fullmatch(name)[1]}_test" for name in fault.programs)
        targets.update(PYTHON_TARGETS if fault.python_tests else [])
    jobs = ["--parallel", str(cmake.jobs())]
    return ["cmake", "--build", str(BUILD), *jobs, "--target", *sorted(targets)]


INSTALL = cmake.install_commands(BUILD, PACKAGE)


def build_clean(faults: Sequence[Fault]) -> None:
    """All that these faults' tests need, without a fault."""
    advice = "The copy could not be built: see the lines above"
    step(
        "build the copy",
        _build_command(faults),
        log="mutants-build",
        advice=advice,
        env=packages.environment(),
    )
    if any(fault.python_tests for fault in faults):
        for command in INSTALL:
            step("install it", command, log="mutants-install", advice=advice, env=environment())


def build(fault: Fault, log: Log) -> None:
    status, _ = _run(_build_command([fault]), log)
    for command in INSTALL if fault.python_tests else []:
        status = _run(command, log)[0] if status == 0 else status
    if status != 0:
        raise TableError("it does not compile")


def digest(fault: Fault) -> str:
    """Of the binaries that its tests run."""
    paths = [BUILD / "tests" / f"{PROGRAM.fullmatch(name)[1]}_test" for name in fault.programs]
    paths += [BUILD / "librope_kernels.so"] if paths else []
    if fault.python_tests:
        paths += [PACKAGE / "lib" / "librope_kernels.so", PACKAGE / "lib" / "librope.so"]
        paths += sorted(PACKAGE.glob("_C.*.so"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _first(pattern: str, text: str, otherwise: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else otherwise


def run_programs(names: Sequence[str], log: Log) -> str | None:
    """None where all pass, else what failed first."""
    if not names:
        return None
    pattern = "|".join(re.escape(name) for name in names)
    command = ["ctest", "--test-dir", str(BUILD), "-R", f"^({pattern})$"]
    options = ["--no-tests=error", "--output-on-failure"]
    status, output = _run([*command, *options], log, TEST_SECONDS)
    if status == 0:
        return None
    if status is None:
        return f"{', '.join(names)}: not done after {TEST_SECONDS} s"
    # As in "3 - cpp.turns (Failed)", or (SEGFAULT).
    program = _first(r"^\s*\d+ - (\S+) \(", output, "")
    how = _first(r"^\s*\d+ - \S+ \((.+)\)$", output, "").lower()
    if not program or "not run" in how:
        raise TableError("ctest did not run its tests")
    test = _first(r"^\[  FAILED  \] ([^ ,]+)", output, how)
    return f"{program}: {test}"


def run_python_tests(tests: Sequence[str], log: Log) -> str | None:
    """None where all pass, else what failed first."""
    if not tests:
        return None
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "mutants.loaded", "-m", "not cuda"]
    command = [str(packages.PYTHON), "-m", "pytest", *options, *tests]
    status, output = _run(command, log, TEST_SECONDS)
    if status == PYTEST_PASSED:
        return None
    if status is None:
        return f"{', '.join(tests)}: not done after {TEST_SECONDS} s"
    if status < 0:
        return f"{', '.join(tests)}: {signal.Signals(-status).name}"
    if status != PYTEST_FAILED:
        raise TableError("pytest did not run its tests")
    return _first(r"^FAILED (\S+)", output, ", ".join(tests)).removeprefix("tests/python/")


def run_tests(fault: Fault, log: Log) -> str | None:
    return run_programs(fault.programs, log) or run_python_tests(fault.python_tests, log)
