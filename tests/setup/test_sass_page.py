"""The ceilings are where they cost threads, and docs/machine-code.md has every kernel."""

import re
from itertools import product

import pytest

import sass_limits
import sass_page
from sass_code import SCALAR_BYTES, Name
from sass_routes import LEAST_BYTES, ROUTES

CEILINGS = sass_limits.read_ceilings(sass_limits.CEILINGS.read_text(encoding="utf-8"))
PAGE = sass_page.PAGE.read_text(encoding="utf-8")
KIND = re.compile(r"(\w+) (16|32)-bit (\d+) B × (\d+)$")


def names(arch):
    """The kernels that the ceilings are of."""
    found = []
    for _, kind in (key for key in CEILINGS.registers if key[0] == arch):
        source, bits, width, heads = KIND.match(kind).groups()
        scalars = [scalar for scalar, size in SCALAR_BYTES.items() if 8 * size == int(bits)]
        for scalar, pairing in product(scalars, ["split", "interleaved"]):
            found.append(Name(scalar, pairing, source, int(width), int(heads)))
    return found


@pytest.mark.parametrize(
    ("registers", "arch", "threads"),
    [
        (32, "sm_90", 2048),
        (33, "sm_90", 1536),
        (40, "sm_90", 1536),
        (41, "sm_80", 1280),
        (48, "sm_100", 1280),
        (64, "sm_90", 1024),
        (80, "sm_90", 768),
        (81, "sm_90", 512),
        (128, "sm_90", 512),
        (129, "sm_90", 256),
        (255, "sm_90", 256),
        (32, "sm_120", 1536),
        (41, "sm_120", 1280),
    ],
)
def test_threads(registers, arch, threads):
    """65,536 registers, in units of 8 a thread, to blocks of 256."""
    assert sass_limits.threads(registers, arch) == threads


def test_devices():
    """The issue's numbers, computed by hand: 132 · 4 · 32 · 1.755e9 · 64 / 3.015e12 = 629, and
    3.35e12 / 2 · 750e-9 / 132 = 9517 bytes.
    """
    h100 = sass_limits.device_of("sm_90")
    assert round(h100.slots()) == 629
    assert round(h100.slots(6.0)) == 316
    assert round(h100.loads_wanted) == 9517


@pytest.mark.parametrize(("arch", "kind"), sorted(CEILINGS.registers))
def test_a_ceiling_is_the_last_before_a_block_fewer_fits(arch, kind):
    most = CEILINGS.registers[arch, kind]
    assert sass_limits.most_registers(most, arch) == most
    more = sass_limits.threads(most + 1, arch) if most < sass_limits.MOST_REGISTERS else 0
    assert more < sass_limits.threads(most, arch)


WIDE = [
    (device, name)
    for device in sass_limits.DEVICES
    for name in names(device.arch)
    if name.bytes >= LEAST_BYTES and name.pairing == "split"
]


@pytest.mark.parametrize(("device", "name"), WIDE, ids=lambda of: getattr(of, "name", str(of)))
def test_a_ceiling_leaves_enough_loads_in_flight(device, name):
    most = CEILINGS.registers[device.arch, name.kind]
    assert sass_limits.loads_in_flight(name, most, device.arch) >= device.loads_wanted


def test_every_route_has_a_ceiling():
    wanted = {
        (arch, f"{name.kind}, {label}")
        for arch in {arch for arch, _ in CEILINGS.registers}
        for name in names(arch)
        if name.bytes >= LEAST_BYTES
        for label in ROUTES[name.source]
    }
    assert wanted == CEILINGS.instructions.keys()


def test_ceilings_are_read_as_they_are_written():
    archs = {arch for arch, _ in CEILINGS.registers}
    assert sass_limits.read_ceilings(sass_limits.written(CEILINGS, archs)) == CEILINGS


def rows(table):
    """Cells of each line of a table of the page, without its head."""
    lines = sass_page.read(PAGE)[table].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_every_kernel():
    found = {row[0] for row in rows("kernels")}
    ours = {" ".join(str(name).split()) for name in names(sass_page.ARCH)}
    assert ours | {"table_kernel", "turns_kernel f32", "turns_kernel f64"} == found


@pytest.mark.parametrize("row", [row for row in rows("kernels") if " B × " in row[0]])
def test_the_page_s_numbers_are_below_the_ceilings(row):
    kernel, registers, _, _, _, *costs = row
    scalar, _, source, width = kernel.split(maxsplit=3)
    kind = f"{source} {8 * SCALAR_BYTES[scalar]}-bit {width}"
    assert int(registers) <= CEILINGS.registers[sass_page.ARCH, kind]
    counted = {
        label: float(cost.split()[0])
        for label, cost in zip(sass_page.LABELS, costs, strict=True)
        if cost != "-"
    }
    wide = int(width.split()[0]) >= LEAST_BYTES
    assert counted.keys() == (set(ROUTES[source]) if wide else set())
    for label, cost in counted.items():
        assert cost <= CEILINGS.instructions[sass_page.ARCH, f"{kind}, {label}"]


@pytest.mark.parametrize("table", ["devices", "ceilings"])
def test_what_needs_no_compiler_is_up_to_date(table):
    assert sass_page.read(PAGE)[table] == sass_page.tables({}, CEILINGS, "")[table]


def test_a_changed_number_makes_the_page_stale():
    texts = sass_page.read(PAGE)
    assert sass_page.stale(PAGE, texts) == []
    changed = texts | {"kernels": texts["kernels"].replace("1024", "1025")}
    assert sass_page.stale(PAGE, changed) == ["kernels"]
    assert sass_page.stale(PAGE, changed | {"compiler": "Compiled by nvcc 99."}) == []
    assert sass_page.stale(PAGE.replace("<!-- table: angles -->", ""), texts) == ["angles"]
    assert sass_page.read(sass_page.write(PAGE, changed)) == changed
