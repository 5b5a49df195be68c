"""All tests, after scripts/setup.py: C++ as released, under AddressSanitizer and UBSan, with many
threads under ThreadSanitizer, and Python.
All run even if one fails; what this machine lacks is named and left out. Behind make test.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable

from environment import cmake, packages
from environment.report import ROOT, Failure, guarded, leave_out, step

# UBSan by itself reports and goes on.
FAIL_FAST = {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}

# What tests print even though they pass, kept by ctest: figures that are held against a bound.
MEASURED = r"^(?:largest error|worst ratio) .*$"

# What was skipped is said too.
CLOSING = r"^\d+% tests passed.*$|^Total Test time.*$|^\s+\d+ - .*\(Skipped\)$"


def run_ctest(preset: str, *options: str) -> None:
    folder = ROOT / "build" / preset
    command = ["ctest", "--test-dir", str(folder), "--parallel", str(cmake.jobs())]
    log = step(
        f"ctest {preset}",
        [*command, "--output-on-failure", *options],
        log=f"ctest-{preset}",
        advice=f"C++ tests failed in build/{preset}: see the lines above",
        env={**packages.environment(), **FAIL_FAST},
    )
    if "No tests were found" in log:
        leave_out(f"the C++ tests of build/{preset}: it was configured without them.")
        return
    kept = (folder / "Testing" / "Temporary" / "LastTest.log").read_text(encoding="utf-8")
    for line in re.findall(MEASURED, kept, re.MULTILINE) + re.findall(CLOSING, log, re.MULTILINE):
        print(f"    {line.strip()}", flush=True)


def test_release() -> None:
    if importlib.util.find_spec("torch") is None:
        leave_out("build/dev, which needs torch.")
        return
    run_ctest("dev")


def test_sanitized() -> None:
    cmake.build("asan")
    # What is exhaustive in build/dev would take the sanitizers too long.
    run_ctest("asan", "--label-exclude", "long")


def test_threads() -> None:
    cmake.build("tsan", "threads_test")
    run_ctest("tsan", "--tests-regex", "^cpp[.]threads$")


def test_python() -> None:
    lacking = [name for name in ("torch", "pytest") if importlib.util.find_spec(name) is None]
    if lacking:
        leave_out(f"the Python tests, which need {' and '.join(lacking)}.")
        return
    workers = ["-n", "2"] if importlib.util.find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", "-q", *workers]
    status = subprocess.run(
        command, cwd=ROOT, env=packages.environment(), stdin=subprocess.DEVNULL, check=False
    ).returncode
    if status:
        raise Failure("Python tests failed: see the lines above.")


def main() -> int:
    parts: list[Callable[[], None]] = [test_release, test_sanitized, test_threads, test_python]

    def one(part: Callable[[], None]) -> int:
        part()
        return 0

    statuses = [guarded(lambda part=part: one(part)) for part in parts]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
