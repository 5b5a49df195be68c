"""A wheel of this checkout, and an environment that has it and the pinned packages, but neither the
checkout nor a compiler. For make_wheel.py, test_wheel.py and tests/consumer/test_wheel.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from environment import packages
from environment.report import ROOT, step

OURS = ("torch_rope", "__editable__")  # what the editable install has left among the packages


def build(folder: Path) -> Path:
    """The wheel, of what is in build/dev: nothing is compiled a second time."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    step(
        "wheel",
        [*command, "--wheel-dir", str(folder), str(ROOT)],
        log="wheel",
        advice="pip could not build the wheel: see the lines above",
        env={**packages.environment(), "ROPE_PRESET": "dev"},
    )
    return max(folder.glob("*.whl"), key=lambda file: file.stat().st_mtime)


def build_sdist(folder: Path) -> Path:
    # Apart from what setuptools notes of a wheel that may be built at the same time.
    information = folder / "information"
    information.mkdir(exist_ok=True)
    apart = ["egg_info", "--egg-base", str(information)]
    command = [sys.executable, "setup.py", "-q", *apart, "sdist", "--dist-dir", str(folder)]
    step(
        "source distribution",
        command,
        log="sdist",
        advice="setuptools could not pack the sources: see the lines above",
        env=packages.environment(),
    )
    shutil.rmtree(information)
    return max(folder.glob("*.tar.gz"), key=lambda file: file.stat().st_mtime)


def create_environment(folder: Path, wheel: Path) -> Path:
    """Its Python. Packages are links to those of .venv, so that nothing is fetched; pip finds there
    what the wheel asks for, and fails where it does not."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for package in Path(packages.VENV).glob("lib/python*/site-packages/*"):
        if not package.name.startswith(OURS) and package.suffix != ".pth":
            (site_packages / package.name).symlink_to(package)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index"]
    step(
        "install it",
        [*pip, "--no-compile", str(wheel)],
        log="wheel-install",
        advice="pip could not install the wheel: see the lines above",
        env=packages.environment(),
    )
    return python


def without_compilers(python: Path) -> dict[str, str]:
    """The environment's own programs and nothing else on the PATH."""
    hidden = {"PATH", "PYTHONPATH", "CXX", "CC", "CUDACXX", "CUDA_HOME", "CUDA_PATH"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "PATH": str(python.parent)}
