"""The Python tests on the oldest torch that is supported, in an environment and with a library of
their own under build/oldest. Behind make test-oldest; its arguments go to pytest.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from environment import cmake, packages, requirements
from environment.report import ROOT, Failure, guarded, step

PRESET = "oldest"
VENV = ROOT / "build" / PRESET / "venv"
PYTHON = VENV / "bin" / "python"


def pins() -> list[str]:
    """What the tests need, with the oldest torch in place of the newest."""
    wanted = requirements.read(ROOT / "pyproject.toml")
    others = [str(requirement) for requirement in wanted if requirement.name != "torch"]
    return [f"torch=={requirements.OLDEST_TORCH}", *others]


def install() -> None:
    stamp = VENV / "installed.txt"
    wanted = pins()
    if stamp.exists() and stamp.read_text(encoding="utf-8").split() == wanted:
        return
    step(
        "environment",
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        log="oldest-venv",
        advice=f"{sys.executable} could not make a virtual environment in {VENV}",
    )
    step(
        f"install {wanted[0]} and {len(wanted) - 1} packages (some minutes)",
        [str(PYTHON), "-m", "pip", "install", *wanted],
        log="oldest-pip",
        advice="pip could not install them: see the lines above",
        env=packages.environment(),
    )
    stamp.write_text("\n".join(wanted), encoding="utf-8")


def run(options: Sequence[str]) -> int:
    install()
    cmake.build(PRESET, python=PYTHON)
    package = cmake.installed_package(PRESET)
    path = os.pathsep.join([str(PYTHON.parent), packages.environment()["PATH"]])
    env = {**packages.environment(), "PATH": path, "PYTHONPATH": str(package.parent)}
    tests = options or ["-q", "-n", str(cmake.jobs()), str(Path("tests") / "python")]
    command = [str(PYTHON), "-m", "pytest", "-p", "no:cacheprovider", *tests]
    status = subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if status:
        raise Failure(f"Tests failed on {pins()[0]}: see the lines above.")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
