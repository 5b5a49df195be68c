"""What benchmarks/gpu.sh promises of its steps, with steps that need no GPU: every one is reached,
a failure is told and stops nothing, time is kept.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.gpu import facts, main, steps
from benchmarks.gpu.steps import Command, Failed, Run, Skip, Step

ROOT = Path(__file__).resolve().parents[2]


def python(code):
    return Command([sys.executable, "-c", code])


def step(name, code="", **others):
    """A step that runs this Python; its log is <name>.log."""
    return Step(name, f"{name}.log", others.pop("limit", 60), lambda _: [python(code)], **others)


def raising(name, error, **others):
    def commands(_limit):
        raise error

    return Step(name, f"{name}.log", 60, commands, **others)


@pytest.fixture
def run(tmp_path):
    """run(step, …) → {name: outcome}"""

    def run_all(*some, seconds=60):
        run = Run(ROOT, tmp_path, seconds)
        run.all(some)
        return {outcome.name: outcome for outcome in run.outcomes}

    return run_all


def test_a_failure_stops_nothing(run, tmp_path):
    outcomes = run(step("one", "print(1); exit(3)"), step("two", "print('two')"))
    assert (outcomes["one"].status, outcomes["one"].note) == ("failed", "status 3")
    assert outcomes["two"].status == "ok"
    assert (tmp_path / "one.log").read_text().splitlines()[-1] == "1"
    assert (tmp_path / "two.log").read_text().splitlines()[-1] == "two"


def test_the_first_command_that_fails_ends_its_step(run, tmp_path):
    three = [python("print(1)"), python("exit(1)"), python("print(3)")]
    assert run(Step("a", "a.log", 60, lambda _: three))["a"].status == "failed"
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert "1" in lines
    assert "3" not in lines


def test_program_that_is_not_there(run):
    outcome = run(Step("a", "a.log", 60, lambda _: [Command(["no-such-program"])]))["a"]
    assert (outcome.status, outcome.note) == (
        "failed",
        "no-such-program: No such file or directory",
    )


@pytest.mark.parametrize(
    ("error", "status"), [(Skip("no tool"), "skipped"), (Failed("no tool"), "failed")]
)
def test_nothing_to_run(run, error, status):
    outcome = run(raising("a", error))["a"]
    assert (outcome.status, outcome.note) == (status, "no tool")


def test_what_others_cannot_do_fails_nothing(tmp_path):
    run = Run(ROOT, tmp_path, 60)
    run.all([step("a", "print('error: no'); exit(2)", others=True, headline="error"), step("b")])
    assert [(o.status, o.note) for o in run.outcomes] == [
        ("skipped", "status 2; error: no"),
        ("ok", ""),
    ]
    assert not run.failed


def test_lines_are_shown_while_they_come(run, capsys, monkeypatch):
    """Those with the prefix, whole ones only, of this step alone, once each."""
    monkeypatch.setattr(steps, "LOOK_SECONDS", 0.05)
    code = (
        "import time\n"
        "for i in range(3): print(f'| {i}'); print('other'); time.sleep(0.2)\n"
        "print('| end', end='', flush=True); time.sleep(0.3); print(' of it')"
    )
    quiet = Step("a", "log", 60, lambda _: [python("print('| before')")])
    unbuffered = Command([sys.executable, "-u", "-c", code])
    run(quiet, Step("b", "log", 60, lambda _: [unbuffered], shown="| "))
    assert capsys.readouterr().out.splitlines()[1:5] == ["b … ", "0", "1", "2"]


@pytest.mark.parametrize("code", ["exit(1)", "import time; time.sleep(60)"], ids=["failed", "slow"])
def test_needs(run, monkeypatch, code):
    monkeypatch.setattr(steps, "SHORTEST", 0)
    outcomes = run(
        step("a", code, limit=1), step("b", needs=("a",)), step("c", needs=("b",)), step("d")
    )
    assert [(o.status, o.note) for o in outcomes.values()][1:] == [
        ("skipped", "without a"),
        ("skipped", "without b"),
        ("ok", ""),
    ]


def test_headline_is_of_this_step(run):
    """Two steps may share a log."""
    first = Step("a", "log", 60, lambda _: [python("print('7 passed'); print('bye')")])
    second = Step("b", "log", 60, lambda _: [python("exit(1)")], headline="passed")
    outcomes = run(Step(**{**vars(first), "headline": "passed"}), second)
    assert outcomes["a"].note == "7 passed"
    assert outcomes["b"].note == "status 1"


def ends(pid):
    """Whether it is gone, or a zombie that only waits for its parent, within some seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


