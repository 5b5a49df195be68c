"""The gate on the kernels' machine code goes red for each rule, on dumps that are written here."""

import subprocess
import sys

import pytest
from sass_dump import (
    CEILINGS,
    CLEAN,
    GATE,
    SCALARS,
    SUFFIXES,
    dump,
    function,
    good,
    rotation,
    without,
)

import sass_code
import sass_routes
import sass_rules

LABEL = "bf16 split       table    16 B × 1: "


@pytest.fixture
def gate(tmp_path):
    """gate(dump) returns the gate's (status, output)."""

    def run(text, ceilings=CEILINGS, *options):
        (tmp_path / "dump.txt").write_text(text)
        (tmp_path / "ceilings.txt").write_text(ceilings)
        files = ["--dump", str(tmp_path / "dump.txt"), "--ceilings", str(tmp_path / "ceilings.txt")]
        result = subprocess.run(
            [sys.executable, str(GATE), *files, *options],
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    return run


def test_green(gate):
    status, output = gate(dump(good()) + dump(good("sm_120"), "sm_120"))
    assert status == 0, output
    cell = f"75/768/{len(rotation()) * 16 / 1024:.1f}, {len(rotation())}.0"
    assert [line.split() for line in output.splitlines()[1:3]] == [
        ["sm_90", "sm_120"],
        f"bf16 split table 16 B × 1 table row {cell} {cell}".split(),
    ]


@pytest.mark.parametrize(
    ("opcodes", "complaint"),
    [
        (
            ["LDG.E.U8", *without(rotation(), "LDG.E.128", "LDG.E.128")],
            "loads are LDG.E.U8 ×1, not LDG.E.128 ×2",
        ),
        (["LDG.E.U8", *rotation()], "loads are LDG.E.128 ×2, LDG.E.U8 ×1, not LDG.E.128 ×2"),
        (without(rotation(), "LDG.E.128"), "loads are LDG.E.128 ×1, not LDG.E.128 ×2"),
        (without(rotation(), "LDG.E.128", "LDG.E.128"), "loads are none, not LDG.E.128 ×2"),
        (["STG.E", *rotation()], "stores are STG.E ×1, STG.E.128 ×2, not STG.E.128 ×2"),
        (without(rotation(), "STG.E.128"), "stores are STG.E.128 ×1, not STG.E.128 ×2"),
        (["LDL.64", *rotation()], "local memory: LDL.64 ×1"),
        (["@!P3 STL", *rotation()], "local memory: STL ×1"),
        (["MUFU.SIN", *rotation()], "approximate sine or cosine: MUFU.SIN ×1"),
        (["@UP0 MUFU.COS", *rotation()], "approximate sine or cosine: MUFU.COS ×1"),
        (["FADD.FTZ", "FMUL.FTZ.RZ", *rotation()], "flush to zero: FADD.FTZ ×1, FMUL.FTZ.RZ ×1"),
        ([], "no instructions"),
        (
            without(rotation(), "LDG.E.128.CONSTANT"),
            "no way through it rotates all of a thread's data with a table row",
        ),
        (
            without(rotation(), "FFMA"),
            "no way through it rotates all of a thread's data with a table row",
        ),
        (["BRX", *rotation()], "BRX at 0x0000 jumps to a register"),
        (["BRA 0x6780", *rotation()], "BRA at 0x0000 leaves the listing"),
    ],
    ids=lambda value: None if isinstance(value, list) else value.split(",")[0],
)
def test_red(gate, opcodes, complaint):
    status, output = gate(dump(good() | {function(): opcodes}))
    assert status == 1
    assert LABEL + complaint in output
    assert "f16  split       table    16 B × 1: " not in output.replace("bf16", "")


@pytest.mark.parametrize(
    ("registers", "complaint"),
    [
        (80, None),
        (81, "81 registers, at most 80: 512 threads a multiprocessor, not 768 (sm_90)"),
        (200, "200 registers, at most 80: 256 threads a multiprocessor, not 768 (sm_90)"),
        (
            200,
            "256 threads a multiprocessor with 8 KiB of loads in flight: H100 SXM needs 9 (sm_90)",
        ),
    ],
)
def test_registers(gate, registers, complaint):
    status, output = gate(dump(good(), usage=CLEAN.replace("75", str(registers))))
    assert status == (complaint is not None), output
    if complaint:
        assert complaint in output


def test_registers_above_a_ceiling_that_costs_nothing_yet(gate):
    status, output = gate(dump(good()), CEILINGS.replace("80", "74"))
    assert status == 1
    assert LABEL + "75 registers, at most 74: still 768 threads a multiprocessor (sm_90)" in output


def test_instructions(gate):
    count = len(rotation())
    assert gate(dump(good()), CEILINGS.replace("50", str(count)))[0] == 0
    status, output = gate(dump(good()), CEILINGS.replace("50", str(count - 1)))
    assert status == 1
    complaint = f"{count}.0 instructions per 64 bytes, table row, at most {count - 1}: "
    assert f"{LABEL}{complaint}{count / 629:.0%} of the issue slots, not" in output
    assert "(H100 SXM at 3.0 TB/s) (sm_90)" in output


@pytest.mark.parametrize("what", ["registers", "instructions"])
def test_no_ceiling(gate, what):
    lines = [line for line in CEILINGS.splitlines() if not line.startswith(what)]
    status, output = gate(dump(good()), "\n".join(lines))
    assert status == 1
    assert f"{LABEL}no ceiling for {what} of table 16-bit 16 B × 1" in output


def test_a_ceiling_without_a_kernel(gate):
    """As after a renaming; one for an architecture that is not in the build is fine."""
    idle = "registers | computed 16-bit 16 B × 5 | 80 - 80\n"
    assert gate(dump(good()), CEILINGS + idle)[0] == 0
    status, output = gate(dump(good("sm_80"), "sm_80"), CEILINGS + idle)
    assert status == 1
    assert "computed 16-bit 16 B × 5: a ceiling without a kernel (sm_80)" in output


def test_suggested_ceilings_are_those_of_the_code(gate):
    status, suggested = gate(dump(good()), CEILINGS, "--suggest")
    assert status == 0
    assert gate(dump(good()), suggested)[0] == 0
    assert gate(dump(good(), usage=CLEAN.replace("75", "81")), suggested)[0] == 1
    slower = good() | {function(): [*(8 * ["IADD3"]), *rotation()]}
    assert gate(dump(slower), suggested)[0] == 1


def test_the_counted_code_of_a_kernel(gate):
    status, output = gate(dump(good()), CEILINGS, "--route", "sm_90 f32 split")
    assert status == 0
    assert output.splitlines()[0] == (
        f"sm_90 f32 split table 16 B × 1, table row: {len(rotation('f32'))} instructions"
    )
    assert output.splitlines()[-1].split() == [f"{16 * (len(rotation('f32')) - 1):04x}", "EXIT"]


NARROW = "registers | table 16-bit {} B × 1 | 80 80 80\n"


@pytest.mark.parametrize("width", [8, 4, 2], ids=["8B", "4B", "2B"])
def test_narrow_variants_have_their_own_width(gate, width):
    ceilings = CEILINGS + NARROW.format(width)
    narrow = {function("f16", width=width): rotation("f16", width=width)}
    status, output = gate(dump(good() | narrow), ceilings)
    assert status == 0, output
    wrong = [op.replace(SUFFIXES[width], ".E.128") for op in rotation("f16", width=width)]
    assert gate(dump(good() | {function("f16", width=width): wrong}), ceilings)[0] == 1


def test_every_head_has_its_accesses(gate):
    """Four loads and stores are two heads'; a kernel of five needs ten."""
    ceilings = CEILINGS + "".join(
        f"registers | table 32-bit 16 B × {n} | 80 80 80\n"
        f"instructions | table 32-bit 16 B × {n}, table row | 80 80 80\n"
        for n in (2, 5)
    )
    both = {function("f32", heads=n): rotation("f32", heads=n) for n in (2, 5)}
    status, output = gate(dump(good() | both), ceilings)
    assert status == 0, output
    both[function("f32", heads=5)] = rotation("f32", heads=2)
    status, output = gate(dump(good() | both), ceilings)
    assert status == 1
    assert "f32  split       table    16 B × 5: loads are LDG.E.128 ×4, not LDG.E.128 ×10" in output


def test_other_kernels_are_checked_too(gate):
    turns = "_ZN4rope40_GLOBAL__N__0cc39535_8_table_cu_6e714e4b12turns_kernelIdEEvPKT_lPm"
    status, output = gate(dump(good() | {turns: ["LDG.E.64", "STL", "STG.E.64"]}))
    assert status == 1
    assert "turns_kernel f64: local memory: STL ×1 (sm_90)" in output


@pytest.mark.parametrize("usage", ["STACK:8 SHARED:0 LOCAL:0", "STACK:0 SHARED:0 LOCAL:16"])
def test_stack_and_spills(gate, usage):
    status, output = gate(dump(good(), usage=f"REG:75 {usage}"))
    assert status == 1
    assert "local memory: " in output


def test_a_kernel_that_one_architecture_lacks(gate):
    fewer = {name: code for name, code in good("sm_80").items() if name != function("f16")}
    status, output = gate(dump(good()) + dump(fewer, "sm_80"))
    assert status == 1
    assert "f16  split       table    16 B × 1: no such kernel (sm_80)" in output


@pytest.mark.parametrize("text", ["", dump({function("f32"): rotation("f32")})])
def test_kernels_that_nobody_has(gate, text):
    """A gate that finds no kernel, after a renaming for example, is not green."""
    status, output = gate(text)
    assert status == 1
    assert "bf16: no kernel with 16-byte accesses" in output


def test_a_source_that_the_gate_does_not_know(gate):
    status, output = gate(dump(good() | {function(source=9): rotation()}))
    assert status == 1
    assert "a rotation whose name sass_code.py cannot read" in output


@pytest.mark.parametrize(
    ("code", "complaint"),
    [(None, None), (["EXIT"], None), (["LDG.E.128", "EXIT"], "LDG.E.128 ×1, in a kernel that")],
    ids=["absent", "empty", "not-empty"],
)
def test_32_bytes_before_sm_100(gate, code, complaint):
    """There the kernel is absent or does nothing; on sm_120 it is like any other."""
    ceilings = CEILINGS + "registers | table 16-bit 32 B × 1 | - - 80\n"
    ceilings += "instructions | table 16-bit 32 B × 1, table row | - - 50\n"
    wide = function(width=32)
    newer = good("sm_120") | {wide: rotation(width=32, arch="sm_120")}
    older = good() | ({wide: code} if code else {})
    status, output = gate(dump(newer, "sm_120") + dump(older), ceilings)
    assert status == (complaint is not None), output
    assert (complaint or "") in output
    newer[wide] = rotation(arch="sm_120")
    status, output = gate(dump(newer, "sm_120") + dump(older), ceilings)
    assert status == 1
    assert "loads are LDG.E.128 ×2, not LDG.E.ENL2.256 ×2 (sm_120)" in output


FIRST, SECOND = "ACQBULK", "PREEXIT"


@pytest.mark.parametrize(
    ("code", "arch", "complaint"),
    [
        ([FIRST, "LDG.E.128", SECOND, "EXIT"], "sm_90", None),
        ([FIRST, "LDG.E.128", "EXIT"], "sm_90", "never lets the next kernel start: no PREEXIT"),
        (["LDG.E", FIRST, SECOND, "EXIT"], "sm_90", "before ACQBULK: LDG.E at 0x0000"),
        (["STG.E", FIRST, SECOND, "EXIT"], "sm_120", "before ACQBULK: STG.E at 0x0000"),
        (["LDG.E", SECOND, "EXIT"], "sm_100", "before ACQBULK: LDG.E at 0x0000"),
        # One arm of a branch waits and the other does not.
        (
            ["@P0 BRA 0x20", FIRST, "LDG.E", SECOND, "EXIT"],
            "sm_90",
            "before ACQBULK: LDG.E at 0x0020",
        ),
        (
            ["@P0 BRA 0x30", "LDG.E", "EXIT", FIRST, SECOND, "EXIT"],
            "sm_90",
            "before ACQBULK: LDG.E at 0x0010",
        ),
        (["@P0 ACQBULK", "LDG.E", SECOND, "EXIT"], "sm_90", "before ACQBULK: LDG.E at 0x0010"),
        # The listing has the load first; no way does.
        (["BRA 0x30", "LDG.E", "EXIT", FIRST, SECOND, "BRA 0x10"], "sm_90", None),
        (["LDG.E", "EXIT"], "sm_80", None),
        (["LDG.E", SECOND, "EXIT"], "sm_80", "a dependent launch's PREEXIT ×1, where none is"),
        ([FIRST, "LDG.E", "EXIT"], "sm_80", "a dependent launch's ACQBULK ×1, where none is"),
    ],
)
def test_dependent_launch(code, arch, complaint):
    ((key, kernel),) = sass_code.parse(dump({function(): code}, arch)).items()
    measured = sass_routes.measure(key[1], kernel)
    found = sass_rules.dependence_complaints(measured, arch)
    assert [complaint in text for text in found] == ([True] if complaint else [])


def test_scalars_are_the_gate_s():
    assert {value: key for key, value in sass_code.SCALARS.items()} == SCALARS
