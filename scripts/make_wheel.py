"""A wheel and a source distribution in dist/, with their sizes. Behind make wheel."""

import sys
import zipfile
from pathlib import Path

from environment import wheel
from environment.report import ROOT, guarded

DIST = ROOT / "dist"


def size(number: int) -> str:
    return f"{number / 1e6:.2f} MB"


def report(file: Path) -> None:
    print(f"    {file.relative_to(ROOT)}  {size(file.stat().st_size)}")
    if file.suffix != ".whl":
        return
    with zipfile.ZipFile(file) as members:
        entries = members.infolist()
    print(f"    unpacked {size(sum(entry.file_size for entry in entries))}, of which")
    for entry in sorted(entries, key=lambda entry: -entry.file_size)[:3]:
        print(f"    {size(entry.file_size):>10}  {entry.filename}")


def main() -> int:
    DIST.mkdir(exist_ok=True)
    for file in (wheel.build(DIST), wheel.build_sdist(DIST)):
        report(file)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
