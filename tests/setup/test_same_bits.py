"""The compiler matrix tells right hashes from wrong ones, and nothing that it could not do counts
as done. With a real compiler here: one build, clean and with faults. All of them: make same-bits.
"""

import re
import shutil
from pathlib import Path

import pytest

from environment.report import Failure
from same_bits import builds, run
from same_bits.builds import BUILDS, Build, Program

ROOT = Path(__file__).resolve().parents[2]
NAMED = {build.name: build for build in BUILDS}
RIGHT = "baseline: 719 of 719 hashes\nx86-64-v3: 719 of 719 hashes\n"
WRONG = "baseline: a is 1 instead of 2\nbaseline: 718 of 719 hashes\n"
NOBODY = Program(("no-such-compiler",), "no-such-package")


class TestHashes:
    LINES = (ROOT / "tests" / "golden" / "hashes.inc").read_text(encoding="utf-8").splitlines()

    def test_are_written_by_the_command_they_name(self):
        assert "make same-bits ARGS=--write" in self.LINES[0]
        pattern = re.compile(r'\{"\w+", 0x[0-9a-f]{16}\},')
        assert [line for line in self.LINES[1:] if not pattern.fullmatch(line)] == []

    def test_are_named_once(self):
        names = [line.split('"')[1] for line in self.LINES[1:]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("status", "output", "good"),
    [
        pytest.param(0, RIGHT, True, id="right"),
        pytest.param(1, WRONG, False, id="wrong"),
        pytest.param(0, WRONG, False, id="wrong-but-quiet"),
        pytest.param(1, RIGHT + WRONG, False, id="one-instruction-set-wrong"),
        pytest.param(0, "baseline: 0 of 0 hashes\n", False, id="no-hashes"),
        pytest.param(0, "", False, id="nothing-said"),
        pytest.param(-11, RIGHT, False, id="crashed"),
    ],
)
def test_judging(status, output, good):
    checked, complaint = run.judged(status, output)
    assert (complaint is None) is good
    assert checked == ("719 hashes on baseline, x86-64-v3" if good else "")


def test_complaint_names_the_case():
    assert "a is 1 instead of 2\nbaseline: 718 of 719" in run.judged(1, WRONG)[1]


class TestLeavingOut:
    @pytest.fixture(autouse=True)
    def _quiet(self, monkeypatch):
        monkeypatch.setattr(run.system, "apt_install", lambda package: False)
        monkeypatch.setattr(
            run, "examine", lambda build: run.Result(build, "719 hashes", None, 1.0)
        )

    @pytest.mark.parametrize(
        ("build", "reason"),
        [
            (Build("a", NOBODY, "-O2"), "no no-such-compiler; install it (apt-get install"),
            (Build("a", builds.GCC, "-O2", emulator=NOBODY), "no no-such-compiler; install it"),
            (Build("a", builds.GCC, "-O2", needs="avx9"), "this processor has no avx9"),
        ],
        ids=["compiler", "emulator", "processor"],
    )
    @pytest.mark.parametrize("required", [False, True], ids=["allowed", "required"])
    def test_is_seen(self, monkeypatch, capsys, build, reason, required):
        monkeypatch.setenv("ROPE_REQUIRE_ALL", str(int(required)))
        assert run.check([build, Build("b", builds.GCC, "-O2")]) == int(required)
        shown = capsys.readouterr().out
        assert f"NOT CHECKED: {reason}" in shown
        assert "1 of 2 builds have the committed hashes" in shown
        assert ("left out: a" in shown) is not required

    def test_does_not_hide_a_failure(self, monkeypatch):
        monkeypatch.setenv("ROPE_REQUIRE_ALL", "0")
        monkeypatch.setattr(run, "examine", lambda build: run.Result(build, "", "wrong", 1.0))
        assert run.check([Build("a", NOBODY, "-O2"), Build("b", builds.GCC, "-O2")]) == 1

    def test_is_tried_to_be_mended(self, monkeypatch):
        asked = []
        monkeypatch.setattr(run.system, "apt_install", asked.append)
        run.provide(Build("a", NOBODY, "-O2"))
        assert asked == ["no-such-package"]


def test_nothing_is_written_that_was_not_built(monkeypatch):
    before = run.HASHES.read_text(encoding="utf-8")
    monkeypatch.setattr(run, "compiled", lambda build: "error: no")
    with pytest.raises(Failure, match="does not build"):
        run.write(NAMED[run.WRITER])
    assert run.HASHES.read_text(encoding="utf-8") == before


def test_matrix_is_what_the_contract_promises():
    """Debian's clang, every level of g++, NEON; all architectures' flags are CMakeLists.txt's."""
    assert {f"g++-O{level}" for level in range(4)} <= set(NAMED)
    assert {"clang-O2", "neon"} <= set(NAMED)
    assert not [build for build in BUILDS if "native" in build.flags]


# One fused step of the sine in two roundings. With contraction left to the compiler g++ fuses it
# again where it has the instruction, and nowhere else.
FUSED = "const float sine = fma(head, kTwoPiHigh, low);"
APART = "const float sine = add(multiply(head, kTwoPiHigh), low);"
NO_CONTRACTION = " $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>"
SEEDS = {
    "clean": {},
    "contraction": {"kernels/phase.h": (FUSED, APART), "CMakeLists.txt": (NO_CONTRACTION, "")},
    "last-digit": {"kernels/phase.h": ("kSin1 = 0x1.466bbcp+6f", "kSin1 = 0x1.466bbep+6f")},
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """checkout(edits) is a copy of what the matrix builds, with edits."""

    def make(edits):
        skip = shutil.ignore_patterns("__pycache__")
        for name in ("kernels", "cmake", "csrc", "tests/cpp", "tests/golden"):
            shutil.copytree(ROOT / name, tmp_path / name, ignore=skip)
        shutil.copy(ROOT / "CMakeLists.txt", tmp_path)
        for name, (old, new) in edits.items():
            text = (tmp_path / name).read_text(encoding="utf-8")
            assert text.count(old) == 1
            (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")
        monkeypatch.setattr(run, "SOURCE", tmp_path / "tests" / "golden")
        monkeypatch.setattr(run, "FOLDER", tmp_path / "build")

    return make


@pytest.mark.parametrize("seed", SEEDS)
def test_seeded(checkout, seed):
    checkout(SEEDS[seed])
    result = run.examine(NAMED["g++-O1"])
    if seed == "clean":
        assert result.complaint is None
        assert re.match(r"\d{3,} hashes on \w", result.checked)
    else:
        assert re.search(r"^\w+: f32_split_r32_\w+ is \w{16} instead of", result.complaint, re.M)
