"""The ways through a kernel whose instructions are counted: those of the calls that speed is about.
For sass.py. A route is told by what a thread does on it, since a listing does not say what a branch
asks: it loads and stores all that it rotates, and gets its angles in one way.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from sass_code import Instruction, Kernel, Kernels, Name
from sass_paths import Block, Unreadable, Way, Work, fewest, graph

# Fused operations: of a pair's rotation (kernels/rotation.h), of a phase's cosine and sine
# (kernels/phase.h).
ROTATION_FUSED = 2
PHASE_FUSED = 16
# Bytes of a table row, or of turns in device memory, that a pair takes.
ROW_BYTES = 8
# A lane of narrower vectors has too few pairs to tell its row from its position.
LEAST_BYTES = 16

TABLE = "table row"
ARGUMENTS = "turns in arguments"
MEMORY = "turns in memory"
EITHER = "turns in either"
# The routes of each of sass_code.SOURCES.
ROUTES = {
    "general": (ARGUMENTS, MEMORY, TABLE),
    "computed": (ARGUMENTS, MEMORY),
    "table": (TABLE,),
}

WIDTH = re.compile(r"\.(?:(256|128|64)|[US](16|8))(?=\.|$)")
INDEXED = re.compile(r"c\[0x[0-9a-f]+\]\[R\d+")


@dataclass
class Route:
    instructions: int
    per_64_bytes: float
    opcodes: Counter[str]
    spans: list[tuple[int, int]]  # addresses of the first and last instruction of each block


@dataclass
class Measured:
    """What sass.py asks of a kernel, without its listing."""

    opcodes: Counter[str]
    registers: int | None
    stack: int
    local: int
    routes: dict[str, Route | None] = field(default_factory=dict)
    unreadable: str = ""  # why no way through it can be told
    # Accesses of device memory that a way reaches without having waited for the kernel before.
    unwaited: list[str] = field(default_factory=list)


@cache
def width_of(opcode: str) -> int:
    """Bytes that a thread's LDG or STG moves."""
    found = WIDTH.search(opcode)
    return int(found[1] or found[2]) // 8 if found else 4


def loaded(least: int, most: int = 32) -> Callable[[Instruction], int]:
    """Counts the bytes of loads of a width between the two."""

    def count(instruction: Instruction) -> int:
        if not instruction.opcode.startswith("LDG."):
            return 0
        width = width_of(instruction.opcode)
        return width if least <= width <= most else 0

    return count


def stored(instruction: Instruction) -> int:
    return width_of(instruction.opcode) if instruction.opcode.startswith("STG.") else 0


def fused(instruction: Instruction) -> int:
    return int(instruction.opcode.startswith("FFMA"))


def turns_from_arguments(instruction: Instruction) -> int:
    """64-bit words from the constant bank, at an index of the lane's own."""
    if instruction.opcode not in ("LDC.64", "LDC.128") or not INDEXED.search(instruction.operands):
        return 0
    return 2 if instruction.opcode == "LDC.128" else 1


def works(name: Name, route: str, opcodes: Counter[str]) -> list[Work]:
    """A row and turns may be loaded as wide as data: all of it is told by its bytes. Loads of 4
    bytes are what is left of a position of either type: one at least, where there is any.
    """
    data = 2 * name.heads * name.bytes
    rotation = ROTATION_FUSED * name.pairs * name.heads
    phase = 0 if route == TABLE else PHASE_FUSED * name.pairs
    row = ROW_BYTES * name.pairs
    has_positions = any(op.startswith("LDG.") and width_of(op) == 4 for op in opcodes)
    rows = Work(loaded(8), 0, data + row - 1) if route == ARGUMENTS else Work(loaded(8), data + row)
    found = [
        Work(stored, data),
        Work(loaded(name.bytes, name.bytes), data),
        Work(loaded(4, 4), 4 * has_positions),
        Work(fused, rotation + phase, rotation if route == TABLE else None),
        rows,
    ]
    if route in (ARGUMENTS, EITHER):
        found.append(Work(turns_from_arguments, name.pairs))
    return found


def ways(name: Name, kernel: Kernel, blocks: list[Block]) -> dict[str, Way | None]:
    """Where turns are loaded from both places and a predicate turns one of them off, the two routes
    are one.
    """
    routes = ROUTES[name.source]
    found = {route: fewest(blocks, works(name, route, kernel.opcodes)) for route in routes}
    if ARGUMENTS in found and found[ARGUMENTS] is None:
        found[ARGUMENTS] = fewest(blocks, works(name, EITHER, kernel.opcodes))
    return found


def route_of(way: Way, name: Name) -> Route:
    instructions = way.instructions
    # Each head's two vectors are read and written.
    units = name.heads * 4 * name.bytes / 64
    return Route(
        len(instructions),
        len(instructions) / units,
        Counter(instruction.opcode for instruction in instructions),
        [(block.instructions[0].address, block.instructions[-1].address) for block in way.blocks],
    )


def unwaited(blocks: list[Block]) -> list[str]:
    """In the order of execution: from the start, over any branch, up to the wait."""
    found: list[str] = []
    seen, ahead = {0}, [0] if blocks else []
    while ahead:
        block = blocks[ahead.pop()]
        for instruction in block.instructions:
            if instruction.opcode == "ACQBULK" and not instruction.guard:
                break
            if instruction.opcode.startswith(("LDG.", "STG.")):
                found.append(f"{instruction.opcode} at {instruction.address:#06x}")
        else:
            ahead += [after for after in block.successors if after not in seen]
            seen.update(block.successors)
    return sorted(found)


def measure(name: Name, kernel: Kernel) -> Measured:
    measured = Measured(kernel.opcodes, kernel.registers, kernel.stack, kernel.local)
    if not name.heads:
        return measured
    try:
        blocks = graph(kernel.instructions)
    except Unreadable as trouble:
        measured.unreadable = str(trouble)
        return measured
    measured.unwaited = unwaited(blocks)
    if name.bytes < LEAST_BYTES:
        return measured
    for route, way in ways(name, kernel, blocks).items():
        measured.routes[route] = route_of(way, name) if way else None
    return measured


def measure_all(kernels: Kernels) -> list[tuple[tuple[str, Name], Measured]]:
    return [(key, measure(key[1], kernel)) for key, kernel in kernels.items()]


def route_lines(text: str, kernels: Kernels) -> list[str]:
    """The counted code of each kernel with the text in its architecture and name."""
    lines = []
    for (arch, name), kernel in sorted(kernels.items()):
        title = " ".join(f"{arch} {name}".split())
        if text not in title or name.bytes < LEAST_BYTES:
            continue
        for label, way in ways(name, kernel, graph(kernel.instructions)).items():
            counted = way.instructions if way else []
            lines.append(f"{title}, {label}: {len(counted)} instructions")
            lines += map(str, counted)
    return lines
