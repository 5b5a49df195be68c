"""Dumps of machine code as cuobjdump prints them, of kernels that are written here. For the tests
of scripts/check/sass.py and its modules.
"""

from pathlib import Path

import sass_code

GATE = Path(__file__).resolve().parents[2] / "scripts" / "check" / "sass.py"

SCALARS = {"f32": "f", "f16": "NS_4HalfE", "bf16": "NS_8BFloat16E"}
CLEAN = "REG:75 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:5384"
SUFFIXES = {32: ".E.ENL2.256", 16: ".E.128", 8: ".E.64", 4: ".E", 2: ".E.U16"}

CEILINGS = """
architectures |                                 | sm_80 sm_90 sm_120
registers     | table 16-bit 16 B × 1           |    80    80     80
registers     | table 32-bit 16 B × 1           |    80    80     80
instructions  | table 16-bit 16 B × 1, table row |   50    50     50
instructions  | table 32-bit 16 B × 1, table row |   50    50     50
"""


def function(scalar="bf16", heads=1, width=16, source="table"):
    """A mangled name."""
    number = sass_code.SOURCES.index(source) if isinstance(source, str) else source
    return (
        f"_ZN4rope13rotate_kernelI{SCALARS[scalar]}NS_7VariantINS_5SplitELi{width}ELi{heads}E"
        f"LNS_6SourceE{number}EEEEEvNS_9ArgumentsE"
    )


def rotation(scalar="bf16", heads=1, width=16, arch="sm_90"):
    """The opcodes of a kernel that loads, reads a table row, rotates and stores, and no others."""
    pairs = width // (4 if scalar == "f32" else 2)
    data = SUFFIXES[width]
    return [
        *dependence(arch)[:1],
        *(2 * heads * [f"LDG{data}"]),
        *dependence(arch)[1:],
        *(pairs // 2 * ["LDG.E.128.CONSTANT"]),
        *(2 * pairs * heads * ["FMUL", "FFMA"]),
        *(2 * heads * [f"STG{data}"]),
        "EXIT",
    ]


def dependence(arch):
    return ["ACQBULK", "PREEXIT"] if sass_code.arch_number(arch) >= 90 else []


def good(arch="sm_90", **others):
    return {function(scalar): rotation(scalar, arch=arch) for scalar in SCALARS} | others


def without(opcodes, *which):
    """opcodes without the first of each of these."""
    left = list(opcodes)
    for opcode in which:
        left.remove(opcode)
    return left


def statement(opcode):
    """With operands of its own where the opcode is all that is given; a guard is no opcode."""
    words = opcode.split()
    named = words[1:] if words and words[0].startswith("@") else words
    return opcode if len(named) != 1 or named[0] == "EXIT" else f"{opcode} R2"


def dump(functions, arch="sm_90", usage=CLEAN):
    """What cuobjdump prints for {function: opcodes}; "@P0 BRA 0x40" is one too."""
    lines = ["", "Fatbin elf code:", "================", f"arch = {arch}", "", "Resource usage:"]
    for name in functions:
        lines += [f" Function {name}:", f"  {usage} TEXTURE:0 SURFACE:0 SAMPLER:0"]
    lines += ["", f"\tcode for {arch}"]
    for name, opcodes in functions.items():
        lines += [f"\t\tFunction : {name}", '\t.headerflags\t@"EF_CUDA_SM90"']
        for number, opcode in enumerate(opcodes):
            lines.append(
                f"        /*{16 * number:04x}*/                   {statement(opcode)} ;  /* 0x00 */"
            )
            lines.append("                                                  /* 0x000fe200 */")
    return "\n".join(lines) + "\n"


def kernel_of(*opcodes):
    """(name, kernel) of such a listing."""
    ((_, name), kernel), *_ = sass_code.parse(dump({function(): list(opcodes)})).items()
    return name, kernel
