"""What the tests of C++ programs share: an installed Rope, and builds that find no CUDA toolkit."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from programs import build_in, configure_in, succeed

from environment import packages
from environment.report import ROOT, required

BUILD = ROOT / "build" / "dev"
# What another project might have set, and what would lead to a CUDA toolkit or to another Rope.
MISLEADING = {"CUDACXX", "CUDA_HOME", "CUDA_PATH", "CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH"}


def without_nvcc(path, folder):
    """The PATH, with links to all else in place of each folder that holds nvcc."""
    places = []
    for number, place in enumerate(path.split(os.pathsep)):
        if (Path(place or ".") / "nvcc").exists():
            links = folder / str(number)
            links.mkdir(parents=True)
            for program in Path(place).iterdir():
                if not program.name.startswith(("nvcc", "cuda")):
                    (links / program.name).symlink_to(program)
            place = str(links)
        places.append(place)
    return os.pathsep.join(places)


@pytest.fixture(scope="session")
def toolless(tmp_path_factory):
    """An environment without a CUDA toolkit."""
    env = {name: value for name, value in packages.environment().items() if name not in MISLEADING}
    env["PATH"] = without_nvcc(env["PATH"], tmp_path_factory.mktemp("path"))
    assert shutil.which("nvcc", path=env["PATH"]) is None
    return env


@pytest.fixture(scope="session")
def torch_root():
    return Path(importlib.util.find_spec("torch").origin).parent


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """Where Rope was moved to after its installation, beside torch as in a site-packages folder."""
    if not (BUILD / "cmake_install.cmake").exists():
        reason = "build/dev is not there: run make setup"
        pytest.fail(reason) if required() else pytest.skip(reason)
    installed = tmp_path_factory.mktemp("installed") / "prefix"
    succeed("cmake", "--install", BUILD, "--prefix", installed)
    return installed.rename(tmp_path_factory.mktemp("moved") / "torch_rope")


@pytest.fixture
def configure(tmp_path, prefix, toolless):
    """configure(source, definition, …) returns CMake's status, output (one line) and folder."""

    def configured(source, *definitions):
        build = tmp_path / "build"
        return *configure_in(build, source, prefix, *definitions, env=toolless), build

    return configured


@pytest.fixture
def build(tmp_path, prefix, toolless):
    """build(source, definition, …) returns the folder with the programs."""

    def built(source, *definitions):
        return build_in(tmp_path / "build", source, prefix, *definitions, env=toolless)

    return built
