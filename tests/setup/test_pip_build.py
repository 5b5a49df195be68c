"""What setup.py asks of CMake and of torch, with CMake's part played: it configures anew where what
was configured is for another torch or has other arguments, and only there.
"""

import importlib.util
import shutil
import sys

import pytest

from environment.report import ROOT

TORCH = "2.15.0"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """setup.py of a checkout elsewhere."""
    shutil.copy(ROOT / "setup.py", tmp_path)
    spec = importlib.util.spec_from_file_location("setup_of_a_test", tmp_path / "setup.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setattr(loaded.importlib.metadata, "version", lambda _: f"{TORCH}+cu130")
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    return loaded


def note_torch(folder, version):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_built.py").write_text(f'TORCH = "{version}"\n')


@pytest.fixture
def build(module, tmp_path, monkeypatch):
    """build(found) installs with a CMake that finds this torch; the arguments it configured with,
    or None where it did not."""
    folder, prefix = tmp_path / "build" / "release", tmp_path / "prefix"
    configured = []

    def run(*command, found):
        if "--preset" in command:
            assert "--fresh" in command  # what an earlier call has put into CMake's cache goes
            configured.append(command[command.index("release") + 1 :])
            note_torch(folder, found)
            entries = {"CMAKE_HOME_DIRECTORY": tmp_path, "Python_EXECUTABLE": sys.executable}
            cache = "".join(f"{name}:PATH={value}\n" for name, value in entries.items())
            (folder / "CMakeCache.txt").write_text(cache)
        elif "--install" in command:
            note_torch(prefix, (folder / "_built.py").read_text().split('"')[1])

    def built(found=TORCH):
        configured.clear()
        monkeypatch.setattr(module, "run", lambda *command: run(*command, found=found))
        module.build_and_install("release", prefix)
        assert len(configured) <= 1
        return list(configured[0][1:]) if configured else None

    return built


def test_configures_once(build):
    assert build() == []
    assert build() is None


def test_arguments_do_not_outlive_their_call(build, monkeypatch):
    monkeypatch.setenv("CMAKE_ARGS", "-DROPE_CUDA=OFF -DX='a b'")
    assert build() == ["-DROPE_CUDA=OFF", "-DX=a b"]
    assert build() is None
    monkeypatch.delenv("CMAKE_ARGS")
    assert build() == []


def test_another_torch_is_built_for_from_the_start(build, tmp_path):
    build()
    folder = tmp_path / "build" / "release"
    note_torch(folder, "2.14.0")
    (folder / "object.o").touch()
    assert build() == []
    assert not (folder / "object.o").exists()


def test_the_torch_that_cmake_found_is_the_one_that_is_imported(build):
    with pytest.raises(SystemExit, match=rf"CMake built for torch 2\.14\.1, .* has torch {TORCH}"):
        build(found="2.14.1")


@pytest.mark.parametrize(
    ("command", "requirement"),
    [("sdist", "torch>=2.11"), ("egg_info", "torch>=2.11"), ("bdist_wheel", "torch==2.15.*")],
)
def test_requirement(module, monkeypatch, command, requirement):
    monkeypatch.setattr(sys, "argv", ["setup.py", command])
    assert module.required_torch() == requirement


def test_no_torch(module, monkeypatch):
    def missing(name):
        raise module.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.importlib.metadata, "version", missing)
    monkeypatch.setattr(sys, "argv", ["setup.py", "dist_info"])
    with pytest.raises(SystemExit, match=r"install torch, then run .* --no-build-isolation \.`"):
        module.required_torch()


def test_a_torch_that_is_too_old(module, monkeypatch):
    monkeypatch.setattr(module.importlib.metadata, "version", lambda _: "2.9.1+cpu")
    with pytest.raises(SystemExit, match=r"needs torch 2\.11 or newer, .* has torch 2\.9\.1\+cpu"):
        module.torch_here()
