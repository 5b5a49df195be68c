"""The Python tests on a librope under AddressSanitizer and UBSan, loaded by an ordinary Python and
an ordinary torch: their memory comes from malloc, which is watched too. For run.py.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from environment import cmake, packages
from environment.report import ROOT, Failure, leave_out

PRESET = "asan-python"
REPORTS = ROOT / "build" / PRESET / "reports"
# What indexes tensors in its own ways; all other files come to the same code again.
SHORT = (
    "errors",
    "layouts",
    "positions",
    "qkv",
    "rerotate",
    "rotate",
    "tables",
    "threads",
    "token_tables",
    "unusual_tensors",
)
# AddressSanitizer's malloc is not the one that these look at.
NOT_HERE = ("tests/python/test_bench_run.py::test_freed_memory_is_kept_in_a_new_process",)


def _library(name: str) -> str:
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    result = subprocess.run(
        [*compiler, f"-print-file-name={name}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not Path(result.stdout.strip()).is_absolute():
        raise Failure(f"{compiler[0]} has no {name}: use g++, with CXX unset or set to it.")
    return result.stdout.strip()


def environment(package: Path) -> dict[str, str]:
    """libstdc++ beside libasan: it is there before torch brings it, so that exceptions are seen."""
    return {
        **packages.environment(),
        "LD_PRELOAD": f"{_library('libasan.so')} {_library('libstdc++.so')}",
        # What Python and torch leave allocated at their end is theirs.
        # pytest keeps what a test prints, and loses it with the process: reports go to files.
        "ASAN_OPTIONS": f"detect_leaks=0:abort_on_error=1:log_path={REPORTS}/report",
        "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:log_path={REPORTS}/report",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(everything: bool) -> None:
    lacking = [name for name in ("torch", "pytest") if importlib.util.find_spec(name) is None]
    if lacking:
        leave_out(f"the Python tests under sanitizers, which need {' and '.join(lacking)}.")
        return
    cmake.build(PRESET)
    env = environment(cmake.installed_package(PRESET))
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir()
    tests = ROOT / "tests" / "python"
    files = [tests] if everything else [tests / f"test_{name}.py" for name in SHORT]
    workers = ["-n", str(cmake.jobs())] if importlib.util.find_spec("xdist") else []
    options = ["-q", "-p", "no:cacheprovider", "-m", "not cuda", *workers]
    options += [f"--deselect={name}" for name in NOT_HERE]
    status = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *map(str, files)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    for report in sorted(REPORTS.iterdir()):
        print(report.read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
    if status or any(REPORTS.iterdir()):
        raise Failure("The Python tests failed under sanitizers: see the lines above.")
