"""What the gate asks of the kernels' machine code. For sass.py."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from sass_code import SCALARS, Name, arch_key, arch_number, listed
from sass_limits import Ceilings, device_of, loads_in_flight, threads
from sass_routes import LEAST_BYTES, Measured, width_of

# The suffix of an access of so many bytes; what is only read may have .CONSTANT behind it.
WIDTHS = {32: ".E.ENL2.256", 16: ".E.128", 8: ".E.64", 4: ".E", 2: ".E.U16"}
WIDEST_SINCE = 100  # accesses of 32 bytes; before that such a kernel is an empty one
DEPENDENT_SINCE = (
    90  # programmatic dependent launch: wait for the one before, let the next one start
)

Found = dict[tuple[str, Name], Measured]


def can_run(name: Name, arch: str) -> bool:
    return name.bytes <= 16 or arch_number(arch) >= WIDEST_SINCE


def access_complaints(name: Name, opcodes: Counter[str]) -> Iterator[str]:
    """A thread moves two vectors a head. All that it stores is data; what else it loads than data
    has any width but one byte.
    """
    for word, operation in (("loads", "LDG"), ("stores", "STG")):
        accesses = Counter(
            {
                opcode: count
                for opcode, count in opcodes.items()
                if opcode.startswith(operation + ".") and not opcode.endswith(".CONSTANT")
            }
        )
        fitting = sum(n for opcode, n in accesses.items() if width_of(opcode) == name.bytes)
        others = [opcode for opcode in accesses if width_of(opcode) != name.bytes]
        wrong = others if operation == "STG" else [op for op in others if width_of(op) == 1]
        if wrong or fitting < 2 * name.heads:
            got = listed(accesses, "") or "none"
            yield f"{word} are {got}, not {operation}{WIDTHS[name.bytes]} ×{2 * name.heads}"


def code_complaints(kernel: Measured) -> Iterator[str]:
    for what, pattern in (
        ("local memory", r"^(LDL|STL)\b"),
        ("approximate sine or cosine", r"^MUFU\.(SIN|COS)\b"),
        ("flush to zero", r"\.FTZ\b"),
    ):
        if match := listed(kernel.opcodes, pattern):
            yield f"{what}: {match}"
    if kernel.stack or kernel.local:
        yield f"local memory: {kernel.stack} bytes of stack, {kernel.local} of spills"


def register_complaints(
    name: Name, kernel: Measured, arch: str, ceilings: Ceilings
) -> Iterator[str]:
    registers = kernel.registers or 0
    most = ceilings.registers.get((arch, name.kind))
    held = threads(registers, arch)
    if most is None:
        yield f"no ceiling for registers of {name.kind}"
    elif registers > most:
        planned = threads(most, arch)
        lost = f"{held} threads a multiprocessor, not {planned}"
        yield f"{registers} registers, at most {most}: " + (
            lost if held != planned else f"still {held} threads a multiprocessor"
        )
    device = device_of(arch)
    loads = loads_in_flight(name, registers, arch)
    if name.bytes >= LEAST_BYTES and device and loads < device.loads_wanted:
        yield (
            f"{registers} registers leave {held} threads a multiprocessor with"
            f" {loads / 1024:.0f} KiB of loads in flight:"
            f" {device.name} needs {device.loads_wanted / 1024:.0f}"
        )


def route_complaints(name: Name, kernel: Measured, arch: str, ceilings: Ceilings) -> Iterator[str]:
    device = device_of(arch)
    for label, route in kernel.routes.items():
        kind = f"{name.kind}, {label}"
        most = ceilings.instructions.get((arch, kind))
        if route is None:
            yield f"no way through it rotates all of a thread's data with a {label}"
        elif most is None:
            yield f"no ceiling for instructions of {kind}"
        elif route.per_64_bytes > most:
            found = route.per_64_bytes
            text = f"{found:.1f} instructions per 64 bytes, {label}, at most {most}"
            if device:
                slots = device.slots()
                shares = f"{found / slots:.0%} of the issue slots, not {most / slots:.0%}"
                text += f": {shares} ({device.name} at {device.reached:.1f} TB/s)"
            yield text


def dependence_complaints(kernel: Measured, arch: str) -> Iterator[str]:
    halves = listed(kernel.opcodes, r"^(ACQBULK|PREEXIT)\b")
    if arch_number(arch) < DEPENDENT_SINCE:
        if halves:
            yield f"a dependent launch's {halves}, where none is planned"
        return
    if kernel.unwaited:
        yield f"reaches device memory before ACQBULK: {kernel.unwaited[0]}"
    if not re.search(r"\bPREEXIT\b", halves):
        yield "never lets the next kernel start: no PREEXIT"


def complaints_about(name: Name, kernel: Measured, arch: str, ceilings: Ceilings) -> list[str]:
    opcodes = kernel.opcodes
    if not opcodes or kernel.registers is None:
        return ["no instructions or no resource usage in the dump"]
    if not can_run(name, arch):
        accesses = listed(opcodes, r"^(LDG|STG)\b")
        return [f"{accesses}, in a kernel that cannot run here"] if accesses else []
    found = [*code_complaints(kernel)]
    if "rotate_kernel" in name.scalar:
        found.append("a rotation whose name sass_code.py cannot read")
    if kernel.unreadable:
        return [kernel.unreadable, *found]
    if name.heads:
        found += access_complaints(name, opcodes)
        found += register_complaints(name, kernel, arch, ceilings)
        found += route_complaints(name, kernel, arch, ceilings)
        found += dependence_complaints(kernel, arch)
    return found


def idle_ceilings(kernels: Found, ceilings: Ceilings) -> list[str]:
    """Those that hold for no kernel, as after a renaming."""
    archs = {arch for arch, _ in kernels}
    used = {(arch, name.kind) for arch, name in kernels if name.heads}
    used |= {
        (arch, f"{name.kind}, {label}")
        for (arch, name), kernel in kernels.items()
        for label in kernel.routes
    }
    idle = {key for what in ("registers", "instructions") for key in ceilings.of(what)} - used
    return [
        f"{kind}: a ceiling without a kernel ({arch})"
        for arch, kind in sorted(idle)
        if arch in archs
    ]


def complaints(kernels: Found, ceilings: Ceilings) -> list[str]:
    """Each with the architectures that it holds for."""
    archs = sorted({arch for arch, _ in kernels}, key=arch_key)
    names = {name for _, name in kernels}
    where: dict[tuple[Name, str], list[str]] = defaultdict(list)
    for arch in archs:
        for name in names:
            kernel = kernels.get((arch, name))
            if kernel:
                texts = complaints_about(name, kernel, arch, ceilings)
            else:
                texts = ["no such kernel"] if can_run(name, arch) else []
            for text in texts:
                where[name, text].append(arch)
    found = [
        f"{name}: {text} ({', '.join(where[name, text])})" for name, text in sorted(where, key=str)
    ]
    aligned = {name.scalar for name in names if name.bytes == 16}
    missing = [scalar for scalar in SCALARS.values() if scalar not in aligned]
    found += [f"{scalar}: no kernel with 16-byte accesses" for scalar in missing]
    return found + idle_ceilings(kernels, ceilings)
