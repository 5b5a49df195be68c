"""Gate: what nvcc made of the kernels, read from the machine code in build/dev: accesses of the
width the variant promises, no local memory, no approximate sine, no flush to zero. Prints every
kernel's registers and code size. Status 77 where there is no cuobjdump or no CUDA in the build.
Usage: sass.py [--dump FILE], where cuobjdump --dump-sass --dump-resource-usage has made FILE.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tree import ROOT, cmake, finish

LIBRARY = ROOT / "build" / "dev" / "librope_kernels.so"
NOT_HERE = 77
MOST_LINES = 30
INSTRUCTION_BYTES = 16  # since sm_70

# One pass: which architecture, whose resources, which function, which instruction.
TOKENS = re.compile(
    r"^arch = (?P<arch>sm_\w+)$"
    r"|^ Function (?P<owner>\S+):\n  REG:(?P<registers>\d+) STACK:(?P<stack>\d+)"
    r" SHARED:\d+ LOCAL:(?P<local>\d+)"
    r"|^\t\tFunction : (?P<function>\S+)$"
    r"|^ +/\*[0-9a-f]{4,}\*/ +(?:@!?U?P[T0-9]+ +)?(?P<opcode>[A-Z][\w.]*)",
    re.MULTILINE,
)
ROTATION = re.compile(
    r"rotate_kernelI(?P<scalar>f|NS_4HalfE|NS_8BFloat16E)NS_7VariantINS_\d+(?P<pairing>\w+?)E"
    r"Li(?P<bytes>\d+)ELi(?P<heads>\d+)ELNS_6SourceE(?P<source>[01])EEEEE"
)
OTHERS = re.compile(r"(table_kernel|turns_kernel)(?:I([df]))?E")
SCALARS = {"f": "f32", "NS_4HalfE": "f16", "NS_8BFloat16E": "bf16"}
SOURCES = ("computed", "table")
# The suffix of an access of so many bytes; what is only read has .CONSTANT behind it.
WIDTHS = {16: ".E.128", 8: ".E.64", 4: ".E", 2: ".E.U16"}


@dataclass
class Kernel:
    """One function of one architecture."""

    opcodes: Counter[str] = field(default_factory=Counter)
    registers: int | None = None
    stack: int = 0
    local: int = 0


@dataclass(frozen=True, order=True)
class Name:
    """A row of the table; heads = 0 for kernels that rotate nothing."""

    scalar: str
    pairing: str = ""
    source: str = ""
    bytes: int = 0
    heads: int = 0

    def __str__(self) -> str:
        if not self.heads:
            return self.scalar
        width = f"{self.bytes} B × {self.heads}"
        return f"{self.scalar:<4} {self.pairing:<11} {self.source:<8} {width:>8}"


# (architecture, kernel) → what was found
Kernels = dict[tuple[str, Name], Kernel]


def name_of(function: str) -> Name:
    found = ROTATION.search(function)
    if found:
        return Name(
            SCALARS[found["scalar"]],
            found["pairing"].lower(),
            SOURCES[int(found["source"])],
            int(found["bytes"]),
            int(found["heads"]),
        )
    other = OTHERS.search(function)
    if other:
        return Name(other[1] + {"d": " f64", "f": " f32"}.get(other[2], ""))
    return Name(function)


def parse(text: str) -> Kernels:
    kernels: Kernels = defaultdict(Kernel)
    arch, current = "", Kernel()
    for token in TOKENS.finditer(text):
        if token["opcode"]:
            current.opcodes[token["opcode"]] += 1
        elif token["function"]:
            current = kernels[arch, name_of(token["function"])]
        elif token["owner"]:
            owner = kernels[arch, name_of(token["owner"])]
            owner.registers, owner.stack, owner.local = map(
                int, token.group("registers", "stack", "local")
            )
        else:
            arch = token["arch"]
    return dict(kernels)


def listed(opcodes: Counter[str], pattern: str) -> str:
    """The opcodes that match, with their numbers: "LDL ×2, STL.64 ×1"."""
    found = {name: count for name, count in opcodes.items() if re.search(pattern, name)}
    return ", ".join(f"{name} ×{count}" for name, count in sorted(found.items()))


def access_complaints(name: Name, opcodes: Counter[str]) -> list[str]:
    """A thread moves two vectors a head. Not everything it loads is data, but all else is read-only
    and loaded as such; everything it stores is data.
    """
    found = []
    for word, operation in (("loads", "LDG"), ("stores", "STG")):
        data = Counter(
            {
                opcode: count
                for opcode, count in opcodes.items()
                if opcode.startswith(operation + ".") and not opcode.endswith(".CONSTANT")
            }
        )
        wide = operation + WIDTHS[name.bytes]
        if set(data) != {wide} or data[wide] < 2 * name.heads:
            got = listed(data, "") or "none"
            found.append(f"{word} are {got}, not {wide} ×{2 * name.heads}")
    return found


def complaints_about(name: Name, kernel: Kernel) -> list[str]:
    opcodes = kernel.opcodes
    if not opcodes or kernel.registers is None:
        return ["no instructions or no resource usage in the dump"]
    found = access_complaints(name, opcodes) if name.heads else []
    for what, pattern in (
        ("local memory", r"^(LDL|STL)\b"),
        ("approximate sine or cosine", r"^MUFU\.(SIN|COS)\b"),
        ("flush to zero", r"\.FTZ\b"),
    ):
        if match := listed(opcodes, pattern):
            found.append(f"{what}: {match}")
    if kernel.stack or kernel.local:
        found.append(f"local memory: {kernel.stack} bytes of stack, {kernel.local} of spills")
    return found


def complaints(kernels: Kernels) -> list[str]:
    """Each with the architectures that it holds for."""
    archs = sorted({arch for arch, _ in kernels}, key=arch_key)
    names = {name for _, name in kernels}
    where: dict[tuple[Name, str], list[str]] = defaultdict(list)
    for arch in archs:
        for name in names:
            kernel = kernels.get((arch, name))
            texts = complaints_about(name, kernel) if kernel else ["no such kernel"]
            for text in texts:
                where[name, text].append(arch)
    found = [
        f"{name}: {text} ({', '.join(where[name, text])})" for name, text in sorted(where, key=str)
    ]
    aligned = {name.scalar for name in names if name.bytes == 16}
    missing = [scalar for scalar in SCALARS.values() if scalar not in aligned]
    return found + [f"{scalar}: no kernel with 16-byte accesses" for scalar in missing]


def arch_key(arch: str) -> tuple[int, str]:
    return int(re.sub(r"\D", "", arch)), arch


def table(kernels: Kernels) -> str:
    archs = sorted({arch for arch, _ in kernels}, key=arch_key)
    lines = ["registers/code in KiB" + " " * 15 + "".join(f"{arch:>9}" for arch in archs)]
    for name in sorted({name for _, name in kernels}):
        cells = []
        for arch in archs:
            kernel = kernels.get((arch, name), Kernel())
            code = kernel.opcodes.total() * INSTRUCTION_BYTES / 1024
            cells.append(f"{kernel.registers or '-'}/{code:.1f}")
        lines.append(f"{name!s:<36}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def cuobjdump() -> str | None:
    """The one that came with torch, in triton's wheel, or one on the PATH."""
    triton = importlib.util.find_spec("triton")
    for folder in (triton and triton.submodule_search_locations) or []:
        program = Path(folder) / "backends" / "nvidia" / "bin" / "cuobjdump"
        if program.exists():
            return str(program)
    return cmake.packages.program("cuobjdump")


