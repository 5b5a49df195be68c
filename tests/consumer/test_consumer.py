"""What somebody gets who installs Rope and builds C++ programs on it: the build of build/dev is
installed, its prefix moved to another place, and programs are configured, built and run against it
where no CUDA toolkit is to be found.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from environment import cmake, packages
from environment.report import ROOT, required

BUILD = ROOT / "build" / "dev"
HERE = Path(__file__).resolve().parent
# What another project might have set, and what would lead to a CUDA toolkit or to another Rope.
MISLEADING = {"CUDACXX", "CUDA_HOME", "CUDA_PATH", "CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH"}


def run(*command, env=None):
    """Returns the status and everything that was printed."""
    result = subprocess.run(
        [str(word) for word in command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return result.returncode, result.stdout


def succeed(*command, env=None):
    status, output = run(*command, env=env)
    assert status == 0, f"{' '.join(map(str, command))}\n{output[-4000:]}"
    return output


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
        generator = ["-G", "Ninja"] if shutil.which("ninja", path=toolless["PATH"]) else []
        given = [f"-D{one}" for one in (f"CMAKE_PREFIX_PATH={prefix}", *definitions)]
        status, output = run("cmake", "-S", source, "-B", build, *generator, *given, env=toolless)
        return status, " ".join(output.split()), build

    return configured


@pytest.fixture
def build(configure, toolless):
    """build(source, definition, …) returns the folder with the programs."""

    def built(source, *definitions):
        status, output, folder = configure(source, *definitions)
        assert status == 0, output
        succeed("cmake", "--build", folder, "--parallel", cmake.jobs(), env=toolless)
        return folder

    return built


def places_in(file, places):
    content = file.read_bytes()
    return [place for place in places if os.fsencode(place) in content]


def test_no_installed_file_names_a_place_of_the_build(prefix, torch_root):
    places = [f"{ROOT}/", f"{torch_root}"]
    files = [file for file in prefix.rglob("*") if file.is_file()]
    assert {"rope.h", "kernels.h", "librope.so", "RopeConfig.cmake"} <= {f.name for f in files}
    named = {
        file.relative_to(prefix): found for file in files if (found := places_in(file, places))
    }
    assert named == {}


def test_kernels_example_runs_without_torch(build, toolless):
    folder = build(ROOT / "examples" / "kernels", "TORCH_ROOT=/nowhere")
    assert "the same bits" in succeed(folder / "rotate", env=toolless)
    assert "libtorch" not in succeed("readelf", "-d", folder / "rotate")


def test_libtorch_example_runs(build, toolless):
    folder = build(ROOT / "examples" / "libtorch", f"Python_EXECUTABLE={sys.executable}")
    output = succeed(folder / "attention", env=toolless)
    assert "decode against prefill" in output


def test_operators_are_registered_where_no_symbol_is_used(build, prefix, torch_root, toolless):
    # Beside it lies torch, as after pip install: nothing but the prefix is told to CMake.
    (prefix.parent / "torch").symlink_to(torch_root)
    folder = build(HERE / "registered")
    assert succeed(folder / "registered", env=toolless) == "rope::apply is registered\n"
    succeed(folder / "nothing", env=toolless)
    for program in ("registered", "nothing"):
        undefined = succeed("nm", "-D", "--undefined-only", folder / program)
        assert not re.search("4rope", undefined)  # as the namespace is mangled


@pytest.mark.parametrize("version", ["9.9", "0.0"], ids=["newer", "older"])
def test_another_version_is_refused(configure, version):
    status, output, _ = configure(HERE / "refused", f"ROPE_VERSION={version}")
    assert status != 0
    assert f'compatible with requested version "{version}"' in output
    assert re.search(r"RopeConfig\.cmake, version: \d+\.\d+\.\d+", output)


def test_missing_torch_is_refused(configure, tmp_path):
    status, output, _ = configure(HERE / "refused", "ROPE_COMPONENT=rope", f"TORCH_ROOT={tmp_path}")
    assert status != 0
    assert "rope: no torch found: set TORCH_ROOT" in output


def test_another_torch_is_refused(configure, tmp_path):
    (tmp_path / "include" / "ATen").mkdir(parents=True)
    (tmp_path / "include" / "ATen" / "ATen.h").touch()
    header = tmp_path / "include" / "torch" / "headeronly" / "version.h"
    header.parent.mkdir(parents=True)
    numbers = {"MAJOR": 2, "MINOR": 1, "PATCH": 3}
    header.write_text("".join(f"#define TORCH_VERSION_{k} {v}\n" for k, v in numbers.items()))
    status, output, _ = configure(HERE / "refused", "ROPE_COMPONENT=rope", f"TORCH_ROOT={tmp_path}")
    assert status != 0
    assert re.search(
        rf"rope: built for torch \d+\.\d+\.\d+, but {re.escape(str(tmp_path))} is torch 2\.1\.3",
        output,
    )
