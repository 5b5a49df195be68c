"""Keeps a run's figures: python -m benchmarks.gpu.save OUT_DIR copies bench.json of `benchmarks/
gpu.sh OUT_DIR` to benchmarks/results/<device>/<date>-<commit>.json, to be committed. Figures keep
five digits, and texts lose the places of the machine that they name. Standard library only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PLACE = re.compile(r"(?<![\w.])/(?:\w[\w.+-]*/)+")


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: cleaned(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [cleaned(inner) for inner in value]
    if isinstance(value, str):
        return PLACE.sub("", value)
    return float(f"{value:.5g}") if isinstance(value, float) else value


def save(report: dict[str, Any], results: Path = RESULTS) -> Path:
    """Raises ValueError for a rehearsal, and for a run that nobody can tell the sources of."""
    facts = report["facts"]
    device, commit = facts["torch"].get("device"), facts["commit"]
    if device is None:
        raise ValueError("that was a rehearsal: it names no GPU")
    if not report["cases"]:
        raise ValueError("nothing was measured")
    name = f"{facts['time'][:10]}-{(commit or facts['source_hash'])[:10]}.json"
    path = results / slug(device) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cleaned(report), indent=1) + "\n", "utf-8")
    return path


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("Usage: python -m benchmarks.gpu.save OUT_DIR")
        return 2
    source = Path(arguments[0]) / "bench.json"
    try:
        path = save(json.loads(source.read_text("utf-8")))
    except (OSError, ValueError) as error:
        print(f"Not kept: {error}.")
        return 1
    print(f"Kept in {path.relative_to(ROOT)}: git add it.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
