"""The gate on the kernels' machine code goes red for each rule, on dumps that are written here."""

import subprocess
import sys
from pathlib import Path

import pytest

GATE = Path(__file__).resolve().parents[2] / "scripts" / "check" / "sass.py"

SCALARS = {"f32": "f", "f16": "NS_4HalfE", "bf16": "NS_8BFloat16E"}
GOOD = ("LDG.E.64.CONSTANT", "LDG.E.128", "@P0 LDG.E.128", "FFMA", "@!P1 STG.E.128", "STG.E.128")
CLEAN = "REG:75 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:5384"


def kernel(scalar="bf16", heads=1, width=16, source=1):
    return (
        f"_ZN4rope13rotate_kernelI{SCALARS[scalar]}NS_7VariantINS_5SplitELi{width}ELi{heads}E"
        f"LNS_6SourceE{source}EEEEEvNS_9ArgumentsE"
    )


def dump(functions, arch="sm_90", usage=CLEAN):
    """What cuobjdump prints for {function: opcodes}."""
    lines = ["", "Fatbin elf code:", "================", f"arch = {arch}", "", "Resource usage:"]
    for function in functions:
        lines += [f" Function {function}:", f"  {usage} TEXTURE:0 SURFACE:0 SAMPLER:0"]
    lines += ["", f"\tcode for {arch}"]
    for function, opcodes in functions.items():
        lines += [f"\t\tFunction : {function}", '\t.headerflags\t@"EF_CUDA_SM90"']
        for number, opcode in enumerate(opcodes):
            lines.append(
                f"        /*{16 * number:04x}*/                   {opcode} R2 ;  /* 0x00 */"
            )
            lines.append("                                                  /* 0x000fe200 */")
    return "\n".join(lines) + "\n"


def good(**others):
    return {kernel(scalar): GOOD for scalar in SCALARS} | others


@pytest.fixture
def gate(tmp_path):
    """gate(dump) returns the gate's (status, output)."""

    def run(text):
        (tmp_path / "dump.txt").write_text(text)
        result = subprocess.run(
            [sys.executable, str(GATE), "--dump", str(tmp_path / "dump.txt")],
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    return run


def test_green(gate):
    status, output = gate(dump(good()) + dump(good(), "sm_120"))
    assert status == 0
    assert output.splitlines() == [
        "registers/code in KiB                   sm_90   sm_120",
        "bf16 split       table    16 B × 1     75/0.1   75/0.1",
        "f16  split       table    16 B × 1     75/0.1   75/0.1",
        "f32  split       table    16 B × 1     75/0.1   75/0.1",
    ]


@pytest.mark.parametrize(
    ("opcodes", "complaint"),
    [
        (("LDG.E.U8", "STG.E.128", "STG.E.128"), "loads are LDG.E.U8 ×1, not LDG.E.128 ×2"),
        ((*GOOD, "LDG.E.64"), "loads are LDG.E.128 ×2, LDG.E.64 ×1, not LDG.E.128 ×2"),
        ((*GOOD[:2], *GOOD[3:]), "loads are LDG.E.128 ×1, not LDG.E.128 ×2"),
        (("LDG.E.128.CONSTANT", *GOOD[3:]), "loads are none, not LDG.E.128 ×2"),
        ((*GOOD[:4], "STG.E", "STG.E"), "stores are STG.E ×2, not STG.E.128 ×2"),
        (GOOD[:5], "stores are STG.E.128 ×1, not STG.E.128 ×2"),
        ((*GOOD, "LDL.64"), "local memory: LDL.64 ×1"),
        ((*GOOD, "@!P3 STL"), "local memory: STL ×1"),
        ((*GOOD, "MUFU.SIN"), "approximate sine or cosine: MUFU.SIN ×1"),
        ((*GOOD, "@UP0 MUFU.COS"), "approximate sine or cosine: MUFU.COS ×1"),
        ((*GOOD, "FFMA.FTZ", "FMUL.FTZ.RZ"), "flush to zero: FFMA.FTZ ×1, FMUL.FTZ.RZ ×1"),
        ((), "no instructions"),
    ],
    ids=lambda value: None if isinstance(value, tuple) else value.split(",")[0],
)
def test_red(gate, opcodes, complaint):
    status, output = gate(dump(good() | {kernel(): opcodes}))
    assert status == 1
    assert f"bf16 split       table    16 B × 1: {complaint}" in output
    assert "f16  split       table    16 B × 1: " not in output


@pytest.mark.parametrize(
    ("width", "suffix"), [(8, ".E.64"), (4, ".E"), (2, ".E.U16")], ids=["8B", "4B", "2B"]
)
def test_narrow_variants_have_their_own_width(gate, width, suffix):
    narrow = {kernel("f16", width=width): 2 * ["LDG" + suffix] + 2 * ["STG" + suffix]}
    assert gate(dump(good() | narrow))[0] == 0
    wrong = {kernel("f16", width=width): GOOD}
    assert gate(dump(good() | wrong))[0] == 1


def test_every_head_has_its_accesses(gate):
    """Four loads and stores are two heads'; a kernel of five needs ten."""
    two = 4 * ["LDG.E.128"] + 4 * ["STG.E.128"]
    assert gate(dump(good() | {kernel("f32", heads=2): two}))[0] == 0
    status, output = gate(dump(good() | {kernel("f32", heads=5): two}))
    assert status == 1
    assert "f32  split       table    16 B × 5: loads are LDG.E.128 ×4, not LDG.E.128 ×10" in output


def test_other_kernels_are_checked_too(gate):
    turns = "_ZN4rope40_GLOBAL__N__0cc39535_8_table_cu_6e714e4b12turns_kernelIdEEvPKT_lPm"
    status, output = gate(dump(good() | {turns: ("LDG.E.64", "STL", "STG.E.64")}))
    assert status == 1
    assert "turns_kernel f64: local memory: STL ×1 (sm_90)" in output


@pytest.mark.parametrize("usage", ["STACK:8 SHARED:0 LOCAL:0", "STACK:0 SHARED:0 LOCAL:16"])
def test_stack_and_spills(gate, usage):
    status, output = gate(dump(good(), usage=f"REG:75 {usage}"))
    assert status == 1
    assert "local memory: " in output


def test_a_kernel_that_one_architecture_lacks(gate):
    fewer = {name: opcodes for name, opcodes in good().items() if name != kernel("f16")}
    status, output = gate(dump(good()) + dump(fewer, "sm_80"))
    assert status == 1
    assert "f16  split       table    16 B × 1: no such kernel (sm_80)" in output


@pytest.mark.parametrize("text", ["", dump({kernel("f32"): GOOD})], ids=["nothing", "one-dtype"])
def test_kernels_that_nobody_has(gate, text):
    """A gate that finds no kernel, after a renaming for example, is not green."""
    status, output = gate(text)
    assert status == 1
    assert "bf16: no kernel with 16-byte accesses" in output
