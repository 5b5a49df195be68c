"""Gate: ruff check, with the rules in pyproject.toml."""

import subprocess
import sys

from tree import ROOT, files

if __name__ == "__main__":
    paths = [str(path) for path in files({".py", ".pyi"})]
    command = [sys.executable, "-m", "ruff", "check", "-q", "--output-format=concise", *paths]
    sys.exit(subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode)
