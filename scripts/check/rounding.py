"""Gate: kernels/ rounds where ieee.h says so and nowhere else. Flags of build/dev that would let a
compiler fuse, flush or approximate; PTX with floating-point arithmetic that is not ieee.h's; and
machine code that has other numbers of fused operations, products and sums than the PTX. Status 77
without CUDA. Usage: rounding.py [--commands FILE] [--ptx FILE …] [--dump FILE]: these and not
build/dev, where FILE is a compile_commands.json, nvcc -ptx's, and what sass.py --dump takes.
"""

import argparse
import json
import re
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import sass_code
from sass_rules import can_run
from tree import ROOT, compile_all, finish

NOT_HERE = 77
COMMANDS = ROOT / "build" / "dev" / "compile_commands.json"
FOLDER = ROOT / "build" / "ptx"

NEEDED = {".cpp": "-ffp-contract=off", ".cu": "-fmad=false"}
# Each lets a compiler give other bits, or ties the library to one machine.
FORBIDDEN = re.compile(
    r"^-(Ofast|ffast-math|funsafe-math-optimizations|fassociative-math|freciprocal-math"
    r"|ffinite-math-only|fno-signed-zeros|frounding-math|mfpmath=387|march=native"
    r"|ffp-contract=(?!off$).*|-?use_fast_math|-?fmad=(?!false$).*|-?ftz=(?!false$).*)$"
)

ENTRY = re.compile(r"\.entry\s+(\w+)")
INSTRUCTION = re.compile(r"^\s*(?:@!?%p\d+\s+)?([a-z][a-z0-9]*(?:\.[a-z0-9_:]+)+)")
ARITHMETIC = re.compile(
    r"^(add|sub|mul|mad|fma|div|rcp|sqrt|rsqrt|ex2|lg2|sin|cos|tanh|mma|wmma)\b"
    r".*\.(f16|f16x2|bf16|bf16x2|f32|f32x2|f64|tf32)\b"
)
# ieee.h's, each with its opcode in machine code. ptxas fuses nothing that says how it rounds.
WRITTEN = {"fma.rn.f32": "FFMA", "mul.rn.f32": "FMUL", "add.rn.f32": "FADD"}


class Kernel:
    """The instructions of one entry of PTX, inside and outside inline assembly."""

    def __init__(self) -> None:
        self.inline: Counter[str] = Counter()
        self.generated: Counter[str] = Counter()


Kernels = dict[sass_code.Name, Kernel]


def complaints_about_flags(commands: Path) -> list[str]:
    """Of the files of kernels/; the last of two flags that contradict each other counts."""
    found, files = [], 0
    for entry in json.loads(commands.read_text(encoding="utf-8")):
        path = Path(entry["file"])
        if not path.is_relative_to(ROOT / "kernels"):
            continue
        files += 1
        name, words = path.relative_to(ROOT).as_posix(), shlex.split(entry["command"])
        if NEEDED[path.suffix] not in words:
            found.append(f"{name}: compiled without {NEEDED[path.suffix]}")
        found += [f"{name}: compiled with {word}" for word in words if FORBIDDEN.match(word)]
    return found or ([] if files else [f"{commands}: no file of kernels/"])


def instructions(line: str) -> Iterator[str]:
    for statement in re.split(r"[;{}]", line.partition("//")[0]):
        if match := INSTRUCTION.match(statement):
            yield match[1]


def parse(text: str) -> Kernels:
    kernels: Kernels = defaultdict(Kernel)
    current, inline = Kernel(), False
    for line in text.splitlines():
        if "// begin inline asm" in line:
            inline = True
        elif "// end inline asm" in line:
            inline = False
        elif match := ENTRY.search(line):
            current = kernels[sass_code.name_of(match[1])]
        else:
            (current.inline if inline else current.generated).update(instructions(line))
    return dict(kernels)


