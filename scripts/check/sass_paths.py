"""The control flow of one kernel's machine code, and the fewest instructions on a way through it
that does given work. For sass_routes.py. Nothing is known of predicates here: where a branch may go
both ways, both are ways through, and an instruction that its predicate turns off is issued.
"""

import heapq
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import add, ge, gt

from sass_code import Instruction

TARGET = re.compile(r"0x[0-9a-f]+$")
# Jumps to where a register says. nvcc makes them of switches; nothing here can follow them.
INDIRECT = {"BRX", "BRXU", "JMX", "JMXU"}
JUMPS = {"BRA", "JMP"}
Counts = tuple[int, ...]


class Unreadable(Exception):
    """Code whose ways cannot be told from its listing."""


@dataclass
class Block:
    """Instructions that are issued one after the other, and the blocks that may follow them."""

    instructions: list[Instruction]
    successors: list[int]
    leaves: bool = False


@dataclass
class Way:
    """A way from a kernel's first instruction to an EXIT."""

    blocks: list[Block]

    @property
    def instructions(self) -> list[Instruction]:
        return [instruction for block in self.blocks for instruction in block.instructions]


@dataclass(frozen=True)
class Work:
    """How often a way has what `counted` counts in an instruction: at least, and at most."""

    counted: Callable[[Instruction], int]
    least: int
    most: int | None = None


def base(instruction: Instruction) -> str:
    return instruction.opcode.partition(".")[0]


def is_conditional(instruction: Instruction) -> bool:
    """Also by an operand, as in BRA.U UP0, 0x40 and EXIT P0."""
    rest = TARGET.sub("", instruction.operands).strip(" ,")
    return instruction.guard not in ("", "PT", "UPT") or rest != ""


def target_of(instruction: Instruction) -> int:
    found = TARGET.search(instruction.operands)
    if base(instruction) in INDIRECT or found is None:
        raise Unreadable(f"{instruction.opcode} at {instruction.address:#06x} jumps to a register")
    return int(found[0], 16)


def is_transfer(instruction: Instruction) -> bool:
    """BSYNC is none: it waits where its BSSY says that ways meet, and goes on with what follows."""
    return base(instruction) in JUMPS | INDIRECT | {"CALL", "EXIT", "RET"}


def split(instructions: Sequence[Instruction]) -> list[list[Instruction]]:
    starts = {instructions[0].address} if instructions else set()
    for before, after in pairwise(instructions):
        if is_transfer(before):
            starts.add(after.address)
    for instruction in instructions:
        if is_transfer(instruction) and base(instruction) not in {"EXIT", "RET"}:
            starts.add(target_of(instruction))
    blocks: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.address in starts:
            blocks.append([])
        blocks[-1].append(instruction)
    return blocks


def graph(instructions: Sequence[Instruction]) -> list[Block]:
    """The first block is where the kernel starts. A RET goes back behind any CALL, since which one
    called is not known.
    """
    blocks = [Block(lines, []) for lines in split(instructions)]
    at = {block.instructions[0].address: number for number, block in enumerate(blocks)}
    calls = [
        number for number, block in enumerate(blocks[:-1]) if base(block.instructions[-1]) == "CALL"
    ]
    for number, block in enumerate(blocks):
        last = block.instructions[-1]
        kind = base(last)
        if kind in JUMPS | {"CALL"}:
            if target_of(last) not in at:
                raise Unreadable(f"{last.opcode} at {last.address:#06x} leaves the listing")
            block.successors.append(at[target_of(last)])
        elif kind == "RET":
            block.successors += [call + 1 for call in calls]
        elif kind == "EXIT":
            block.leaves = True
        if (not is_transfer(last) or is_conditional(last)) and number + 1 < len(blocks):
            block.successors.append(number + 1)
    return blocks


def most_ahead(blocks: Sequence[Block], gains: Sequence[Counts], least: Counts) -> list[Counts]:
    """For each block, the most of each count from its start to an EXIT, as far as it is asked for;
    −1 where no way leaves. Loops add to it until it is enough.
    """
    nothing = tuple(-1 for _ in least)
    ahead = [nothing] * len(blocks)
    changed = True
    while changed:
        changed = False
        for number in reversed(range(len(blocks))):
            block = blocks[number]
            rests = [ahead[after] for after in block.successors if ahead[after] != nothing]
            if block.leaves:
                rests.append(tuple(0 for _ in least))
            if not rests:
                continue
            best = tuple(
                min(need, gain + max(rest))
                for need, gain, rest in zip(
                    least, gains[number], zip(*rests, strict=True), strict=True
                )
            )
            if best != ahead[number]:
                ahead[number], changed = best, True
    return ahead


def fewest(blocks: Sequence[Block], works: Sequence[Work]) -> Way | None:
    """The way with the fewest instructions that does the work; None where there is none.

    Dijkstra's search, over a block and what has been done before it. A count is kept only up to
    where more of it changes nothing, and a way that cannot do the rest any more is dropped.
    """
    if not blocks:
        return None
    gains = [
        tuple(sum(map(work.counted, block.instructions)) for work in works) for block in blocks
    ]
    least = tuple(work.least for work in works)
    kept = tuple(work.least if work.most is None else work.most + 1 for work in works)
    most = tuple(work.least if work.most is None else work.most for work in works)
    ahead = most_ahead(blocks, gains, least)

    start = (0, tuple(0 for _ in works))
    came_from: dict[tuple[int, Counts], tuple[int, Counts] | None] = {}
    queue: list[tuple[int, tuple[int, Counts], tuple[int, Counts] | None]] = [(0, start, None)]
    while queue:
        cost, state, before = heapq.heappop(queue)
        if state in came_from:
            continue
        came_from[state] = before
        number, done = state
        if number == len(blocks):
            return Way([blocks[place] for place in places(came_from, before)])
        block = blocks[number]
        now = tuple(map(min, map(add, done, gains[number]), kept))
        if any(map(gt, now, most)):
            continue
        cost += len(block.instructions)
        if block.leaves and all(map(ge, now, least)):
            heapq.heappush(queue, (cost, (len(blocks), now), state))
        for after in block.successors:
            if all(map(ge, map(add, now, ahead[after]), least)):
                heapq.heappush(queue, (cost, (after, now), state))
    return None


def places(
    came_from: dict[tuple[int, Counts], tuple[int, Counts] | None],
    last: tuple[int, Counts] | None,
) -> list[int]:
    found = []
    while last is not None:
        found.append(last[0])
        last = came_from[last]
    return found[::-1]