def run(*command: str) -> str:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout


def read_arch(program: str, arch: str) -> Kernels:
    what = ["--dump-sass", "--dump-resource-usage", "-arch", arch]
    return parse(run(program, *what, str(LIBRARY)))


def read_library(program: str) -> Kernels:
    archs = sorted(set(re.findall(r"\.(sm_\w+)\.cubin", run(program, "--list-elf", str(LIBRARY)))))
    kernels: Kernels = {}
    with ProcessPoolExecutor(cmake.jobs()) as pool:
        for found in pool.map(read_arch, [program] * len(archs), archs):
            kernels |= found
    return kernels


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks the kernels' machine code.")
    parser.add_argument("--dump", type=Path, help="read this dump and not build/dev")
    dump = parser.parse_args().dump
    if dump:
        kernels = parse(dump.read_text(encoding="utf-8"))
    else:
        program = cuobjdump()
        if program is None:
            print("No cuobjdump: install triton, or put the CUDA toolkit's on the PATH.")
            return NOT_HERE
        kernels = read_library(program)
        if not kernels:
            print("build/dev has no CUDA kernels: nvcc was not found when it was configured.")
            return NOT_HERE
        print(f"{LIBRARY.relative_to(ROOT)}: {LIBRARY.stat().st_size / 1e6:.2f} MB")
    print(table(kernels), flush=True)
    found = complaints(kernels)
    if len(found) > MOST_LINES:
        found[MOST_LINES:] = [f"… and {len(found) - MOST_LINES} more"]
    return finish(found, "Look at the kernel's code in kernels/thread.h and kernels/cuda/.")


if __name__ == "__main__":
    sys.exit(main())
