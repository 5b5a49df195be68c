"""The tables that sass.py prints, and those of docs/machine-code.md, which it writes between
<!-- table: ID --> and <!-- end -->. All else on the page is written by hand.
"""

import re
from collections.abc import Iterable, Mapping

from sass_code import INSTRUCTION_BYTES, Name, arch_key
from sass_limits import (
    CACHED_TERABYTES,
    DEVICES,
    Ceilings,
    loads_in_flight,
    threads,
)
from sass_routes import ROUTES, Measured, Route
from sass_rules import Found, can_run
from tree import ROOT

PAGE = ROOT / "docs" / "machine-code.md"
PLACE = re.compile(r"<!-- table: (?P<id>[\w-]+) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)
# The one that the page has in full.
ARCH = "sm_90"
LABELS = tuple(dict.fromkeys(label for labels in ROUTES.values() for label in labels))
H100 = next(device for device in DEVICES if device.arch == ARCH)
Row = Iterable[object]


def kib(kernel: Measured) -> float:
    return kernel.opcodes.total() * INSTRUCTION_BYTES / 1024


def printed(kernels: Found) -> str:
    """For the terminal: a line for each kernel and route, a column for each architecture."""
    archs = sorted({arch for arch, _ in kernels}, key=arch_key)
    head = "registers/threads a multiprocessor/KiB, instructions per 64 bytes"
    lines = [head, f"{'':<56}" + "".join(f"{arch:>22}" for arch in archs)]
    for name in sorted({name for _, name in kernels}):
        for label in ROUTES.get(name.source, ("",)) if name.bytes >= 16 else ("",):
            cells = [cell(kernels.get((arch, name)), name, arch, label) for arch in archs]
            lines.append(f"{name!s:<36}{label:<20}" + "".join(f"{text:>22}" for text in cells))
    return "\n".join(lines)


def cell(kernel: Measured | None, name: Name, arch: str, label: str) -> str:
    if kernel is None or not can_run(name, arch):
        return "-"
    held = threads(kernel.registers or 0, arch)
    text = f"{kernel.registers or '-'}/{held}/{kib(kernel):.1f}"
    route = kernel.routes.get(label)
    return text + (f", {route.per_64_bytes:.1f}" if route else "")


def markdown(head: Row, rows: Iterable[Row]) -> str:
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def span(values: Iterable[float]) -> str:
    texts = [whole(value) for value in sorted(values)] or [""]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]}–{texts[-1]}"


def whole(value: float) -> str:
    return f"{value:.0f}"