SPAWN = """
import subprocess, sys, time, signal
if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep({seconds})
"""


@pytest.mark.parametrize("stubborn", [False, True])
def test_what_is_too_slow_ends_with_all_it_started(run, tmp_path, monkeypatch, stubborn):
    monkeypatch.setattr(steps, "SHORTEST", 0)
    monkeypatch.setattr(steps, "GRACE", 0.5)
    start = time.monotonic()
    outcome = run(step("a", SPAWN.format(stubborn=stubborn, seconds=600), limit=2))["a"]
    assert time.monotonic() - start < 30
    assert (outcome.status, outcome.note) == ("failed", "stopped after 2 s")
    assert ends(int((tmp_path / "a.log").read_text().split()[-1]))


def test_nothing_is_left_running(run, tmp_path):
    assert run(step("a", SPAWN.format(stubborn=False, seconds=0)))["a"].status == "ok"
    assert ends(int((tmp_path / "a.log").read_text().split()[-1]))


def test_time_for_all(run):
    """A step gets what later ones do not need; without time, the optional ones are let off."""
    limits = {}

    def noting(name, **others):
        def commands(limit):
            limits[name] = limit
            return []

        return Step(name, f"{name}.log", 100, commands, **others)

    run(noting("a"), noting("b", reserve=30), noting("c", reserve=20), seconds=60)
    assert 8 < limits["a"] <= 10
    assert 38 < limits["b"] <= 40
    assert 58 < limits["c"] <= 60
    outcomes = run(noting("d"), noting("e", optional=True), seconds=1)
    assert [outcomes[name].status for name in "de"] == ["failed", "skipped"]


def test_report_is_written_after_every_step(tmp_path):
    context = main.Context(tmp_path)
    run = Run(ROOT, tmp_path, 60)
    run.on_outcome = lambda: context.write_report(run)
    run.all([step("a"), step("b", "exit(1)")])
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["failed"] is True
    assert [(s["name"], s["status"]) for s in report["steps"]] == [("a", "ok"), ("b", "failed")]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b"]], ids=str)
def test_usage(arguments):
    result = subprocess.run(
        ["bash", str(ROOT / "benchmarks" / "gpu.sh"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "benchmarks/gpu.sh OUT_DIR" in result.stdout
    assert "third_party/googletest" in result.stdout
    assert "benchmarks.gpu.bring" in result.stdout
    assert "set -euo" not in result.stdout


def test_no_python(tmp_path):
    result = subprocess.run(
        ["bash", str(ROOT / "benchmarks" / "gpu.sh"), str(tmp_path)],
        env={**os.environ, "PYTHON": "python9.9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("No python9.9 on the PATH")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("NVIDIA H100 80GB HBM3, 580.1, 9.0, 81559 MiB, 1980 MHz", "90-real"),
        (
            "NVIDIA RTX, 580.1, 12.0, 1 MiB, 1 MHz\nNVIDIA H100, 580.1, 9.0, 1 MiB, 1 MHz",
            "120-real",
        ),
        ("NVIDIA RTX, 580.1, [N/A], 1 MiB, 1 MHz", None),
        ("NVIDIA-SMI has failed", None),
        (None, None),
    ],
)
def test_architecture(monkeypatch, said, expected):
    monkeypatch.setattr(facts, "output_of", lambda *_: said)
    assert facts.architecture() == expected
