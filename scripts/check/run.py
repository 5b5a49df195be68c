"""All gates, one line each; every gate runs even if one before it failed. Behind make check.
Usage: .venv/bin/python scripts/check/run.py [gate …]. A gate is a program of its own: status 0 is
ok, 77 means that it could not be done here, all else that it failed.
"""

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from environment import packages  # noqa: E402
from environment.report import ROOT, required  # noqa: E402

NOT_HERE = 77
MOST_LINES = 50
# The quick ones first.
GATES = {
    "formatting": "C++, CUDA and Python are formatted",
    "lint": "ruff finds nothing",
    "file_size": "files stay under 300 lines",
    "places": "no machine's own paths",
    "layering": "python → csrc → kernels, CUDA in its rooms",
    "typing_strict": "mypy --strict on the package",
    "api_docs": "the C++ reference is complete",
    "headers": "every header compiles alone",
    "oldest_torch": "csrc compiles against torch 2.11",
    "sass": "kernels: widths, registers, instructions",
    "rounding": "nothing fused, flushed or approximate",
}


def run_gate(name: str, promise: str) -> bool:
    print(f"{name:<13} {promise:<45} ", end="", flush=True)
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py")],
        cwd=ROOT,
        env=packages.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    left_out = result.returncode == NOT_HERE and not required()
    verdict = {0: "ok"}.get(result.returncode, "left out" if left_out else "FAILED")
    print(f"{verdict:<8} {time.monotonic() - start:6.1f} s", flush=True)
    if result.returncode != 0:
        lines = result.stdout.splitlines()
        shown = lines if len(lines) <= MOST_LINES else ["…", *lines[-MOST_LINES:]]
        print("".join(f"    {line}\n" for line in shown), end="", flush=True)
    return result.returncode == 0 or left_out


def main(names: list[str]) -> int:
    unknown = set(names) - set(GATES)
    if unknown:
        print(f"No gate {', '.join(sorted(unknown))}: there are {', '.join(GATES)}.")
        return 1
    passed = [
        run_gate(name, promise) for name, promise in GATES.items() if name in names or not names
    ]
    print(f"{sum(passed)} of {len(passed)} gates passed", flush=True)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
