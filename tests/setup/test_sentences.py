"""Whatever a machine lacks, scripts/setup.py says so in one sentence, with status 1 and without a
traceback: from any folder, in a checkout with a space in its path, with standard input closed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CMAKE = "#!/bin/sh\necho cmake version {}\n"


@pytest.fixture
def checkout(tmp_path):
    """What set-up needs of a checkout, elsewhere."""
    folder = tmp_path / "a checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def programs(tmp_path):
    """The only folder on the PATH; programs(name=text) puts one there."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(**texts):
        for name, text in texts.items():
            program = folder / name.replace("cxx", "c++")
            program.write_text(text)
            program.chmod(0o755)
        return folder

    return put


def set_up(checkout, path, *, purpose="demo", python=sys.executable, before="", **env):
    """Runs setup.py as a fresh process; `before` is Python that runs first."""
    code = (
        f"import runpy, sys\n{before}\nsys.argv = ['setup.py', {purpose!r}]\n"
        f"sys.path.insert(0, {str(checkout / 'scripts')!r})\n"
        f"runpy.run_path({str(checkout / 'scripts' / 'setup.py')!r}, run_name='__main__')"
    )
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", str(python), "-c", code],
        cwd="/",
        env={**kept, "PATH": str(path), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def sentence(result):
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.endswith(".")
    return line


def test_old_python(checkout, programs):
    result = set_up(checkout, programs(), before="sys.version_info = (3, 9, 18)")
    assert "Python 3.10 or newer is needed and this is 3.9" in sentence(result)


def test_no_compiler(checkout, programs):
    assert "install g++ 11 or newer" in sentence(set_up(checkout, programs()))


def test_compiler_that_is_not_there(checkout, programs):
    result = set_up(checkout, programs(cxx="#!/bin/sh\n"), CXX="ccache nosuch++")
    assert "(ccache nosuch++ is not on the PATH)" in sentence(result)


def test_no_cmake(checkout, programs):
    result = set_up(checkout, programs(cxx="#!/bin/sh\n"))
    assert "No cmake on the PATH: install CMake 3.25 or newer" in sentence(result)


@pytest.mark.parametrize("version", ["2.8.12", "3.24.4", "3.9.0"])
def test_old_cmake(checkout, programs, version):
    result = set_up(checkout, programs(cxx="#!/bin/sh\n", cmake=CMAKE.format(version)))
    assert f"CMake is {version.rpartition('.')[0]}: install CMake 3.25" in sentence(result)


@pytest.fixture
def tools(programs):
    return programs(cxx="#!/bin/sh\n", cmake=CMAKE.format("3.25.1"))


def test_no_venv_module(checkout, tools):
    hidden = "import importlib.util as u; u.find_spec = lambda name: None"
    result = set_up(checkout, tools, before=hidden)
    assert "has no venv module: install it (Debian: apt-get install python3" in sentence(result)


def test_read_only_checkout(checkout, tools):
    # Not by file modes: root ignores them.
    blocked = checkout / "build"
    blocked.write_text("")
    assert f"{blocked}" in sentence(set_up(checkout, tools))


def test_venv_of_another_python(checkout, tools):
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 3.99\n")
    python.chmod(0o755)
    assert "name the former, as in `make test PYTHON=python3.99`" in sentence(
        set_up(checkout, tools)
    )


class TestBarePython:
    """A Python without torch has to fetch it: here from a port that refuses connections."""

    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}  # noqa: RUF012

    @pytest.fixture
    def bare(self):
        python = sys._base_executable
        probe = "import ensurepip, importlib.util as u; exit(u.find_spec('torch') is not None)"
        if subprocess.run([python, "-c", probe], capture_output=True).returncode:
            pytest.skip("the Python below .venv has torch, or no ensurepip")
        return python

    def test_full_disk(self, checkout, tools, bare):
        full = "import shutil; shutil.disk_usage = lambda p: type('', (), {'free': 2 * 10**9})"
        result = set_up(checkout, tools, python=bare, before=full, **self.nowhere)
        assert "GB in" in sentence(result)
        assert "2.0 GB are free: make room" in result.stderr

    def test_no_network(self, checkout, tools, bare):
        demo = set_up(checkout, tools, python=bare, **self.nowhere)
        assert "make demo needs torch, which could not be installed: connect" in sentence(demo)
        assert "torch==" in demo.stdout
        assert "no network" in demo.stdout
        tests = set_up(checkout, tools, python=bare, purpose="test", **self.nowhere)
        assert tests.returncode == 0
        assert "left out: all that needs torch" in tests.stdout
        strict = set_up(checkout, tools, python=bare, ROPE_REQUIRE_ALL="1", **self.nowhere)
        assert "no network" in sentence(strict)
