"""docs/numerics.md says what make accuracy measures: a quick run of it against the committed tables
and figures, the sides that it measures against arithmetic of their own, and the names on the page.
"""

import importlib
import math
import re
import struct
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from pathlib import Path

import mpmath
import pytest
import torch

from accuracy import page
from environment.report import Failure

pytest.importorskip("transformers")
pytest.importorskip("matplotlib")
figures, measure, modes, sides, tables = (
    importlib.import_module(f"accuracy.{name}")
    for name in ("figures", "measure", "modes", "sides", "tables")
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = page.PAGE.read_text(encoding="utf-8")
COMMITTED = page.read(PAGE)
UNIT = 2.0**-24
NUMBERS = re.compile(r"\d+(?:\.\d+)?e-?\d+|\d+\.\d+×|\b0\b")


@pytest.fixture(scope="module")
def results():
    return measure.measure(quick=True)


@pytest.fixture(scope="module")
def texts(results):
    return tables.texts(results)


def cells(text):
    """(row, column) → number, of a Markdown table."""
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n"))
    found = {}
    for name, *numbers in rows:
        for column, value in zip(head[1:], numbers, strict=True):
            assert NUMBERS.fullmatch(value), value
            found[name, column] = value
    return found


def last_digit(value):
    """One unit of it: of 1.2e-4, 1e-5; of 1.58×, 0.01."""
    mantissa, _, exponent = value.rstrip("×").partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def test_places_are_those_of_the_tables(texts):
    assert sorted(COMMITTED) == sorted(texts)
    assert page.write(PAGE, COMMITTED) == PAGE


@pytest.mark.parametrize("name", sorted(COMMITTED.keys() - {"made"}))
def test_committed_tables_are_what_is_measured(name, texts):
    """Two numbers that are nearly equal differ by one unit of their last digit where rounding to
    it parts them. Inputs are the same integers everywhere; another processor's vectorised cosine
    changes some of transformers' float32 values by an ulp, which one more unit covers.
    """
    assert_same_numbers(COMMITTED[name], texts[name])


def test_committed_tables_of_modes_are_what_is_measured():
    measured = modes.texts()
    committed = page.read(modes.PAGE.read_text(encoding="utf-8"))
    assert sorted(committed) == sorted(measured)
    for name, text in measured.items():
        assert_same_numbers(committed[name], text)


def test_modes_are_exact_where_they_say_so():
    # 0.75 of a unit, as for every table.
    measured = modes.texts()
    for name, mode in (("against-own", "model"), ("against-exact", "exact")):
        of_mode = [v for (row, _), v in cells(measured[name]).items() if f'"{mode}"' in row]
        assert len(of_mode) == 2 * len(modes.POSITIONS)
        assert all(float(value) <= 0.76 * UNIT for value in of_mode)


def assert_same_numbers(committed, measured):
    committed, measured = cells(committed), cells(measured)
    assert measured
    assert {row for row, _ in committed} == {row for row, _ in measured}
    wrong = {
        at: (committed[at], value)
        for at, value in measured.items()
        if abs(float(committed[at].rstrip("×")) - float(value.rstrip("×")))
        > 2.01 * max(last_digit(value), last_digit(committed[at]))
    }
    assert not wrong, "not what the page says: run make accuracy"


def test_our_cosines_are_within_the_contract(results):
    # 0.75 of a unit; the frequency's rounding adds 10^7 * 2 pi * 2^-65 = 1.7e-12 = 3e-5 units.
    for curves in (results.tables, results.powers):
        assert 0.5 * UNIT < max(curves["torch_rope"].values()) <= 0.7501 * UNIT


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_our_rotations_are_within_the_contract(results, dtype):
    # Half an ulp of a component is at most eps / 2 of it; the component is at most its pair's norm.
    bound = torch.finfo(dtype).eps / 2 * (1 + 3.1 * UNIT) + 3.1 * UNIT
    assert 0 < max(results.rotated[dtype]["torch_rope"].values()) <= bound


def test_transformers_errors_are_those_of_float32_angles(results):
    """The largest |cos(fl(p f)) - cos(p f)|, |sin ...|; its own cos and sin add 2 ulp at most."""
    positions = torch.arange(4096)[:, None]
    rounded = (positions.float() * sides.FREQUENCIES).double()
    right = positions.double() * sides.FREQUENCIES.double()  # 12 bits by 24 bits: exact
    errors = [(f(rounded) - f(right)).abs().max() for f in (torch.cos, torch.sin)]
    measured = results.tables["transformers: float32 angle"][4096]
    assert abs(measured - float(max(errors))) <= 2 * UNIT


@pytest.mark.parametrize("frequencies", [sides.FREQUENCIES, sides.POWERS], ids=["given", "powers"])
@pytest.mark.parametrize("position", [0, 1, 4095, 2**17, 9_999_999])
def test_oracle_is_exact(frequencies, position):
    cos, sin = sides.exact_table(frequencies)(position, 1)
    with mpmath.workprec(300):
        for i in (0, 1, 17, 63):
            angle = position * mpmath.mpf(float(frequencies[i]))
            assert abs(float(mpmath.cos(angle)) - float(cos[0, i])) <= 2.0**-49
            assert abs(float(mpmath.sin(angle)) - float(sin[0, i])) <= 2.0**-49


def cut_off(value):
    """A positive Fraction as the float32 at or below it, in integers."""
    exponent = math.floor(math.log2(value)) - 23
    scaled = value / Fraction(2) ** exponent
    assert 2**23 <= scaled < 2**24
    return Fraction(math.floor(scaled)) * Fraction(2) ** exponent


@pytest.mark.parametrize("position", [1, 3, 4095, 123457, 9_999_999])
def test_model_of_sincosf(position):
    """Its product is cut off, and by the float32 that FMUL.RZ has as 0x3e22f983."""
    (inverse,) = struct.unpack("<f", (0x3E22F983).to_bytes(4, "little"))
    angles = torch.tensor([position]).float() * sides.FREQUENCIES
    cos, sin = sides.sincosf_table(position, 1)
    for i in (0, 5, 31, 63):
        turns = cut_off(Fraction(float(angles[i])) * Fraction(inverse))
        assert abs(math.cos(2 * math.pi * float(turns % 1)) - float(cos[0, i])) < 1e-14
        assert abs(math.sin(2 * math.pi * float(turns % 1)) - float(sin[0, i])) < 1e-14


class TestBlocks:
    def blocks(self, first, last):
        return list(measure.blocks(first, last, torch.Generator().manual_seed(0)))

    @pytest.mark.parametrize(("first", "last"), [(0, 1), (1024, 2048), (2**16, 2**17)])
    def test_dense_ones_are_all(self, first, last):
        positions = [p for start, rows in self.blocks(first, last) for p in (start, start + rows)]
        assert positions[0] == first
        assert positions[-1] == last
        assert positions[1:-1:2] == positions[2:-1:2]

    def test_sampled_ones_are_inside_and_at_the_end(self):
        found = self.blocks(2**23, 10_000_000)
        assert len(found) == measure.BLOCKS + 1
        assert min(found)[0] >= 2**23
        assert found[-1] == max(found) == (10_000_000 - measure.BLOCK, measure.BLOCK)


PLACE = "<!-- table: a -->\nold\n<!-- end -->\n"


def test_places_are_written():
    assert page.write(f"x\n{PLACE}y", {"a": "new"}) == f"x\n{PLACE}y".replace("old", "new")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(PLACE + PLACE, "a is there twice", id="twice"),
        pytest.param(PLACE + "<!-- end -->", "has one <!-- end -->", id="no-start"),
        pytest.param("<!-- table: b -->\n" + PLACE, "has one <!-- end -->", id="no-end"),
        pytest.param(PLACE.replace(" a ", " b "), "a, b: a place without", id="another"),
        pytest.param("", "a: a place without", id="none"),
    ],
)
def test_bad_places_are_refused(text, sentence):
    with pytest.raises(Failure, match=sentence):
        page.write(text, {"a": "new"})


