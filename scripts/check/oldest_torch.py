"""Gate: csrc compiles (syntax only) against the oldest torch that is supported, whose headers are
fetched once into build/torch-2.11. Status 77 where they cannot be fetched.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from headers import BRIEF
from tree import ROOT, compile_all, finish

# isort: split
from environment.requirements import OLDEST_TORCH  # tree says where that is

FOLDER = ROOT / "build" / "torch-2.11"
NOT_HERE = 77
# Torch's headers among the include folders of a compile command.
TORCH_HEADERS = re.compile(r"^(-I|-isystem)?/.+/torch/include(?=$|/torch/csrc/api/include$)")


def fetch() -> str | None:
    """Unpacks torch/include of the wheel for this Python; what went wrong, or None."""
    download = FOLDER / "download"
    shutil.rmtree(FOLDER, ignore_errors=True)
    download.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    result = subprocess.run(
        [*pip, "--no-cache-dir", "--dest", str(download), f"torch=={OLDEST_TORCH}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    wheels = list(download.glob("torch-*.whl"))
    if result.returncode or len(wheels) != 1:
        return result.stdout.strip()[-1000:]
    with zipfile.ZipFile(wheels[0]) as wheel:
        members = [name for name in wheel.namelist() if name.startswith("torch/include/")]
        wheel.extractall(FOLDER, members)
    shutil.rmtree(download)
    (FOLDER / "stamp").write_text(OLDEST_TORCH, encoding="utf-8")
    return None


def is_fetched() -> bool:
    stamp = FOLDER / "stamp"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == OLDEST_TORCH


def against_oldest(command: list[str]) -> list[str]:
    """A compile command with the other torch's headers and without output."""
    headers = FOLDER / "torch" / "include"
    swapped = [TORCH_HEADERS.sub(rf"\g<1>{headers}", word) for word in command]
    if swapped == command:
        raise ValueError("no torch headers in " + shlex.join(command))
    output = swapped.index("-o")
    return [*swapped[:output], *swapped[output + 2 :], "-DROPE_ANY_TORCH", "-fsyntax-only", *BRIEF]


def commands() -> dict[str, list[str]]:
    """For each file of csrc, as build/dev compiles it: CMake alone knows sources and flags. A test
    may compile one a second time, without torch; that entry is not meant."""
    entries = json.loads((ROOT / "build" / "dev" / "compile_commands.json").read_text("utf-8"))
    found = {}
    for entry in entries:
        path = Path(entry["file"])
        if path.is_relative_to(ROOT / "csrc") and "tests/CMakeFiles/" not in entry["command"]:
            name = path.relative_to(ROOT).as_posix()
            found[name] = against_oldest(shlex.split(entry["command"]))
    return found


def main() -> int:
    trouble = None if is_fetched() else fetch()
    if trouble is not None:
        print(f"torch {OLDEST_TORCH} could not be fetched: connect and run again.\n{trouble}")
        return NOT_HERE
    complaints = compile_all(commands())
    return finish(complaints, f"Write it so that torch {OLDEST_TORCH} takes it as well.")


if __name__ == "__main__":
    sys.exit(main())
