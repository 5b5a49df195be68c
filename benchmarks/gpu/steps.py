"""Runs steps one after the other, each with a log and a time limit, all within one deadline, and
tells how they went. Knows nothing of what they do; for main.py. Standard library only.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
SHORTEST = 5.0  # seconds; with less left a step is not begun
GRACE = 5.0  # from the polite signal to the other one
LOOK_SECONDS = 0.5  # between two looks at the log of a running step


class Skip(Exception):
    """Why a step has nothing to do here."""


class Failed(Exception):
    """Why a step cannot be done, before any command of it runs."""


@dataclass(frozen=True)
class Command:
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """commands: makes what is run, until one fails; may raise Skip or Failed.

    limit: seconds it may take. reserve: seconds that earlier steps must leave it. Without time, an
    optional one is skipped and any other one fails. needs: steps that must have gone well.
    headline: a pattern; the last line of the log that has it is what the step came to. others: it
    runs what is not this project's, and its failure is told as skipped. shown: what lines start
    with that are shown while the step runs.
    """

    name: str
    log: str
    limit: float
    commands: Callable[[float], Sequence[Command]]
    reserve: float = 0.0
    optional: bool = False
    needs: tuple[str, ...] = ()
    headline: str = ""
    others: bool = False
    shown: str = ""


@dataclass
class Outcome:
    name: str
    status: str
    seconds: float
    note: str
    log: str


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all it started: it leads a group of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


class Follower:
    """Prints the lines of a growing log that start in some way. No prefix: none."""

    def __init__(self, log: Path, prefix: str) -> None:
        self.log, self.prefix = log, prefix
        self.read = log.stat().st_size if log.exists() else 0
        self.begun = False

    def look(self) -> None:
        if not self.prefix or not self.log.exists():
            return
        with self.log.open("rb") as file:
            file.seek(self.read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.read += len(whole + newline)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith(self.prefix):
                print(("" if self.begun else "\n") + line[len(self.prefix) :], flush=True)
                self.begun = True


def wait(process: subprocess.Popen[bytes], seconds: float, follower: Follower) -> int:
    """Its status. Raises TimeoutExpired."""
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        try:
            return process.wait(max(min(left, LOOK_SECONDS), 0))
        except subprocess.TimeoutExpired:
            if left <= LOOK_SECONDS:
                raise
        finally:
            follower.look()


def execute(
    command: Command, log: Path, folder: Path, seconds: float, shown: str = ""
) -> str | None:
    """None, or what went wrong."""
    follower = Follower(log, shown)
    with log.open("ab") as output:
        output.write(f"$ {' '.join(command.arguments)}\n".encode())
        output.flush()
        try:
            process = subprocess.Popen(
                command.arguments,
                cwd=folder,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            output.write(f"{error}\n".encode())
            return f"{command.arguments[0]}: {error.strerror}"
        try:
            status = wait(process, seconds, follower)
        except subprocess.TimeoutExpired:
            return f"stopped after {seconds:.0f} s"
        finally:
            stop(process)
    return None if status == 0 else f"status {status}"


def headline_of(log: Path, start: int, pattern: str) -> str:
    """The last line with the pattern, of what was written to the log from byte `start` on."""
    if not pattern or not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if re.search(pattern, line)), "")


class Run:
    """One run of all steps. on_outcome is called after each, so that what was found is on the disk
    even if somebody stops the run."""

    def __init__(self, folder: Path, logs: Path, seconds: float) -> None:
        self.folder, self.logs = folder, logs
        self.start = time.monotonic()
        self.deadline = self.start + seconds
        self.outcomes: list[Outcome] = []
        self.on_outcome: Callable[[], None] = lambda: None

    @property
    def failed(self) -> bool:
        return any(outcome.status == FAILED for outcome in self.outcomes)

    def status_of(self, name: str) -> str:
        return next((o.status for o in self.outcomes if o.name == name), SKIPPED)

    def all(self, steps: Sequence[Step]) -> None:
        for number, step in enumerate(steps):
            print(f"{step.name} … ", end="", flush=True)
            began = time.monotonic()
            later = sum(other.reserve for other in steps[number + 1 :])
            status, note = self._one(step, self.deadline - began - later)
            seconds = time.monotonic() - began
            print(f"{status}, {seconds:.1f} s", flush=True)
            self.outcomes.append(Outcome(step.name, status, round(seconds, 1), note, step.log))
            self.on_outcome()

    def _one(self, step: Step, left: float) -> tuple[str, str]:
        """(status, note)"""
        missing = [name for name in step.needs if self.status_of(name) != OK]
        if missing:
            return SKIPPED, f"without {', '.join(missing)}"
        limit = min(step.limit, left)
        if limit < SHORTEST:
            return SKIPPED if step.optional else FAILED, "no time left"
        log = self.logs / step.log
        start = log.stat().st_size if log.exists() else 0
        end = time.monotonic() + limit
        try:
            for command in step.commands(limit):
                left = end - time.monotonic()
                trouble = execute(command, log, self.folder, left, step.shown)
                if trouble is not None:
                    said = headline_of(log, start, step.headline)
                    status = SKIPPED if step.others else FAILED
                    return status, "; ".join(filter(None, (trouble, said)))
        except Skip as reason:
            return SKIPPED, str(reason)
        except Failed as reason:
            return FAILED, str(reason)
        return OK, headline_of(log, start, step.headline)

    def report(self) -> list[dict[str, Any]]:
        return [asdict(outcome) for outcome in self.outcomes]

    def print_table(self) -> None:
        width = max(len(outcome.name) for outcome in self.outcomes)
        for outcome in self.outcomes:
            columns = f"{outcome.name:<{width}}  {outcome.status:<7} {outcome.seconds:6.1f} s"
            print(f"{columns}  {outcome.note[:100]}".rstrip())
        seconds = time.monotonic() - self.start
        verdict = "some steps failed" if self.failed else "no step failed"
        print(f"{verdict}; {seconds:.0f} s; files in {self.logs}", flush=True)


def on_termination(signum: int, _frame: object) -> None:
    sys.exit(128 + signum)
