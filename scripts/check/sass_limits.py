"""What registers and instructions cost on the devices that the kernels are for, and the ceilings
that the gate holds them to. For sass.py and its rules.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sass_code import Name, arch_key

CEILINGS = Path(__file__).with_name("sass_ceilings.txt")

# CUDA's table of technical specifications, for every architecture here: 65,536 registers a
# multiprocessor, given to a warp in units of 256; 255 a thread at most.
REGISTERS = 65536
UNIT = 8
MOST_REGISTERS = 255
# The planner's blocks.
BLOCK = 256
THREADS = {"sm_86": 1536, "sm_89": 1536, "sm_120": 1536}  # else 2048
# A multiprocessor's four schedulers issue one instruction of a warp of 32 each clock.
ISSUED_A_CLOCK = 4 * 32
# From a load to its data while the memory is busy; idle, an H100's needs about 0.5 µs, and the
# queues at full bandwidth come on top: between 700 and 800 ns, assumed and not measured here.
LATENCY = 750e-9
# Copies reach 3.0 of an H100's 3.35 TB/s and 4.3 of an H200's 4.8.
REACHED = 0.9


@dataclass(frozen=True)
class Device:
    """Numbers of the vendor's data sheets; clocks below the highest there, as under load."""

    name: str
    arch: str
    multiprocessors: int
    gigahertz: float
    terabytes: float  # a second, in and out of device memory

    @property
    def loads_wanted(self) -> float:
        """Bytes in flight a multiprocessor by Little's law, of which half are loads: in place,
        as much is stored.
        """
        return self.terabytes * 1e12 / 2 * LATENCY / self.multiprocessors

    @property
    def reached(self) -> float:
        """TB/s that copies get to."""
        return self.terabytes * REACHED

    def slots(self, terabytes: float = 0.0) -> float:
        """A thread's instructions per 64 bytes moved that fill every issue slot, at what copies
        reach or at a bandwidth that is given.
        """
        issued = self.multiprocessors * ISSUED_A_CLOCK * self.gigahertz * 1e9
        return issued * 64 / ((terabytes or self.reached) * 1e12)


DEVICES = (
    Device("A100 80 GB", "sm_80", 108, 1.41, 2.04),
    Device("H100 SXM", "sm_90", 132, 1.755, 3.35),
    Device("H200", "sm_90", 132, 1.755, 4.8),
    Device("B200", "sm_100", 148, 1.755, 8.0),
    Device("RTX 5090", "sm_120", 170, 2.41, 1.79),
)
# What an H100 may reach where everything lies in its L2 cache.
CACHED_TERABYTES = 6.0


def device_of(arch: str) -> Device | None:
    """The first of the architecture: what the gate's sentences speak of."""
    return next((device for device in DEVICES if device.arch == arch), None)


def threads(registers: int, arch: str) -> int:
    """That a multiprocessor holds, in whole blocks."""
    a_block = BLOCK * math.ceil(registers / UNIT) * UNIT
    return min(REGISTERS // a_block * BLOCK, THREADS.get(arch, 2048))


def most_registers(registers: int, arch: str) -> int:
    """The most registers with which as many threads fit."""
    blocks = max(threads(registers, arch) // BLOCK, 1)
    return min(REGISTERS // BLOCK // blocks // UNIT * UNIT, MOST_REGISTERS)


def loads_in_flight(name: Name, registers: int, arch: str) -> int:
    """Bytes a multiprocessor, when each of its threads has issued its loads."""
    return threads(registers, arch) * name.heads * 2 * name.bytes


@dataclass
class Ceilings:
    """(architecture, kind of kernel) and (architecture, kind, route) → the most."""

    registers: dict[tuple[str, str], int] = field(default_factory=dict)
    instructions: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, what: str) -> dict[tuple[str, str], int]:
        return self.registers if what == "registers" else self.instructions


def read_ceilings(text: str) -> Ceilings:
    """Lines of "registers | KIND | n n n" and "instructions | KIND, ROUTE | n n n", below one that
    names the architectures; "-" where one has no such kernel.
    """
    ceilings, archs = Ceilings(), list[str]()
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        what, kind, values = (cell.strip() for cell in line.split("|"))
        if what == "architectures":
            archs = values.split()
            continue
        for arch, value in zip(archs, values.split(), strict=True):
            if value != "-":
                ceilings.of(what)[arch, kind] = int(value)
    return ceilings


def written(ceilings: Ceilings, archs: Iterable[str]) -> str:
    """What read_ceilings reads."""
    columns = sorted(archs, key=arch_key)
    lines = [f"{'architectures':<13} | {'':<44} |" + "".join(f"{arch:>8}" for arch in columns)]
    for what in ("registers", "instructions"):
        most: Mapping[tuple[str, str], int] = ceilings.of(what)
        for kind in sorted({kind for _, kind in most}):
            cells = (f"{most.get((arch, kind), '-'):>8}" for arch in columns)
            lines.append(f"{what:<13} | {kind:<44} |" + "".join(cells))
    return "\n".join(lines)
