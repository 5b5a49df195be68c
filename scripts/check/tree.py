"""Which files the gates look at: those that git tracks or would track, never build output.
For the gates in this folder.
"""

import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment import cmake
from environment.report import ROOT

CPP = {".h", ".cpp", ".cu", ".cuh"}
HEADERS = {".h", ".cuh"}


def files(suffixes: Iterable[str] | None = None, under: str = "") -> list[Path]:
    """Relative to the root, sorted; those with one of suffixes, or all."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", "."]
    output = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout
    paths = sorted({Path(name) for name in output.split("\0") if name})
    return [
        path
        for path in paths
        if (suffixes is None or path.suffix in suffixes)
        and str(path).startswith(under)
        and (ROOT / path).is_file()
    ]


def finish(complaints: list[str], advice: str) -> int:
    """Prints them and returns the gate's status."""
    for complaint in complaints:
        print(complaint)
    if complaints:
        print(advice)
    return 1 if complaints else 0


def compile_all(commands: dict[str, list[str]]) -> list[str]:
    """Runs name → command, as many at a time as there are cores; the complaints."""

    def complaint(name: str) -> str | None:
        result = subprocess.run(
            commands[name],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode == 0:
            return None
        return "\n".join([f"{name}:", *result.stdout.splitlines()[:12]])

    with ThreadPoolExecutor(cmake.jobs()) as pool:
        return [found for found in pool.map(complaint, commands) if found is not None]
