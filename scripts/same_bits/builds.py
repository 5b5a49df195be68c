"""The builds of the matrix: which compiler with which flags, what it needs, what runs the result.
For run.py and its test. The flags of the kernels themselves come from CMakeLists.txt, behind these.
"""

import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

CPU_FACTS = Path("/proc/cpuinfo")
# clang does not know g++'s -Wno-maybe-uninitialized.
CLANG = "-Wno-unknown-warning-option"


@dataclass(frozen=True)
class Program:
    """The first of names that is on the PATH; Debian has it in package."""

    names: tuple[str, ...]
    package: str

    def path(self) -> str | None:
        return next(filter(None, map(shutil.which, self.names)), None)


GCC = Program(("g++",), "g++")
CLANG_14 = Program(("clang++-14", "clang++"), "clang-14")
GCC_AARCH64 = Program(("aarch64-linux-gnu-g++",), "g++-aarch64-linux-gnu")
QEMU_AARCH64 = Program(("qemu-aarch64", "qemu-aarch64-static"), "qemu-user")


@dataclass(frozen=True)
class Build:
    name: str
    compiler: Program
    flags: str
    # What runs the result, with the root of its libraries; none: this machine.
    emulator: Program | None = None
    libraries: str = ""
    processor: str = ""  # CMake's name of another architecture
    # A word of /proc/cpuinfo without which the result cannot run here.
    needs: str = ""

    @property
    def programs(self) -> tuple[Program, ...]:
        return tuple(filter(None, (self.compiler, self.emulator)))

    def configure(self) -> list[str]:
        """CMake's arguments; a build type of no flags, so that only these count."""
        found = [
            f"-DCMAKE_CXX_COMPILER={self.compiler.path()}",
            f"-DCMAKE_CXX_FLAGS={self.flags}",
            "-DCMAKE_BUILD_TYPE=None",
        ]
        if self.processor:
            found += ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={self.processor}"]
        return found

    def command(self, program: Path) -> list[str]:
        if self.emulator is None:
            return [str(program)]
        return [str(self.emulator.path()), "-L", self.libraries, str(program)]

    def missing_here(self) -> str | None:
        """What this processor lacks."""
        if not self.needs or re.search(rf"\b{self.needs}\b", CPU_FACTS.read_text("utf-8")):
            return None
        return f"this processor has no {self.needs}"


_X86 = platform.machine() in ("x86_64", "AMD64")

# -O3 with g++ is the library as it is released. -march and -ffp-contract=fast: what people who
# build everything for their own processor put into CXXFLAGS, and a compiler that may fuse what it
# likes. -mcpu needs no build of its own: AArch64 always has NEON and fused operations.
BUILDS = (
    *(Build(f"g++-{level}", GCC, f"-{level}") for level in ("O0", "O1", "O2", "O3")),
    *(Build(f"clang-{level}", CLANG_14, f"-{level} {CLANG}") for level in ("O0", "O2", "O3")),
    *(
        (Build("g++-fma", GCC, "-O2 -march=x86-64-v3 -ffp-contract=fast", needs="avx2"),)
        if _X86
        else ()
    ),
    Build(
        "neon",
        GCC_AARCH64,
        "-O3",
        emulator=QEMU_AARCH64,
        libraries="/usr/aarch64-linux-gnu",
        processor="aarch64",
    ),
)
