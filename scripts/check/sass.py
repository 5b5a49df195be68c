"""Gate: what nvcc made of the kernels, read from the machine code in build/dev: accesses of the
width the variant promises, no local memory, no approximate sine, no flush to zero; registers and
instructions on the hot path below their ceilings. Prints all that. Status 77 where there is no
cuobjdump or no CUDA in the build. Usage: sass.py [--write | --suggest | --route TEXT], and where
the code comes from: [--library FILE | --dump FILE], which cuobjdump --dump-sass
--dump-resource-usage has made.
"""

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import sass_page
from sass_code import LIBRARY, MOST_LINES, Kernels, cuobjdump, parse, read_library
from sass_limits import CEILINGS, Ceilings, most_registers, read_ceilings, written
from sass_routes import measure_all, route_lines
from sass_rules import Found, can_run, complaints
from tree import finish

NOT_HERE = 77
Answer = TypeVar("Answer")


def look(options: argparse.Namespace, ask: Callable[[Kernels], list[Answer]]) -> list[Answer]:
    """What ask finds in the code; SystemExit where there is no program that reads it."""
    if options.dump:
        return ask(parse(options.dump.read_text(encoding="utf-8")))
    program = cuobjdump()
    if program is None:
        print("No cuobjdump: install triton, or put the CUDA toolkit's on the PATH.")
        sys.exit(NOT_HERE)
    return read_library(program, ask, options.library)


def compiler(library: Path) -> str:
    """nvcc's version, as CMake noted it beside the library."""
    for notes in library.parent.glob("CMakeFiles/*/CMakeCUDACompiler.cmake"):
        if found := re.search(r'CMAKE_CUDA_COMPILER_VERSION "([\d.]+)"', notes.read_text()):
            return found[1]
    return "unknown"


def suggested(kernels: Found) -> Ceilings:
    """Registers that keep the threads there are; instructions with 3 % to spare."""
    ceilings = Ceilings()
    for (arch, name), kernel in kernels.items():
        if not name.heads or not can_run(name, arch):
            continue
        most = most_registers(kernel.registers or 0, arch)
        key = arch, name.kind
        ceilings.registers[key] = max(most, ceilings.registers.get(key, 0))
        for label, route in kernel.routes.items():
            if route:
                key = arch, f"{name.kind}, {label}"
                most = round(route.per_64_bytes * 1.03 + 0.5)
                ceilings.instructions[key] = max(most, ceilings.instructions.get(key, 0))
    return ceilings


def page_complaints(kernels: Found, ceilings: Ceilings, options: argparse.Namespace) -> list[str]:
    """Writes the page, or says what on it is no longer so. A build for fewer architectures than the
    page has tells neither.
    """
    if options.dump or {arch for arch, _ in kernels} != {arch for arch, _ in ceilings.registers}:
        return []
    texts = sass_page.tables(kernels, ceilings, compiler(options.library))
    page = sass_page.PAGE.read_text(encoding="utf-8")
    if options.write:
        sass_page.PAGE.write_text(sass_page.write(page, texts), encoding="utf-8")
        return []
    return [
        f"docs/machine-code.md: {name} is not what this build has: make sass ARGS=--write"
        for name in sass_page.stale(page, texts)
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Checks the kernels' machine code.")
    parser.add_argument("--dump", type=Path, help="read this dump and not build/dev")
    parser.add_argument("--library", type=Path, default=LIBRARY, help="and not build/dev's")
    parser.add_argument("--ceilings", type=Path, default=CEILINGS, help="and not ours")
    parser.add_argument("--write", action="store_true", help="docs/machine-code.md's tables")
    parser.add_argument("--suggest", action="store_true", help="print ceilings for this code")
    parser.add_argument("--route", help="print the counted code of kernels that are named so")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.route:
        print("\n".join(look(options, partial(route_lines, options.route))))
        return 0
    kernels = dict(look(options, measure_all))
    if not kernels and not options.dump:
        print("build/dev has no CUDA kernels: nvcc was not found when it was configured.")
        return NOT_HERE
    if options.suggest:
        print(written(suggested(kernels), {arch for arch, _ in kernels}))
        return 0
    print(sass_page.printed(kernels), flush=True)
    ceilings = read_ceilings(options.ceilings.read_text(encoding="utf-8"))
    found = complaints(kernels, ceilings)
    found += page_complaints(kernels, ceilings, options)
    if len(found) > MOST_LINES:
        found[MOST_LINES:] = [f"… and {len(found) - MOST_LINES} more"]
    return finish(found, "Look at the kernel's code in kernels/thread.h and kernels/cuda/.")


if __name__ == "__main__":
    sys.exit(main())
