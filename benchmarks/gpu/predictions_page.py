"""benchmarks/PREDICTIONS.md, made of predictions.py: python -m benchmarks.gpu.predictions_page
--write. Nobody edits the page by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu import predictions
from benchmarks.gpu.cases import Case, all_cases
from benchmarks.gpu.predictions import DEVICES, GOALS, PUBLISHED
from benchmarks.gpu.provider import CEILING, FLOOR, OURS

PAGE = Path(__file__).resolve().parents[1] / "PREDICTIONS.md"

OPENING = """# Predictions for the GPU

Written before the first run on a GPU, by `python -m benchmarks.gpu.predictions_page --write` from
[gpu/predictions.py](gpu/predictions.py), where each constant has its origin. `benchmarks/gpu.sh`
prints them beside what it measures. All figures are microseconds of one call in a CUDA graph; no
figure on this page was measured by this project.

A call takes a launch, a first wave of blocks where there are 128 tokens or more, the latency of
memory where data is cold, and then the longest of three: the bytes of q and k, the table's rows out
of L2, the computation of angles.
"""
MODES = """
*cold*: sets of q and k past twice the L2 cache, in turn. *hot*: one set, which L2 holds. *repeat*:
one set, which it does not. The ceiling scales as many bytes in place, in one launch.
"""


def constants() -> list[str]:
    rows = ["| constant | H100 | H200 |", "|---|---|---|"]
    h100, h200 = DEVICES["H100"], DEVICES["H200"]
    for told, get in (
        ("in place, memory, TB/s", lambda d: f"{d.dram / 1e12:.1f}"),
        ("in place, L2, TB/s", lambda d: f"{d.l2 / 1e12:.1f}"),
        ("L2, MB", lambda d: f"{d.l2_bytes / 1e6:.0f}"),
        ("instructions of a lane, 10^12 a second", lambda d: f"{d.lanes / 1e12:.1f}"),
    ):
        rows.append(f"| {told} | {get(h100)} | {get(h200)} |")
    for told, value in (
        ("launch, with programmatic dependent launch, µs", predictions.LAUNCH_DEPENDENT),
        ("launch, without, µs", predictions.LAUNCH),
        ("first wave, µs", predictions.FIRST_WAVE),
        ("latency of memory, µs", predictions.MEMORY_LATENCY),
        ("instructions an angle", predictions.ANGLE_INSTRUCTIONS),
    ):
        rows.append(f"| {told} | {value} | {value} |")
    return rows


def cell(case: Case, mode: str, provider: str, kind: str, device: str) -> str:
    us = predictions.predicted_us(case, mode, provider, kind, DEVICES[device])
    return "—" if us is None else f"{us:.2f}"


def goals() -> list[str]:
    names = list(PUBLISHED)
    rows = [f"| tokens | {' | '.join(names)} | goal | predicted, H200 | H100 |"]
    rows.append("|" + "---|" * (len(names) + 4))
    for tokens, goal in GOALS.items():
        case = predictions.goal_case(tokens)
        mode = predictions.mode_of_goal(case, DEVICES["H200"].l2_bytes)
        theirs = [str(PUBLISHED[name].get(tokens, "—")) for name in names]
        ours = [cell(case, mode, "table", OURS, device) for device in ("H200", "H100")]
        heads = f"{tokens:,} ({case.heads_q} + {case.heads_k} heads, {mode})"
        rows.append(f"| {heads} | {' | '.join(theirs)} | ≤ {goal} | {' | '.join(ours)} |")
    return rows


def modes_of(case: Case, cache_bytes: int) -> list[str]:
    if case.chain:
        return ["chain"]
    return ["cold", "hot"] if 2 * case.rotated_bytes <= cache_bytes else ["cold"]


def cases() -> list[str]:
    columns = ("ceiling", "table", "computed")
    titles = [f"{device} {column}" for device in DEVICES for column in columns]
    rows = [f"| case | mode | {' | '.join(titles)} |", "|---|---|" + "---|" * len(titles)]
    for case in all_cases():
        for mode in modes_of(case, DEVICES["H200"].l2_bytes):
            kinds = {"ceiling": CEILING, "table": OURS, "computed": OURS}
            cells = [cell(case, mode, c, kinds[c], d) for d in DEVICES for c in columns]
            rows.append(f"| {case.id} | {mode} | {' | '.join(cells)} |")
    return rows


def floors() -> str:
    (chain,) = (case for case in all_cases() if case.chain)
    dependent, plain = (cell(chain, "chain", n, FLOOR, "H200") for n in ("floor-pdl", "floor"))
    return (
        f"An empty kernel in a chain takes {dependent} µs with programmatic dependent launch and\n"
        f"{plain} without, on both devices.\n"
    )


def page() -> str:
    sections = [
        OPENING,
        "\n".join(constants()) + "\n",
        "## Goals, and what others published",
        "Theirs are from SGLang's pull request 18844: bfloat16, heads of 128, graph replay on one"
        " set;\nit names no device, and the figures fit an H200.\n",
        "\n".join(goals()) + "\n",
        "## Each case" + "\n" + MODES,
        "\n".join(cases()) + "\n",
        floors(),
        "Others, new tensors and the wall clock have no prediction.",
    ]
    return "\n".join(sections) + "\n"


def main(arguments: Sequence[str]) -> int:
    if arguments == ["--write"]:
        PAGE.write_text(page(), "utf-8")
        return 0
    print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
