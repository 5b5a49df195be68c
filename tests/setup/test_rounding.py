"""The gate on roundings goes red for each rule, on compile commands, PTX and dumps written here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GATE = ROOT / "scripts" / "check" / "rounding.py"

NAME = "f32  split       table    16 B × 1"
FUNCTION = (
    "_ZN4rope13rotate_kernelIfNS_7VariantINS_5SplitELi16ELi1ELNS_6SourceE2EEEEEvNS_9ArgumentsE"
)
WRITTEN = ("mul.rn.f32 %f1, %f2, %f3;", "fma.rn.f32 %f4, %f5, %f6, %f1;", "add.rn.f32 %f7, %f4, 0;")
HARMLESS = ("neg.f32 %f8, %f7;", "mad.lo.s32 %r1, %r2, %r3, %r4;", "mov.f32 %f9, 0f00000000;")
CODE = ("FMUL", "@P0 FFMA", "FADD", "IMAD.WIDE")


@pytest.fixture
def gate(tmp_path):
    """gate(option=text, …) returns the gate's (status, output)."""

    def run(**texts):
        command = [sys.executable, str(GATE)]
        for option, text in texts.items():
            (tmp_path / option).write_text(text)
            command += [f"--{option}", str(tmp_path / option)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr

    return run


def ptx(*, inline=(), generated=()):
    """What nvcc -ptx prints of a kernel with WRITTEN, HARMLESS and these."""
    lines = [".version 9.0", f".visible .entry {FUNCTION}(", ")", "{", "\t.reg .f32 \t%f<9>;"]
    for text in (*WRITTEN, *inline):
        lines += ["\t// begin inline asm", f"\t{text}", "\t// end inline asm"]
    lines += [f"\t{text}" for text in (*HARMLESS, *generated)]
    return "\n".join([*lines, "\tret;", "}", ""])


def dump(opcodes, function=FUNCTION, arch="sm_90"):
    lines = [f"arch = {arch}", f"\tcode for {arch}", f"\t\tFunction : {function}"]
    lines += [
        f"        /*{16 * n:04x}*/                   {op} R2 ;" for n, op in enumerate(opcodes)
    ]
    return "\n".join(lines) + "\n"


def test_green(gate):
    assert gate(ptx=ptx(), dump=dump(CODE)) == (0, "")


@pytest.mark.parametrize(
    ("inline", "generated", "complaint"),
    [
        (["fma.rn.ftz.f32 %f1, %f2, %f3, %f4;"], [], "flush to zero: fma.rn.ftz.f32 ×1"),
        ([], ["cvt.ftz.f32.f16 %f1, %rs2;"], "flush to zero: cvt.ftz.f32.f16 ×1"),
        ([], ["sin.approx.f32 %f1, %f2;"], "approximate: sin.approx.f32 ×1"),
        (["{ cos.approx.f32 %f1, %f2; }"], [], "approximate: cos.approx.f32 ×1"),
        ([], ["div.full.f32 %f1, %f2, %f3;"], "approximate: div.full.f32 ×1"),
        (
            [],
            ["@%p1 fma.rn.f32 %f1, %f2, %f3, %f4;"],
            "arithmetic that the compiler chose: fma.rn.f32 ×1",
        ),
        ([], ["mul.f32 %f1, %f2, %f3;"], "arithmetic that the compiler chose: mul.f32 ×1"),
        ([], ["mul.rn.f32 %f1, %f2, %f3;"], "arithmetic that the compiler chose: mul.rn.f32 ×1"),
        ([], ["mad.rn.f32 %f1, %f2, %f3, %f4;"], "the compiler chose: mad.rn.f32 ×1"),
        ([], ["{ .reg .f64 t; fma.rn.f64 t, t, t, t; }"], "the compiler chose: fma.rn.f64 ×1"),
        (["add.f32 %f1, %f2, %f3;"], [], "arithmetic that ieee.h does not have: add.f32 ×1"),
        (["mul.rz.f32 %f1, %f2, %f3;"], [], "arithmetic that ieee.h does not have: mul.rz.f32 ×1"),
    ],
    ids=lambda value: value.split(": ")[1] if isinstance(value, str) else None,
)
def test_ptx(gate, inline, generated, complaint):
    status, output = gate(ptx=ptx(inline=inline, generated=generated))
    assert status == 1
    assert f"{NAME}: " in output
    assert complaint in output


def test_comments_are_no_instructions(gate):
    assert gate(ptx=ptx(generated=["ret; // sin.approx.f32 %f1, %f2;"])) == (0, "")


def test_ptx_without_kernels(gate):
    """A gate that reads nothing, after a change of nvcc for example, is not green."""
    assert "no kernel in the PTX" in gate(ptx=".version 9.0\n")[1]


@pytest.mark.parametrize(
    ("opcodes", "complaint"),
    [
        (("FFMA", "FFMA", "IMAD"), "FFMA ×2 for fma.rn.f32 ×1 (sm_90)"),
        (("FFMA", "FFMA", "IMAD"), "FMUL ×0 for mul.rn.f32 ×1 (sm_90)"),
        ((*CODE, "FADD.FTZ"), "FADD ×2 for add.rn.f32 ×1 (sm_90)"),
    ],
    ids=["a-fused-pair", "its-product", "a-sum"],
)
def test_machine_code(gate, opcodes, complaint):
    status, output = gate(ptx=ptx(), dump=dump(opcodes))
    assert status == 1
    assert f"{NAME}: {complaint}" in output


def test_machine_code_of_another_kernel(gate):
    other = FUNCTION.replace("Li16E", "Li8E")
    status, output = gate(ptx=ptx(), dump=dump(CODE, other))
    assert status == 1
    assert "8 B × 1: in the machine code of sm_90 and not in the PTX" in output


@pytest.mark.parametrize(("arch", "status"), [("sm_90", 0), ("sm_100", 1)])
def test_machine_code_of_a_kernel_that_older_code_lacks(gate, arch, status):
    """One of 32-byte accesses is empty before sm_100."""
    wide = FUNCTION.replace("Li16E", "Li32E")
    listing = ptx().replace(FUNCTION, wide)
    assert gate(ptx=listing, dump=dump(["EXIT"], wide, arch))[0] == status


def commands(file, words):
    """A compile_commands.json of one file."""
    path = ROOT / "kernels" / file
    return json.dumps([{"file": str(path), "command": f"c++ {words} -c {path} -o a.o"}])


@pytest.mark.parametrize(
    ("file", "words"),
    [("plan.cpp", "-O3 -ffp-contract=off"), ("cuda/float32.cu", "-O3 -fmad=false")],
    ids=["cpp", "cu"],
)
def test_flags_that_are_right(gate, file, words):
    assert gate(commands=commands(file, words)) == (0, "")


CPP, CU = "-ffp-contract=off", "-fmad=false"


@pytest.mark.parametrize(
    ("file", "words", "complaint"),
    [
        ("plan.cpp", "-O3", "compiled without -ffp-contract=off"),
        ("cuda/table.cu", "-Xcompiler=-ffp-contract=off", "compiled without -fmad=false"),
        ("plan.cpp", f"{CPP} -ffp-contract=fast", "compiled with -ffp-contract=fast"),
        ("plan.cpp", f"{CPP} -ffast-math", "compiled with -ffast-math"),
        ("plan.cpp", f"{CPP} -Ofast", "compiled with -Ofast"),
        ("plan.cpp", f"{CPP} -march=native", "compiled with -march=native"),
        ("cuda/table.cu", f"{CU} --use_fast_math", "compiled with --use_fast_math"),
        ("cuda/table.cu", f"{CU} -ftz=true", "compiled with -ftz=true"),
        ("cuda/table.cu", f"{CU} --fmad=true", "compiled with --fmad=true"),
    ],
    ids=lambda value: None if " " not in value or "compiled" not in value else value[9:],
)
def test_flags(gate, file, words, complaint):
    status, output = gate(commands=commands(file, words))
    assert status == 1
    assert f"kernels/{file}: {complaint}" in output


def test_commands_without_kernels(gate):
    assert gate(commands="[]")[0] == 1
