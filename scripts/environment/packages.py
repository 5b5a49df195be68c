"""The virtual environment .venv and the packages in it. Nothing is done where the stamp says that
all is in place. For environment/main.py.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from environment import requirements, system
from environment.report import ROOT, Failure, StepFailure, leave_out, step
from environment.requirements import Requirement

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "torch_rope_stamp.json"
# torch 2.15.0 and what comes with it, unpacked; and as wheels, which pip keeps until it is done.
TORCH_GIGABYTES = 6
DOWNLOAD_GIGABYTES = 3
NETWORK_SIGNS = ("Retrying (Retry(", "NewConnectionError", "Temporary failure in name resolution")


def environment() -> dict[str, str]:
    """For commands in the virtual environment: its programs first, pip unasked and inside it.
    CUDA's installer leaves it to people to put its folder on the PATH; last, it is in nobody's way.
    """
    path = [str(VENV / "bin"), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    return {
        **os.environ,
        "PATH": os.pathsep.join(path),
        "PIP_NO_INPUT": "1",
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def _is_ours() -> bool:
    """Whether the running Python is .venv itself, activated."""
    return Path(sys.prefix).resolve() == VENV


def torch_around() -> str | None:
    """The version of torch that the running Python sees, if this project can use it."""
    if _is_ours():
        return None
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    return version if requirements.is_supported_torch(version) else None


def is_shared() -> bool:
    """Whether .venv sees another environment's packages."""
    settings = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    return "include-system-site-packages = true" in settings or any(VENV.glob("lib/*/*/parent.pth"))


def _version_of(python: Path) -> str | None:
    """major.minor, or None where this does not run or has no pip."""
    command = [str(python), "-c", "import pip, sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        output = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return None
    return output.strip() or None


def create_venv() -> None:
    """Makes .venv unless it works already. Where torch is around, its packages stay visible."""
    running = ".".join(map(str, sys.version_info[:2]))
    there = running if _is_ours() else _version_of(PYTHON)
    if there is not None and there != running:
        raise Failure(
            f".venv is of Python {there} and this is {running}: name the former, as in "
            f"`make test PYTHON=python{there}`, or delete .venv."
        )
    if there is not None:
        return
    system.need_venv_module()
    shares = torch_around() is not None
    nested = sys.prefix != sys.base_prefix
    options = ["--clear", *(["--system-site-packages"] if shares and not nested else [])]
    title = f".venv over torch {torch_around()}" if shares else ".venv"
    advice = f"{sys.executable} could not make a virtual environment in {VENV}: see the lines above"
    step(title, [sys.executable, "-m", "venv", *options, str(VENV)], log="venv", advice=advice)
    if shares and nested:
        # "System" is the base Python for venv; the environment that holds torch goes in by path.
        (site_packages,) = VENV.glob("lib/python*/site-packages")
        places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (site_packages / "parent.pth").write_text("".join(f"{place}\n" for place in places))


def _key(wanted: Sequence[Requirement]) -> str:
    facts = [sys.version, str(ROOT), torch_around() or "", *map(str, wanted)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def read_stamp() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def write_stamp(**facts: str) -> None:
    STAMP.write_text(json.dumps({**read_stamp(), **facts}, indent=1), encoding="utf-8")


def _explain(failure: StepFailure) -> str:
    """Why pip failed. Raises Failure where it is not for want of a network."""
    if any(sign in failure.text for sign in NETWORK_SIGNS):
        return "no network; connect, or set pip's index or proxy, and run again."
    if "No space left on device" in failure.text:
        raise Failure("The disk is full: free some space and run again.")
    if "No matching distribution" in failure.text:
        version = ".".join(map(str, sys.version_info[:2]))
        raise Failure(
            f"The package index has not all of pyproject.toml's pins for Python {version}: name "
            "another Python, as in `make test PYTHON=python3.11`."
        )
    raise failure


def _need_space() -> None:
    download = Path(tempfile.gettempdir())
    if VENV.stat().st_dev == download.stat().st_dev:
        system.need_space(VENV, TORCH_GIGABYTES + DOWNLOAD_GIGABYTES, "torch")
    else:
        system.need_space(VENV, TORCH_GIGABYTES, "torch")
        system.need_space(download, DOWNLOAD_GIGABYTES, "pip's download of torch")


def _pip_install(title: str, pins: Sequence[Requirement], log: str) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--retries", "2", *map(str, pins)]
    advice = f"pip could not install {title}: see the lines above"
    step(f"install {title}", command, log=log, advice=advice, env=environment())


def _install(lacking: Sequence[Requirement]) -> str | None:
    """None, or why not everything could be installed."""
    torch = [requirement for requirement in lacking if requirement.name == "torch"]
    others = [requirement for requirement in lacking if requirement.name != "torch"]
    try:
        if torch:
            _need_space()
            _pip_install(f"{torch[0]} (some minutes)", torch, "pip-torch")
        if others:
            _pip_install(", ".join(requirement.name for requirement in others), others, "pip")
    except StepFailure as failure:
        return _explain(failure)
    return None


def install() -> set[str]:
    """Installs what is missing; returns the names that are not there afterwards."""
    wanted = requirements.read(ROOT / "pyproject.toml")
    key = _key(wanted)
    if read_stamp().get("packages") == key:
        return set()
    names = [requirement.name for requirement in wanted]
    shared = is_shared()
    lacking = requirements.missing(wanted, requirements.installed(PYTHON, names), shared=shared)
    reason = _install(lacking)
    if reason is None:
        write_stamp(packages=key)
        return set()
    found = requirements.installed(PYTHON, names)
    lacking = requirements.missing(wanted, found, shared=shared)
    leave_out(f"{', '.join(map(str, lacking))}: {reason}")
    return {requirement.name for requirement in lacking if requirement.name not in found}


def install_peers() -> None:
    """The group `bench`, each package by itself: an index that has no wheel of one for this machine
    keeps nobody from anything but that one's figures."""
    wanted = requirements.read(ROOT / "pyproject.toml", "bench")
    key = _key(wanted)
    if read_stamp().get("peers") == key:
        return
    found = requirements.installed(PYTHON, [requirement.name for requirement in wanted])
    for requirement in requirements.missing(wanted, found, shared=is_shared()):
        try:
            _pip_install(str(requirement), [requirement], f"pip-{requirement.name}")
        except StepFailure as failure:
            leave_out(f"{requirement}, which is measured beside us: {failure}")
            key = ""
    write_stamp(peers=key)


def need(name: str, missing: set[str], what: str) -> None:
    if name in missing:
        raise Failure(f"{what} needs {name}, which could not be installed: connect and run again.")


def program(name: str) -> str | None:
    return shutil.which(name, path=environment()["PATH"])
