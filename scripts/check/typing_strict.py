"""Gate: mypy --strict on python/torch_rope, as set in pyproject.toml."""

import subprocess
import sys

from tree import ROOT

if __name__ == "__main__":
    command = [sys.executable, "-m", "mypy", "--no-error-summary"]
    sys.exit(subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode)
