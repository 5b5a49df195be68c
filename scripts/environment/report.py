"""How the scripts speak: a line for each step, its log in build/log, a sentence for a failure.
For everything under scripts/.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHOWN_LINES = 25


class Failure(Exception):
    """One sentence: what is wrong and what to do about it."""


class StepFailure(Failure):
    """A command that failed; its log says why."""

    def __init__(self, advice: str, log: Path) -> None:
        super().__init__(advice)
        self.log = log

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def show_end(text: str) -> None:
    for line in text.splitlines()[-SHOWN_LINES:]:
        print(f"    {line}", file=sys.stderr)


def required() -> bool:
    """Whether something missing is a failure instead of a line (CI)."""
    return os.environ.get("ROPE_REQUIRE_ALL", "0") not in ("", "0")


def leave_out(sentence: str) -> None:
    """Names what is missing; the rest goes on, unless everything is required."""
    if required():
        raise Failure(sentence)
    print(f"left out: {sentence}", flush=True)


def step(
    title: str,
    command: Sequence[str],
    *,
    log: str,
    advice: str,
    env: Mapping[str, str] | None = None,
) -> str:
    """Runs command in the checkout's root and returns what it printed; StepFailure if it fails."""
    path = ROOT / "build" / "log" / f"{log}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"{title} … ", end="", flush=True)
    start = time.monotonic()
    with path.open("w", encoding="utf-8") as output:
        status = subprocess.run(
            command,
            cwd=ROOT,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    seconds = time.monotonic() - start
    print(f"{'failed after ' if status else ''}{seconds:.1f} s", flush=True)
    if status:
        raise StepFailure(f"{advice} (log: {path.relative_to(ROOT)}).", path)
    return path.read_text(encoding="utf-8", errors="replace")


def guarded(work: Callable[[], int]) -> int:
    """Runs work; any failure becomes one sentence and exit status 1, never a traceback."""
    try:
        return work()
    except StepFailure as failure:
        show_end(failure.text)
        print(failure, file=sys.stderr)
    except Failure as failure:
        print(failure, file=sys.stderr)
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or ROOT}"
        print(f"{what}: put that right and run the same command again.", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted: run the same command again to go on.", file=sys.stderr)
        return 130
    return 1
