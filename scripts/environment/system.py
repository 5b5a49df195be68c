"""What the machine has to bring along: compiler, CMake, Python's headers, GoogleTest.
Where root has apt-get, small things that are missing get installed. For environment/main.py.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from environment.report import Failure, leave_out, step

OLDEST_CMAKE = (3, 25)  # CMakePresets.json, version 6
GTEST_PLACES = (Path("/usr/include/gtest/gtest.h"), Path("/usr/src/googletest/CMakeLists.txt"))


def apt_install(package: str) -> bool:
    """Whether the Debian package could be installed. False without root or apt-get."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", package]
    # A new machine has no package lists yet, and old ones name files that are gone.
    for title, command in (
        (f"install {package}", install),
        ("package lists", ["apt-get", "update"]),
        (f"install {package} again", install),
    ):
        try:
            step(title, command, log=f"apt-{package}", advice="apt-get failed", env=env)
        except Failure:
            continue
        if command is install:
            return True
    return False


def need_compiler() -> None:
    name = os.environ.get("CXX") or "c++"
    program = (shlex.split(name) or [""])[0]
    if shutil.which(program) is None and (os.environ.get("CXX") or shutil.which("g++") is None):
        raise Failure(
            f"No C++ compiler ({name} is not on the PATH): install g++ 11 or newer "
            "(Debian: apt-get install g++) or set CXX."
        )


def need_cmake() -> None:
    wanted = ".".join(map(str, OLDEST_CMAKE))
    advice = f"install CMake {wanted} or newer (apt-get install cmake, or pip install cmake)"
    if shutil.which("cmake") is None:
        raise Failure(f"No cmake on the PATH: {advice}.")
    text = subprocess.run(
        ["cmake", "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    match = re.search(r"(\d+)\.(\d+)", text)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_CMAKE:
        raise Failure(f"CMake is {match[0] if match else 'broken'}: {advice}.")


def _debian_python(suffix: str) -> str:
    return f"python{sys.version_info[0]}.{sys.version_info[1]}-{suffix}"


def need_venv_module() -> None:
    """Debian splits ensurepip off into a package of its own."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    package = _debian_python("venv")
    if not apt_install(package):
        raise Failure(
            f"{sys.executable} has no venv module: install it (Debian: apt-get install {package}) "
            "or name another Python, as in `make test PYTHON=python3.11`."
        )


def need_python_headers() -> None:
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if header.exists():
        return
    package = _debian_python("dev")
    if not apt_install(package):
        raise Failure(
            f"{header} is missing: install Python's headers (Debian: apt-get install {package}) "
            "or name another Python, as in `make test PYTHON=python3.11`."
        )


def has_google_test() -> bool:
    """Whether CMake will find it without a network; tries to install it first."""
    if os.environ.get("ROPE_GTEST_SOURCE") or any(place.exists() for place in GTEST_PLACES):
        return True
    return apt_install("libgtest-dev")


def want_doxygen() -> None:
    """For the gate api_docs and its tests."""
    if shutil.which("doxygen") is None and not apt_install("doxygen"):
        leave_out("the check of the C++ reference: no doxygen (apt-get install doxygen).")


def need_space(folder: Path, gigabytes: int, what: str) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise Failure(
            f"{what} needs {gigabytes} GB in {folder} and {free:.1f} GB are free: make room, or "
            "use a Python that has torch already."
        )


def leave_out_google_test() -> None:
    leave_out(
        "the C++ tests: GoogleTest is not here and cannot be fetched; install it "
        "(apt-get install libgtest-dev) or set ROPE_GTEST_SOURCE."
    )
