"""The seeded faults fit the sources they are for, and the runner counts nothing as noticed that a
test did not notice. The runs themselves: make mutants, and three of them in CI.
"""

import re
from pathlib import Path

import pytest

from environment.report import Failure
from mutants import loaded, report, run, table, tree, workshop
from mutants.fault import Fault, TableError

ROOT = Path(__file__).resolve().parents[2]
EACH_FAULT = pytest.mark.parametrize(
    "fault", [pytest.param(fault, id=fault.name) for fault in table.FAULTS]
)


class TestTable:
    @EACH_FAULT
    def test_old_text_is_there_once(self, fault):
        text = (ROOT / fault.file).read_text(encoding="utf-8")
        assert fault.seeded(text) != text

    @EACH_FAULT
    def test_is_in_the_library(self, fault):
        assert fault.file.startswith(("kernels/", "csrc/"))
        assert fault.breaks

    @EACH_FAULT
    def test_its_tests_exist(self, fault):
        programs = (ROOT / "tests" / "CMakeLists.txt").read_text(encoding="utf-8")
        assert fault.tests
        for name in fault.programs:
            short = name.removeprefix("cpp.")
            assert (ROOT / "tests" / "cpp" / f"{short}_test.cpp").exists()
            assert re.search(rf"\b{short}\b", programs)
        for test in fault.python_tests:
            path, _, function = test.partition("::")
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not function or f"\ndef {function}(" in text

    def test_names_are_unique(self):
        names = [fault.name for fault in table.FAULTS]
        assert len(names) == len(set(names))

    def test_canaries_need_no_torch(self):
        canaries = table.chosen(table.CANARIES)
        assert len(canaries) == 3
        assert not any(fault.python_tests for fault in canaries)

    def test_all_are_chosen_without_a_name(self):
        assert table.chosen([]) == list(table.FAULTS)

    def test_an_unknown_name_is_refused(self):
        with pytest.raises(Failure, match="No fault no-such: "):
            table.chosen(["no-such", table.CANARIES[0]])


FAULT = Fault("a-fault", "a.cpp", "right", "wrong", "something", ("cpp.some",))


@pytest.mark.parametrize("text", ["nothing", "right and right"])
def test_text_that_is_not_there_once(text):
    with pytest.raises(TableError, match=r"its old text occurs [02] times in a\.cpp"):
        FAULT.seeded(text)


class Workshop:
    """Stands in for workshop.py: what building and testing come to."""

    Log = workshop.Log

    def __init__(self, noticed=None, compiles=True, changes=True):
        self.noticed = noticed
        self.compiles = compiles
        self.changes = changes
        self.seen = None

    def build(self, _, log):
        self.seen = (tree.TREE / FAULT.file).read_text()
        if not self.compiles:
            raise TableError("it does not compile")

    def digest(self, _):
        return "other" if self.changes else "clean"

    def run_tests(self, _, log):
        if isinstance(self.noticed, BaseException):
            raise self.noticed
        return self.noticed


@pytest.fixture
def examine(monkeypatch, tmp_path):
    """examine(noticed=…, …): the result for FAULT in a tree of its own, which stays as it was."""
    monkeypatch.setattr(tree, "TREE", tmp_path)
    (tmp_path / "a.cpp").write_text("all right\n")

    def examined(**behaviour):
        stand_in = Workshop(**behaviour)
        monkeypatch.setattr(run, "workshop", stand_in)
        try:
            return run.examine(FAULT, "clean")
        finally:
            assert stand_in.seen == "all wrong\n"
            assert (tmp_path / "a.cpp").read_text() == "all right\n"

    return examined


class TestExamine:
    def test_noticed(self, examine):
        result = examine(noticed="cpp.some: A.B")
        assert (result.noticed, result.error) == ("cpp.some: A.B", None)

    def test_survived(self, examine):
        result = examine(noticed=None)
        assert (result.noticed, result.error) == (None, None)

    @pytest.mark.parametrize(
        ("behaviour", "error"),
        [
            pytest.param({"compiles": False}, "it does not compile", id="compiler"),
            pytest.param({"changes": False}, "it changes no binary", id="no-difference"),
            pytest.param({"noticed": TableError("pytest did")}, "pytest did", id="no-tests"),
        ],
    )
    def test_an_error_is_not_noticed(self, examine, behaviour, error):
        result = examine(**{"noticed": "cpp.some: A.B", **behaviour})
        assert result.noticed is None
        assert result.error.startswith(error)

    def test_an_interruption_leaves_nothing(self, examine):
        with pytest.raises(KeyboardInterrupt):
            examine(noticed=KeyboardInterrupt())


def ctest(program, verdict, *lines):
    return "\n".join([*lines, "The following tests FAILED:", f"\t  3 - {program} ({verdict})"])


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """commands(status, output): what the next command comes to."""
    monkeypatch.setattr(workshop, "FOLDER", tmp_path)

    def come_to(status, output=""):
        monkeypatch.setattr(workshop, "_run", lambda *_: (status, output))
        return workshop.Log("a-fault")

    return come_to


