"""Gate: nothing in the tree names a place on somebody's machine."""

import re
import sys

from tree import ROOT, files, finish

PLACE = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt|media)/\w+|\b[A-Z]:\\\\?Users\b")


def complaints() -> list[str]:
    found = []
    for path in files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if PLACE.search(line):
                found.append(f"{path}:{number}: {line.strip()[:100]}")
    return found


if __name__ == "__main__":
    sys.exit(
        finish(complaints(), "Name a place relative to the checkout, or take it as an argument.")
    )
