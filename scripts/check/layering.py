"""Gate: python → csrc → kernels and never back; CUDA headers in their rooms; one phase.
Each rule is a pattern for what an #include may not name, and where.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tree import CPP, ROOT, files, finish

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/|^pybind11/|^Python\.h$")
CSRC = re.compile(r"(^|/)csrc/|^rope/(rope|options|torch_version|version)\.h$")
PYTHON = re.compile(
    r"^Python\.h$|^pybind11/|^torch/(extension|python)\.h$|^torch/csrc/(utils/py|Dtype)"
)
CUDA = re.compile(
    r"^(cuda|cublas|curand|nv|cooperative_groups|device_)[\w/]*(\.h|\.hpp)?$|^cub/|^cuda/"
)
TORCH_CUDA = re.compile(r"^(c10|ATen)/cuda/")
MATHEMATICS = re.compile(r"(^|/)(rotation|phase|angles|thread)\.h$")
# Sines and cosines by another way than phase.h's; schedules use neither.
OTHER_SINE = re.compile(r"\b(?:std::|__)?(?:sin|cos|sincos|sinpi|cospi|sincospi)f?\s*\(")
ONE_PHASE = ("kernels/", "csrc/")
# The oracle shares no code with what it judges.
ORACLE = "python/torch_rope/reference.py"
OURS = re.compile(r"^\s*(?:from|import)\s+(?:torch_rope|\.)|\btorch\.ops\b", re.MULTILINE)
COMMENT = re.compile(r'//.*$|"(?:\\.|[^"\\])*"')


@dataclass(frozen=True)
class Rule:
    forbidden: re.Pattern[str]
    where: tuple[str, ...]
    but_not_in: tuple[str, ...]
    reason: str
    guarded_is_fine: bool = False


RULES = (
    Rule(TORCH, ("kernels/",), (), "kernels know no tensors"),
    Rule(CSRC, ("kernels/",), (), "kernels know nothing of csrc"),
    Rule(PYTHON, ("csrc/",), ("csrc/module.cpp",), "only module.cpp knows Python"),
    Rule(MATHEMATICS, ("csrc/",), (), "csrc knows no mathematics"),
    Rule(TORCH_CUDA, ("csrc/",), (), "one csrc serves CPU and CUDA builds of torch"),
    Rule(
        CUDA,
        ("kernels/", "csrc/", "tests/", "examples/"),
        ("kernels/cuda/", "tests/cuda/", "examples/kernels/rotate_cuda.cpp"),
        "CUDA headers only in kernels/cuda, tests/cuda, rotate_cuda.cpp and behind __CUDACC__",
        guarded_is_fine=True,
    ),
)


def includes(text: str) -> Iterator[tuple[int, str, bool]]:
    """(line, header, whether only nvcc sees it) for every #include."""
    guards: list[bool] = []
    for number, line in enumerate(text.splitlines(), start=1):
        directive = re.match(r"^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line)
        if directive:
            word, condition = directive.groups()
            asks = word != "ifndef" and "__CUDACC__" in condition and "!" not in condition
            if word.startswith("if"):
                guards.append(asks)
            elif word == "endif" and guards:
                guards.pop()
            elif guards:
                guards[-1] = asks
        found = INCLUDE.match(line)
        if found:
            yield number, found[1], any(guards)


def complaints_about_oracle(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [
        f"{ORACLE}: {found[0].strip()}: the oracle stands alone" for found in OURS.finditer(text)
    ]


def complaints_in(path: Path, text: str) -> list[str]:
    name = path.as_posix()
    found = []
    for number, header, guarded in includes(text):
        for rule in RULES:
            applies = name.startswith(rule.where) and not name.startswith(rule.but_not_in)
            excused = guarded and rule.guarded_is_fine
            if applies and not excused and rule.forbidden.search(header):
                found.append(f"{name}:{number}: {header}: {rule.reason}")
    if name.startswith(ONE_PHASE) and name != "kernels/phase.h":
        for number, line in enumerate(text.splitlines(), start=1):
            if OTHER_SINE.search(COMMENT.sub("", line)):
                found.append(f"{name}:{number}: only phase.h makes sines and cosines")
    return found


if __name__ == "__main__":
    found = [
        complaint
        for path in files(CPP)
        for complaint in complaints_in(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    found += complaints_about_oracle(ROOT / ORACLE)
    sys.exit(finish(found, "Move the line to the layer that it belongs to (CONTRIBUTING.md)."))