class TestVerdict:
    @pytest.mark.parametrize(
        ("status", "output", "noticed"),
        [
            pytest.param(0, "100% tests passed", None, id="passed"),
            pytest.param(
                8,
                ctest("cpp.some", "Failed", "[  FAILED  ] A.B/3, where GetParam() = 7"),
                "cpp.some: A.B/3",
                id="failed",
            ),
            pytest.param(8, ctest("cpp.some", "SEGFAULT"), "cpp.some: segfault", id="crashed"),
            pytest.param(None, "", "cpp.some: not done after 300 s", id="endless"),
        ],
    )
    def test_of_a_program(self, commands, status, output, noticed):
        assert workshop.run_programs(["cpp.some"], commands(status, output)) == noticed

    @pytest.mark.parametrize("output", ["No tests were found!!!", ctest("cpp.some", "Not Run")])
    def test_of_no_program(self, commands, output):
        with pytest.raises(TableError, match="ctest did not run its tests"):
            workshop.run_programs(["cpp.some"], commands(8, output))

    @pytest.mark.parametrize(
        ("status", "output", "noticed"),
        [
            pytest.param(0, "3 passed", None, id="passed"),
            pytest.param(
                1,
                "FAILED tests/python/test_a.py::test_b[f32] - E",
                "test_a.py::test_b[f32]",
                id="b",
            ),
            pytest.param(-11, "", "test_a.py: SIGSEGV", id="crashed"),
            pytest.param(None, "", "test_a.py: not done after 300 s", id="endless"),
        ],
    )
    def test_of_python(self, commands, status, output, noticed):
        assert workshop.run_python_tests(["test_a.py"], commands(status, output)) == noticed

    @pytest.mark.parametrize("status", [2, 3, 4, 5])
    def test_of_no_python_test(self, commands, status):
        with pytest.raises(TableError, match="pytest did not run its tests"):
            workshop.run_python_tests(["test_a.py"], commands(status))


@pytest.mark.parametrize(
    ("results", "status", "score"),
    [
        pytest.param([("A.B", None)], 0, "1 of 1 seeded faults noticed (100 %)", id="all"),
        pytest.param([("A.B", None), (None, None)], 1, "(50 %), 1 survived", id="survivor"),
        pytest.param([(None, "it does not")], 1, "0 survived, 1 errors", id="error"),
    ],
)
def test_status(monkeypatch, tmp_path, capsys, results, status, score):
    monkeypatch.setattr(tree, "FOLDER", tmp_path)
    monkeypatch.setattr(tree, "copy_checkout", lambda: None)
    monkeypatch.setattr(workshop, "configure", lambda: None)
    monkeypatch.setattr(workshop, "build_clean", lambda _: None)
    monkeypatch.setattr(workshop, "digest", lambda _: "clean")
    monkeypatch.setattr(run, "run_clean", lambda _: None)
    left = iter(results)
    monkeypatch.setattr(run, "examine", lambda fault, _: report.Result(fault, *next(left), 0.0))
    assert run.run([FAULT] * len(results)) == status
    assert score in capsys.readouterr().out


def test_tests_that_fail_without_a_fault(monkeypatch, commands):
    commands(8, ctest("cpp.some", "Failed"))
    with pytest.raises(Failure, match=r"^Without a fault: cpp\.some: failed "):
        run.run_clean([FAULT])


def test_the_copy_follows_the_checkout(monkeypatch, tmp_path):
    checkout, copy = tmp_path / "checkout", tmp_path / "copy"
    for name in ("same", "sub/changed"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("first")
    names = [Path("same"), Path("sub/changed")]
    monkeypatch.setattr(tree, "ROOT", checkout)
    monkeypatch.setattr(tree, "TREE", copy)
    monkeypatch.setattr(tree, "files", lambda: names)
    tree.copy_checkout()
    time = (copy / "same").stat().st_mtime_ns
    (checkout / "sub/changed").write_text("then")
    (copy / "left-behind").write_text("")
    tree.copy_checkout()
    assert {path.name: path.read_text() for path in copy.rglob("*") if path.is_file()} == {
        "same": "first",
        "changed": "then",
    }
    assert (copy / "same").stat().st_mtime_ns == time


HERE = [f"{loaded.PACKAGE}/{name}" for name in ("lib/librope_kernels.so", "lib/librope.so")]
EXTENSION = f"{loaded.PACKAGE}/_C.cpython-311-x86_64-linux-gnu.so"


@pytest.mark.parametrize(
    ("paths", "good"),
    [
        pytest.param([*HERE, EXTENSION, "/lib/libc.so.6"], True, id="here"),
        pytest.param([*HERE, "/elsewhere/torch_rope/_C.cpython-311.so"], False, id="elsewhere"),
        pytest.param([*HERE], False, id="not-loaded"),
    ],
)
def test_binaries_are_those_of_the_tree(paths, good):
    maps = [f"7f00-7f01 r-xp 00000000 fe:00 1234      {path}" for path in paths]
    assert loaded.is_of_this_tree("\n".join(["7f02-7f03 rw-p 00000000 00:00 0", *maps])) is good
