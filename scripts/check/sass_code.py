"""The kernels' machine code as cuobjdump prints it: which kernel of which architecture has which
instructions and how many registers. For sass.py, rounding.py and their tests.
"""

import importlib.util
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tree import ROOT, cmake

LIBRARY = ROOT / "build" / "dev" / "librope_kernels.so"
MOST_LINES = 30
INSTRUCTION_BYTES = 16  # since sm_70

# One pass: which architecture, whose resources, which function, which instruction.
TOKENS = re.compile(
    r"^arch = (?P<arch>sm_\w+)$"
    r"|^ Function (?P<owner>\S+):\n  REG:(?P<registers>\d+) STACK:(?P<stack>\d+)"
    r" SHARED:\d+ LOCAL:(?P<local>\d+)"
    r"|^\t\tFunction : (?P<function>\S+)$"
    r"|^ +/\*(?P<address>[0-9a-f]{4,})\*/ +(?:@(?P<guard>!?U?P[T0-9]+) +)?(?P<opcode>[A-Z][\w.]*)"
    r"(?P<operands>[^;\n]*)",
    re.MULTILINE,
)
ROTATION = re.compile(
    r"rotate_kernelI(?P<scalar>f|NS_4HalfE|NS_8BFloat16E)NS_7VariantINS_\d+(?P<pairing>\w+?)E"
    r"Li(?P<bytes>\d+)ELi(?P<heads>\d+)ELNS_6SourceE(?P<source>\d+)EEEEE"
)
OTHERS = re.compile(r"(table_kernel|turns_kernel)(?:I([df]))?E")
SCALARS = {"f": "f32", "NS_4HalfE": "f16", "NS_8BFloat16E": "bf16"}
SCALAR_BYTES = {"f32": 4, "f16": 2, "bf16": 2}
# rope::Source's values, in their order.
SOURCES = ("general", "computed", "table")


class Instruction(NamedTuple):
    address: int
    guard: str  # P0, !P3, UP1; empty where there is none
    opcode: str
    operands: str

    def __str__(self) -> str:
        guard = f"@{self.guard}" if self.guard else ""
        return f"  {self.address:04x} {guard:<5} {self.opcode} {self.operands}"


@dataclass
class Kernel:
    """One function of one architecture."""

    opcodes: Counter[str] = field(default_factory=Counter)
    registers: int | None = None
    stack: int = 0
    local: int = 0
    instructions: list[Instruction] = field(default_factory=list)


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

    @property
    def pairs(self) -> int:
        """That a thread has of each head."""
        return self.bytes // SCALAR_BYTES[self.scalar]

    @property
    def kind(self) -> str:
        """What has one ceiling: float16 and bfloat16, and both pairings, differ by little."""
        return f"{self.source} {8 * SCALAR_BYTES[self.scalar]}-bit {self.bytes} B × {self.heads}"


# (architecture, kernel) → what was found
Kernels = dict[tuple[str, Name], Kernel]
Found = TypeVar("Found")


def name_of(function: str) -> Name:
    found = ROTATION.search(function)
    if found and int(found["source"]) < len(SOURCES):
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
            address, guard, opcode, operands = token.group("address", "guard", "opcode", "operands")
            current.instructions.append(
                Instruction(int(address, 16), guard or "", opcode, operands.strip())
            )
            current.opcodes[opcode] += 1
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


def arch_number(arch: str) -> int:
    return int(re.sub(r"\D", "", arch))


def arch_key(arch: str) -> tuple[int, str]:
    return arch_number(arch), arch


def listed(opcodes: Counter[str], pattern: str) -> str:
    """The opcodes that match, with their numbers: "LDL ×2, STL.64 ×1"."""
    found = {name: count for name, count in opcodes.items() if re.search(pattern, name)}
    return ", ".join(f"{name} ×{count}" for name, count in sorted(found.items()))


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


def read_arch(program: str, library: Path, look: Callable[[Kernels], Found], arch: str) -> Found:
    what = ["--dump-sass", "--dump-resource-usage", "-arch", arch]
    return look(parse(run(program, *what, str(library))))


def read_library(
    program: str, look: Callable[[Kernels], list[Found]], library: Path = LIBRARY
) -> list[Found]:
    """What look finds in the kernels of each architecture. It runs in a process of its own, so that
    no listing travels between them.
    """
    archs = sorted(set(re.findall(r"\.(sm_\w+)\.cubin", run(program, "--list-elf", str(library)))))
    with ProcessPoolExecutor(cmake.jobs()) as pool:
        found = pool.map(partial(read_arch, program, library, look), archs)
        return [one for some in found for one in some]