def share(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")


def kernels_table(kernels: Found) -> str:
    rows: list[Row] = []
    for (arch, name), kernel in sorted(kernels.items(), key=lambda item: item[0][1]):
        if arch != ARCH or not can_run(name, arch):
            continue
        registers = kernel.registers or 0
        rows.append(
            [
                " ".join(str(name).split()),
                registers,
                threads(registers, arch) if name.heads else "-",
                whole(loads_in_flight(name, registers, arch) / 1024) if name.heads else "-",
                f"{kib(kernel):.1f}",
                *(costs(kernel.routes.get(label)) for label in LABELS),
            ]
        )
    head = ["kernel", "registers", "threads", "KiB of loads in flight", "KiB of code", *LABELS]
    return markdown(head, rows)


def costs(route: Route | None) -> str:
    """Instructions, and their shares of the issue slots."""
    if route is None:
        return "-"
    each = route.per_64_bytes
    shares = [share(each / H100.slots()), share(each / H100.slots(CACHED_TERABYTES))]
    return f"{each:.1f} ({', '.join(shares)})"


def others_table(kernels: Found) -> str:
    """Ranges over data types of a size and pairings, on the other architectures."""
    archs = sorted({arch for arch, _ in kernels} - {ARCH}, key=arch_key)
    names = sorted({name for _, name in kernels if name.heads}, key=kind_key)
    kinds = {name.kind: name.source for name in names}
    rows = [
        [kind, *(ranges(of_kind(kernels, arch, kind), ROUTES[source]) for arch in archs)]
        for kind, source in kinds.items()
    ]
    return markdown(["kernel", *archs], rows)


def kind_key(name: Name) -> tuple[str, str, int, int]:
    return name.source, name.kind[len(name.source) :].split()[0], name.bytes, name.heads


def of_kind(kernels: Found, arch: str, kind: str) -> list[Measured]:
    return [
        kernel
        for (other, name), kernel in kernels.items()
        if other == arch and name.heads and name.kind == kind and can_run(name, arch)
    ]


def ranges(kernels: list[Measured], labels: Iterable[str]) -> str:
    """Registers / KiB of code / instructions on each route."""
    if not kernels:
        return "-"
    parts = [span(kernel.registers or 0 for kernel in kernels), span(map(kib, kernels))]
    found = [[kernel.routes.get(label) for kernel in kernels] for label in labels]
    spans = [span(route.per_64_bytes for route in routes if route) for routes in found]
    return " / ".join([*parts, ", ".join(filter(None, spans))] if any(spans) else parts)


def angles_table(kernels: Found) -> str:
    """A table against computed angles, and where turns lie, for both pairings in bfloat16."""
    rows = [
        [name.pairing, f"{name.bytes} B × {name.heads}", name.source, kernel.registers,
         *(reads(kernel.routes.get(label)) for label in LABELS)]
        for (arch, name), kernel in sorted(kernels.items(), key=lambda item: order(item[0][1]))
        if arch == ARCH and name.scalar == "bf16" and any(kernel.routes.values())
    ]  # fmt: skip
    return markdown(["pairing", "a thread", "kernel", "registers", *LABELS], rows)


def order(name: Name) -> tuple[str, int, int, str]:
    return name.pairing, name.bytes, name.heads, name.source


def reads(route: Route | None) -> str:
    """Instructions in all, loads from memory, loads from the constant bank."""
    if route is None:
        return "-"

    def count(start: tuple[str, ...]) -> int:
        return sum(n for opcode, n in route.opcodes.items() if opcode.startswith(start))

    return f"{route.instructions} / {count(('LDG.',))} / {count(('LDC', 'ULDC'))}"


def devices_table() -> str:
    return markdown(
        ["device", "architecture", "multiprocessors", "TB/s", "KiB of loads in flight",
         "instructions per 64 bytes that fill the issue slots"],
        [
            [device.name, device.arch, device.multiprocessors, device.terabytes,
             f"{device.loads_wanted / 1024:.1f}", whole(device.slots())]
            for device in DEVICES
        ],
    )  # fmt: skip


def ceilings_table(ceilings: Ceilings) -> str:
    """Registers with the threads they buy; instructions on each route."""
    archs = sorted({arch for arch, _ in ceilings.registers}, key=arch_key)
    kinds = sorted({kind for _, kind in ceilings.registers})
    rows = [[kind, *(ceiling(ceilings, arch, kind) for arch in archs)] for kind in kinds]
    return markdown(["kernel", *archs], rows)


def ceiling(ceilings: Ceilings, arch: str, kind: str) -> str:
    most = ceilings.registers.get((arch, kind))
    if most is None:
        return "-"
    keys = ((arch, f"{kind}, {label}") for label in LABELS)
    each = [str(ceilings.instructions[key]) for key in keys if key in ceilings.instructions]
    return " / ".join([f"{most} ({threads(most, arch)})", *([", ".join(each)] if each else [])])


def tables(kernels: Found, ceilings: Ceilings, compiler: str) -> dict[str, str]:
    return {
        "compiler": f"Compiled by nvcc {compiler}.",
        "devices": devices_table(),
        "kernels": kernels_table(kernels),
        "angles": angles_table(kernels),
        "others": others_table(kernels),
        "ceilings": ceilings_table(ceilings),
    }


def read(page: str) -> dict[str, str]:
    """What the page's places hold."""
    return {match["id"]: match["text"].strip("\n") for match in PLACE.finditer(page)}


def write(page: str, texts: Mapping[str, str]) -> str:
    return PLACE.sub(
        lambda match: f"<!-- table: {match['id']} -->\n{texts[match['id']]}\n<!-- end -->", page
    )


def stale(page: str, texts: Mapping[str, str]) -> list[str]:
    """The places whose text is another. Other compilers make other code, of which the page says
    nothing.
    """
    places = read(page)
    if places.keys() != texts.keys():
        return sorted(places.keys() ^ texts.keys())
    if places["compiler"] != texts["compiler"]:
        return []
    return sorted(name for name in texts if places[name] != texts[name])
