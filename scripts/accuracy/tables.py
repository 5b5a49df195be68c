"""Results as Markdown tables, each under the id of its place in docs/numerics.md. For run.py and
its test.
"""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

import torch

import torch_rope
from accuracy.measure import Results
from accuracy.rotations import LENGTHS, Curve

COMMAND = "make accuracy"
POSITIONS = LENGTHS
SHIFTS = (1, 2**12, 2**15, 2**17, 2**20, 2**24)
STEPS = (1, 10, 100, 1000)
TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
OURS = "torch_rope"


def number(value: float) -> str:
    """Two digits: what is left when another processor's libm rounds otherwise."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return "0" if value == 0 else f"{mantissa}e{int(exponent)}"


def table(head: str, columns: Sequence[int], rows: Mapping[str, Curve]) -> str:
    """Columns that were not measured stay out."""
    shown = [column for column in columns if all(column in curve for curve in rows.values())]
    lines = [[head, *(f"{column:,}" for column in shown)], ["---"] * (len(shown) + 1)]
    lines += [[name, *(number(curve[column]) for column in shown)] for name, curve in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_type(measured: Mapping[torch.dtype, Mapping[str, Curve]]) -> dict[str, Curve]:
    return {
        f"{TYPES[dtype]}: {name}": curve
        for dtype, curves in measured.items()
        for name, curve in curves.items()
    }


def times_ours(curves: Mapping[str, Curve]) -> str:
    """The same errors as multiples of this library's."""
    lines = []
    for name, curve in curves.items():
        if name != OURS:
            ratios = (f"{curve[at] / curves[OURS][at]:.2f}×" for at in LENGTHS)
            lines.append(f"| {name}, of {OURS}'s | {' | '.join(ratios)} |")
    return "\n".join(lines)


def made() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers"))
    return (
        f"Measured by `{COMMAND}` with {versions} and torch_rope "
        f"{torch_rope.build_info()['version']}, on the CPU ({platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()})."
    )


def texts(results: Results) -> dict[str, str]:
    """Id → what stands at its place."""
    below, at = "all positions below", "positions just below"
    logits = table("a context of", LENGTHS, results.logits)
    return {
        "made": made(),
        "cos-sin": table(below, POSITIONS, results.tables),
        "cos-sin-powers": table(below, POSITIONS, results.powers),
        "rotated": table(at, POSITIONS, with_type(results.rotated)),
        "relative": table("shift", SHIFTS, with_type(results.relative)),
        "drift": table("moved by", STEPS, with_type(results.drift)),
        "logits": f"{logits}\n{times_ours(results.logits)}",
    }