def words(path):
    found = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in found]


@pytest.fixture(scope="module")
def drawn(results, tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for folder in folders:
        figures.draw(results, folder)
    return folders


@pytest.mark.parametrize("name", figures.DRAWN)
def test_committed_figures_say_what_is_drawn_now(drawn, name):
    first, second = (folder / f"{name}.svg" for folder in drawn)
    assert first.read_bytes() == second.read_bytes()
    assert "dc:date" not in first.read_text(encoding="utf-8")
    committed = ROOT / "docs" / "figures" / f"{name}.svg"
    assert words(committed) == words(first)
    assert committed.stat().st_size < 60_000


@pytest.mark.parametrize("field", ["tables", "rotated", "relative", "drift"])
def test_figures_name_every_side(results, drawn, field):
    measured = getattr(results, field)
    name = "accuracy-cos-sin" if field == "tables" else f"accuracy-{field}"
    curves = measured if field == "tables" else measured[torch.float32]
    said = words(drawn[0] / f"{name}.svg")
    assert {side.replace("`", "") for side in curves} <= set(said)


def test_the_page_shows_the_figures():
    names = [f"figures/{name}.svg" for name in figures.DRAWN]
    assert sorted(map(str, page.figures(PAGE))) == sorted(names)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:tests|scripts)/[\w/]+\.\w+)`", PAGE)))
)
def test_files_that_the_page_names_exist(path):
    assert (ROOT / path).is_file()


NAMED = [
    (path, test)
    for path, tests in re.findall(r"`(tests/[\w/]+\.py)`: ((?:`test_\w+`(?:, )?)+)", PAGE)
    for test in re.findall(r"`(test_\w+)`", tests)
]


@pytest.mark.parametrize(("path", "test"), NAMED, ids=[test for _, test in NAMED])
def test_tests_that_the_page_names_exist(path, test):
    assert f"\ndef {test}(" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("number", range(1, 8))
def test_every_guarantee_has_a_test(number):
    (row,) = re.findall(rf"^\| {number} \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    assert "`tests/" in row