def complaints_about_ptx(kernels: Kernels) -> list[str]:
    found = [] if kernels else ["no kernel in the PTX"]
    for name, kernel in kernels.items():
        every = kernel.inline + kernel.generated
        foreign = Counter({op: n for op, n in kernel.inline.items() if op not in WRITTEN})
        for what, opcodes, pattern in (
            ("flush to zero", every, r"\.ftz\b"),
            ("approximate", every, r"\.(approx|full)\b"),
            ("arithmetic that the compiler chose", kernel.generated, ARITHMETIC.pattern),
            ("arithmetic that ieee.h does not have", foreign, ARITHMETIC.pattern),
        ):
            if match := sass_code.listed(opcodes, pattern):
                found.append(f"{name}: {what}: {match}")
    return found


def complaints_about_code(kernels: Kernels, compiled: sass_code.Kernels) -> list[str]:
    """Also where ptxas unrolls a loop or shares a product: equal numbers are what it gives for all
    kernels of sm_80 to sm_120 (nvcc 13.0), and whoever reads this decides whether others are right.
    """
    found = []
    for (arch, name), code in compiled.items():
        if name not in kernels:
            found.append(f"{name}: in the machine code of {arch} and not in the PTX")
            continue
        if not can_run(name, arch):
            continue  # an empty one; sass.py sees to that
        for written, opcode in WRITTEN.items():
            count = sum(n for op, n in code.opcodes.items() if op.split(".")[0] == opcode)
            wanted = kernels[name].inline[written]
            if count != wanted:
                found.append(f"{name}: {opcode} ×{count} for {written} ×{wanted} ({arch})")
    return found


def without_listings(
    kernels: sass_code.Kernels,
) -> list[tuple[tuple[str, sass_code.Name], sass_code.Kernel]]:
    """Which are large, and nothing here reads them."""
    return [(key, replace(kernel, instructions=[])) for key, kernel in kernels.items()]


def ptx_command(words: list[str], output: Path) -> list[str]:
    """nvcc's command of build/dev, for the newest architecture's PTX."""
    archs = re.findall(r"compute_(\d+)", " ".join(words))
    kept = [word for word in words if not word.startswith("--generate-code=")]
    at = kept.index("-o")
    newest = f"-arch=compute_{max(map(int, archs))}"
    return [word for word in kept[:at] if word != "-c"] + ["-ptx", newest, "-o", str(output)]


def make_ptx() -> tuple[list[Path], list[str]]:
    """The files, and what went wrong."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    commands = {}
    for entry in json.loads(COMMANDS.read_text(encoding="utf-8")):
        path = Path(entry["file"])
        if path.suffix == ".cu" and path.is_relative_to(ROOT / "kernels"):
            output = FOLDER / f"{path.stem}.ptx"
            commands[str(output)] = ptx_command(shlex.split(entry["command"]), output)
    return list(map(Path, commands)), compile_all(commands)


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks flags, PTX and machine code.")
    parser.add_argument("--commands", type=Path, help="a compile_commands.json")
    parser.add_argument("--ptx", type=Path, nargs="+", help="PTX with its comments")
    parser.add_argument("--dump", type=Path, help="what sass.py --dump takes")
    options = parser.parse_args()
    given = options.commands or options.ptx or options.dump
    found = complaints_about_flags(options.commands or COMMANDS) if not options.ptx else []
    paths, compiled = options.ptx or [], {}
    if not given:
        program = sass_code.cuobjdump()
        paths, trouble = make_ptx()
        found += trouble
        if not paths or program is None:
            print("build/dev has no CUDA kernels, or there is no cuobjdump to read them.")
            return 1 if found else NOT_HERE
        compiled = dict(sass_code.read_library(program, without_listings))
    elif options.dump:
        compiled = sass_code.parse(options.dump.read_text(encoding="utf-8"))
    if paths and not found:
        kernels = parse("\n".join(path.read_text(encoding="utf-8") for path in paths))
        found += complaints_about_ptx(kernels) + complaints_about_code(kernels, compiled)
    if len(found) > sass_code.MOST_LINES:
        found[sass_code.MOST_LINES :] = [f"… and {len(found) - sass_code.MOST_LINES} more"]
    return finish(
        found, "Write arithmetic with kernels/ieee.h, and look at CMakeLists.txt's flags."
    )


if __name__ == "__main__":
    sys.exit(main())
