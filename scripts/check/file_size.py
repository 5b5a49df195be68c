"""Gate: a file that somebody reads stays under 300 lines."""

import sys

from tree import CPP, ROOT, files, finish

MOST_LINES = 299
READ = CPP | {".py", ".pyi", ".cmake", ".txt", ".in", ".toml", ".json", ".md", ".sh", ""}
# Text of others, and measurements.
EXEMPT = ("LICENSE", "benchmarks/results/", "study/text/")


def complaints() -> list[str]:
    found = []
    for path in files(READ):
        if str(path).startswith(EXEMPT):
            continue
        count = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        if count > MOST_LINES:
            found.append(f"{path}: {count} lines")
    return found


if __name__ == "__main__":
    sys.exit(finish(complaints(), f"Split what has more than {MOST_LINES} lines."))
