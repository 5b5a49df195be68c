"""The parts of set-up that decide: which packages are missing, how a failed step is told."""

import sys

import pytest

from environment import cmake, packages, report, requirements
from environment.report import Failure, StepFailure
from environment.requirements import Requirement

WANTED = [Requirement("torch", "2.15.0"), Requirement("numpy", "2.4.6"), Requirement("ruff", "1.0")]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.delenv("ROPE_REQUIRE_ALL", raising=False)


PINS = report.Path(__file__).parents[2] / "pyproject.toml"


def test_pins_are_read():
    pins = requirements.read(PINS)
    names = [pin.name for pin in pins]
    assert "torch" in names
    assert len(names) == len(set(names))
    assert all(name in names for name in requirements.ALWAYS_PINNED)


def test_pins_of_peers_are_read():
    pins = requirements.read(PINS, "bench")
    assert [pin.name for pin in pins] == ["mlx", "mlx-cpu", "rotary-embedding-torch"]


class TestPeers:
    """One that cannot be installed is named, and the others are installed all the same."""

    @pytest.fixture
    def installed(self, monkeypatch, tmp_path):
        installed = []

        def pip_install(title, pins, log):
            if title.startswith("mlx-cpu"):
                raise StepFailure("no wheel", tmp_path / "log.txt")
            installed.extend(pin.name for pin in pins)

        monkeypatch.setattr(packages, "ROOT", PINS.parent)
        monkeypatch.setattr(packages, "STAMP", tmp_path / "stamp.json")
        monkeypatch.setattr(packages, "is_shared", lambda: False)
        monkeypatch.setattr(packages.requirements, "installed", lambda *_: {})
        monkeypatch.setattr(packages, "_pip_install", pip_install)
        return installed

    def test_one_is_left_out(self, installed, capsys):
        packages.install_peers()
        assert installed == ["mlx", "rotary-embedding-torch"]
        out = capsys.readouterr().out
        assert out.startswith("left out: mlx-cpu==")
        packages.install_peers()  # tried again, since not all is in place
        assert len(installed) == 4

    def test_nothing_is_done_twice(self, installed, monkeypatch):
        monkeypatch.setattr(packages, "_pip_install", lambda *_: installed.append("one"))
        packages.install_peers()
        packages.install_peers()
        assert installed == ["one"] * 3


def test_no_pins(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(Failure, match="no dependency group"):
        requirements.read(tmp_path / "pyproject.toml")


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        (None, False),
        ("", False),
        ("1.13.1", False),
        ("2.2.0", False),
        ("2.10.0+cu128", False),
        ("2.11.0a0+git12ab", True),
        ("2.15.0+cpu", True),
        ("3.0", True),
    ],
)
def test_supported_torch(version, supported):
    assert requirements.is_supported_torch(version) is supported


@pytest.mark.parametrize(
    ("found", "shared", "names"),
    [
        pytest.param({}, False, ["torch", "numpy", "ruff"], id="nothing-there"),
        pytest.param({"torch": "2.15.0+cpu", "numpy": "2.4.6", "ruff": "1.0"}, False, [], id="all"),
        pytest.param(
            {"torch": "2.11.0", "numpy": "1.26"}, False, ["torch", "numpy", "ruff"], id="own"
        ),
        pytest.param({"torch": "2.11.0", "numpy": "1.26"}, True, ["ruff"], id="shared"),
        pytest.param(
            {"torch": "2.9.0", "numpy": "2.4.6", "ruff": "1.0"}, True, ["torch"], id="old"
        ),
        pytest.param(
            {"torch": "2.11.0", "numpy": "1.26", "ruff": "0.9"}, True, ["ruff"], id="tool"
        ),
    ],
)
def test_missing(found, shared, names):
    lacking = requirements.missing(WANTED, found, shared=shared)
    assert [requirement.name for requirement in lacking] == names


def test_installed_here():
    versions = requirements.installed(report.Path(sys.executable), ["pytest", "no-such-package"])
    assert versions == {"pytest": pytest.__version__}


def step(code):
    return report.step("a step", [sys.executable, "-c", code], log="a", advice="Do this")


def test_step(capsys):
    assert step("print('said')") == "said\n"
    assert capsys.readouterr().out.startswith("a step … 0.")


def test_failed_step(capsys):
    code = "import sys; [print('line', n, flush=True) for n in range(99)]; sys.exit('the reason')"
    assert report.guarded(lambda: bool(step(code))) == 1
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == report.SHOWN_LINES + 1
    assert shown[-2:] == ["    the reason", "Do this (log: build/log/a.txt)."]


def test_program_that_is_not_there(capsys):
    assert report.guarded(lambda: bool(report.step("x", ["no-such"], log="a", advice=""))) == 1
    assert capsys.readouterr().err == (
        "No such file or directory: no-such: put that right and run the same command again.\n"
    )


@pytest.mark.parametrize("value", ["", "0"])
def test_leaving_out(monkeypatch, capsys, value):
    monkeypatch.setenv("ROPE_REQUIRE_ALL", value)
    report.leave_out("this.")
    assert capsys.readouterr().out == "left out: this.\n"


def test_leaving_out_nothing(monkeypatch):
    monkeypatch.setenv("ROPE_REQUIRE_ALL", "1")
    with pytest.raises(Failure, match=r"^this\.$"):
        report.leave_out("this.")


class TestConfigure:
    """Without GoogleTest the C++ tests are left out; any other failure stays one."""

    @pytest.fixture
    def calls(self, monkeypatch, tmp_path):
        calls = []
        trouble = {"text": "GoogleTest not found"}

        def configure_once(preset, arguments, facts):
            calls.append(arguments)
            if "-DROPE_TESTS=OFF" not in arguments:
                log = tmp_path / "log.txt"
                log.write_text(trouble["text"])
                raise StepFailure("advice", log)

        monkeypatch.setattr(cmake, "_configure_once", configure_once)
        monkeypatch.setattr(cmake.system, "has_google_test", lambda: False)
        monkeypatch.delenv("ROPE_GTEST_SOURCE", raising=False)
        return calls, trouble

    def test_without_google_test(self, calls, capsys):
        cmake.configure("asan")
        assert calls[0] == [[], ["-DROPE_TESTS=OFF"]]
        assert "left out: the C++ tests" in capsys.readouterr().out

    def test_another_failure(self, calls):
        calls[1]["text"] = "nvcc fatal"
        with pytest.raises(StepFailure):
            cmake.configure("asan")


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("0", None), ("many", None), ("", None)])
def test_jobs(monkeypatch, given, expected):
    monkeypatch.setenv("CMAKE_BUILD_PARALLEL_LEVEL", given)
    assert cmake.jobs() == expected if expected else cmake.jobs() >= 1
