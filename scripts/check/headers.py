"""Gate: every header compiles alone, and twice in one file. Headers of kernels/ compile without
torch as C++17, those of the CUDA rooms with nvcc (where there is one), all others with torch.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

from tree import HEADERS, ROOT, compile_all, files, finish

CUDA_ROOMS = ("kernels/cuda/", "tests/cuda/")
BRIEF = ["-fmax-errors=3", "-fno-diagnostics-show-caret"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", *BRIEF]
PLAIN = ["-I", "kernels/include"]
# A register is returned in a register only where the compiler may use it.
INSTRUCTION_SETS = {"pack_avx2.h": "-march=x86-64-v3", "pack_avx512.h": "-march=x86-64-v4"}
# version.h is written when build/dev is configured.
CSRC = ["-I", "csrc/include", "-I", "build/dev/include"]


def torch_includes(root: Path) -> list[str]:
    """Where torch's headers are, below root (the folder torch/ of a package or of a wheel)."""
    folders = [root / "include", root / "include" / "torch" / "csrc" / "api" / "include"]
    # -isystem: torch's own warnings are not ours.
    return [word for folder in folders for word in ("-isystem", str(folder))]


def installed_torch() -> Path | None:
    for place in dict.fromkeys([sysconfig.get_path("platlib"), *sys.path]):
        root = Path(place or ".") / "torch"
        if (root / "include" / "ATen").is_dir():
            return root
    return None


def nvcc() -> str | None:
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def command_for(header: Path, torch: Path | None) -> list[str] | None:
    """None where this machine cannot compile it."""
    name = header.as_posix()
    if name.startswith(CUDA_ROOMS):
        compiler = nvcc()
        return compiler and [compiler, "-x", "cu", "-std=c++17", "-arch=sm_80", "-ptx", *PLAIN]
    gcc = ["g++", "-fsyntax-only", "-x", "c++", *WARNINGS, *PLAIN]
    if name.startswith("kernels/"):
        return [*gcc, "-std=c++17", *filter(None, [INSTRUCTION_SETS.get(header.name)])]
    if name.startswith(("tests/cpp/", "tests/fuzz/")):
        return [*gcc, "-std=c++20", "-I", "kernels", "-I", "csrc"]
    if torch is None:
        return None
    return [*gcc, "-std=c++20", *CSRC, *torch_includes(torch)]


def main() -> int:
    torch = installed_torch()
    folder = ROOT / "build" / "headers"
    folder.mkdir(parents=True, exist_ok=True)
    commands = {}
    for header in files(HEADERS):
        command = command_for(header, torch)
        if command is None:
            print(f"{header}: left out, this machine has no nvcc or no torch")
            continue
        source = folder / (header.as_posix().replace("/", "_") + ".cpp")
        source.write_text(f'#include "{ROOT / header}"\n' * 2, encoding="utf-8")
        output = ["-o", str(source.with_suffix(".ptx"))] if "-ptx" in command else []
        commands[str(header)] = [*command, *output, str(source)]
    return finish(compile_all(commands), "Include in the header what it uses.")


if __name__ == "__main__":
    sys.exit(main())
