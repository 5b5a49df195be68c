"""The demo's figure: its numbers against arithmetic of its own, and what the file says.

With frequencies f, u = 2^-24 and w_i the share of pair i in a vector's squared length, a vector's
score with itself at distance d is the sum of w_i cos(d f_i), wherever the two stand. From a side's
largest error e of a rotated component, in units of its pair's length, follows an error of at most
2 sqrt(2) e (and less than 1 % more, from e squared) in a score.

torch_rope      half an ulp, u, and 3.1 u (bounds.py; the phase adds 2e-13 at 2^20): e = 4.1 u
transformers    its angles are the float32 products p * f, so the sum is of w_i cos(a_i(m) - a_i(n))
                with these. Then cos and sin, within 2 ulp: 2 sqrt(2) u; two products sqrt(2) u and
                their sum u: e = 5.3 u
exact           d f_i is at most 128 rad, rounded by 2^-47 in this oracle, and the reference's own
                angles, sums and quotients are nearer to right than that
"""

import functools
import importlib
import importlib.util
import io
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
FAR = 1_000_000
UNIT = 2.0**-24
TOLERANCE = {"exact": 2.0**-44, "torch_rope": 12 * UNIT, "transformers": 16 * UNIT}


@pytest.fixture(scope="module")
def examples():
    pytest.importorskip("transformers")
    pytest.importorskip("rich")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        names = ("_figure", "_models", "_report")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@functools.cache
def _llama(examples_module, device):
    sizes = {"hidden_size": 64, "num_heads_q": 1, "num_heads_k": 1, "intermediate_size": 64}
    settings = examples_module.Settings(torch.device(device), table_rows=256, **sizes)
    return examples_module.Llama(settings, ROOT / "README.md")


@functools.cache
def _scores(figure_module, llama):
    with torch.inference_mode():
        return figure_module.compute_scores(llama, llama.embedding(256))


@pytest.fixture
def llama(examples, device):
    return _llama(examples._models, device)


@pytest.fixture
def scores(examples, llama):
    return _scores(examples._figure, llama)


def _expected(side, scores, llama, query, key):
    """Scores (*key.shape, vectors): the exact ones, or those of float32 angles."""
    inv_freq = llama.schedule.inv_freq
    if side == "transformers":
        f = inv_freq.float()
        angles = (query.float()[..., None] * f).double() - (key.float()[..., None] * f).double()
    else:
        angles = (query - key).double()[..., None] * inv_freq
    squares = scores.vectors.double().square()
    pairs = squares[:, : len(inv_freq)] + squares[:, len(inv_freq) :]
    return angles.cos() @ (pairs / pairs.sum(dim=-1, keepdim=True)).T


def _neighbours(scores):
    """Key positions (21, 128): each of 1, 2, 4 … 2^20 and those before it, none below 1."""
    assert scores.positions.tolist() == [2**exponent for exponent in range(21)]
    return torch.tensor([[max(1, 2**e - back) for back in range(128)] for e in range(21)])


@pytest.mark.parametrize("side", TOLERANCE)
def test_scores_by_distance(scores, llama, side):
    assert scores.distances.tolist() == list(range(129))
    query = torch.full((129,), FAR)
    expected = _expected(side, scores, llama, query, query - scores.distances)
    assert (scores.by_distance[side] - expected).abs().max() <= TOLERANCE[side]


def test_our_errors_are_flat_in_position(scores):
    errors = scores.errors["torch_rope"]
    assert errors.min() > 0
    assert errors.max() <= TOLERANCE["torch_rope"]


def test_stock_errors_are_those_of_float32_angles(scores, llama):
    key = _neighbours(scores)
    exact = _expected("exact", scores, llama, key + 64, key)
    stock = _expected("transformers", scores, llama, key + 64, key)
    expected = (stock - exact).abs().amax(dim=(1, 2))
    assert (scores.errors["transformers"] - expected).abs().max() <= TOLERANCE["transformers"]
    # Angles from 2^19 on are multiples of 2^-4, so off by 0.018 rad as a root mean square. One
    # such pair of 32 puts a score off by 0.018 sqrt(2) / sqrt(2) / 32 = 6e-4; the largest of 4,096
    # is above their mean square, and our bound is 7e-7.
    assert scores.errors["transformers"][-1] > 100 * TOLERANCE["torch_rope"]


def test_bfloat16_costs_its_rounding(scores):
    # Each component is rounded by 2^-9 of itself at most, and there are two in each product. In
    # float16 it would be 2^-12, so that more than twice that shows which type it was.
    assert 2.0**-11 + 2.0**-24 < scores.bfloat16 <= 2 * 2.0**-9 + 2.0**-18


def test_nothing_below_position_one_is_measured(examples, scores):
    assert torch.equal(examples._figure.windows(scores.positions), _neighbours(scores))


def _labels(path):
    texts = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in texts]


def test_svg_has_its_labels_and_no_date(examples, scores, tmp_path):
    pytest.importorskip("matplotlib")
    paths = [tmp_path / "first.svg", tmp_path / "second.svg"]
    for path in paths:
        examples._figure.draw(scores, path)
    labels = " ".join(_labels(paths[0]))
    for part in (
        "with torch_rope as exactly at position 1,000,000 as at 100",
        "distance from the key to the query at position 1,000,000, tokens",
        "position of the key, tokens",
        "transformers (dots)",
        "torch_rope (line)",
        "still 64 apart",
        "100,000",
    ):
        assert part in labels
    assert paths[0].read_bytes() == paths[1].read_bytes()
    text = paths[0].read_text(encoding="utf-8")
    assert "dc:date" not in text
    assert "matplotlib.org" not in text


def test_png_is_small(examples, scores, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "scores.png"
    examples._figure.draw(scores, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert 20_000 < path.stat().st_size < 150_000


def test_committed_figure_says_what_is_drawn_now(examples, scores, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "scores.svg"
    examples._figure.draw(scores, path)
    committed = ROOT / "docs" / "figures" / "scores.svg"
    assert _labels(committed) == _labels(path)
    assert committed.stat().st_size < 150_000
    assert "(docs/figures/scores.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")


def _printed(examples, figure_module, path):
    from rich.console import Console

    output = io.StringIO()
    llama = _llama(examples._models, "cpu")
    report = examples._report.Report(Console(file=output, width=200))
    with torch.inference_mode():
        rope = llama.embedding(256)
        figure_module.show_figure(llama, report, rope, path)
    return output.getvalue()


def test_figure_is_announced_where_it_is(examples, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    printed = _printed(examples, examples._figure, tmp_path / "scores.svg")
    assert "A figure is in scores.svg:" in printed
    assert (tmp_path / "scores.svg").stat().st_size > 0


def test_only_drawing_needs_matplotlib(examples, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    source = ROOT / "examples" / "_figure.py"
    spec = importlib.util.spec_from_file_location("figure_without_matplotlib", source)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert "No figure: matplotlib is not installed" in _printed(examples, module, tmp_path / "f")
    assert not list(tmp_path.iterdir())
