"""The demo at a tiny size: what it compares are the same weights on both sides, what it compares
with is exact, and it prints every table.

Tolerances: the float32 model and the float64 twin differ by the float32 roundings of everything
but the rotation, the same on both sides, and by the rotation's own. transformers' rotation rounds
like ours (two products and a sum) where its angles are small, so near position 0 its distance from
the twin is the yardstick; ours may be twice that, wherever the text stands.
"""

import importlib
import importlib.util
import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FAR = 100_000
SIZES = {
    "hidden_size": 128,
    "num_heads_q": 4,
    "num_heads_k": 2,
    "intermediate_size": 128,
    "table_rows": FAR + 64,
    "other_hidden_size": 64,
    "tokens": 16,
    "few_tokens": 16,
    "new_tokens": 3,
    "far": FAR,
    "forward_seconds": 0.0,
    "rotation_seconds": 0.0,
}
TEXT = b"Rotary positions are relative. " * 4


@pytest.fixture(scope="module")
def examples():
    pytest.importorskip("transformers")
    pytest.importorskip("rich")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        names = ("transformers_llama", "_float64", "_models", "_report")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "text"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def llama(examples, text, device):
    return examples._models.Llama(examples._models.Settings(torch.device(device), **SIZES), text)


def _distance(a, b):
    return float((a.double() - b.double()).abs().max())


@pytest.mark.parametrize("start", [0, FAR], ids=["near", "far"])
def test_enabled_model_stays_by_the_float64_model(examples, llama, start):
    text, read = llama.text[:, : SIZES["tokens"]], examples._models.logits
    with torch.inference_mode():
        twin = examples._float64.Float64Twin(llama.model)
        yardstick = _distance(read(llama.model, text), read(twin, text))
        result = read(llama.enabled, text, start)
        assert 0 < _distance(result, read(twin, text, start)) <= 2 * yardstick


def test_both_models_have_the_same_weights(llama):
    pairs = zip(llama.model.parameters(), llama.enabled.parameters(), strict=True)
    assert all(stock is ours for stock, ours in pairs)


def test_the_stock_model_is_stock(examples, llama):
    other = examples._models.build(examples._models.llama, llama.settings)
    with torch.inference_mode():
        text = llama.text[:, :8]
        expected = examples._models.logits(other, text)
        assert torch.equal(examples._models.logits(llama.model, text), expected)


def test_continued_is_what_the_logits_say(examples, llama):
    text = llama.text[:, :8]
    with torch.inference_mode():
        for token in examples._models.continued(llama.enabled, text, 3)[0]:
            assert examples._models.logits(llama.enabled, text)[-1].argmax() == token
            text = torch.cat((text, token.view(1, 1)), dim=1)


class _FloatingTypes(TorchDispatchMode):
    """Collects the types of the real results of all operations."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                self.seen.add(value.dtype)
        return result


def test_float64_model_computes_nothing_in_less(examples, llama):
    twin = examples._float64.Float64Twin(llama.model)
    with torch.inference_mode(), _FloatingTypes() as types:
        examples._models.logits(twin, llama.text[:, :8])
    assert types.seen == {torch.float64}


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        pytest.param(3, b"abc", id="truncated"),
        pytest.param(5, b"abcde", id="whole"),
        pytest.param(12, b"abcdeabcdeab", id="repeated"),
    ],
)
def test_read_text(examples, tmp_path, length, expected):
    path = tmp_path / "text"
    path.write_bytes(b"abcde")
    tokens = examples._models.read_text(path, length, torch.device("cpu"))
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == [list(expected)]


def test_take_turns_reports_the_fastest_tenth(examples, monkeypatch):
    report, clock = examples._report, [0.0]
    lasting = {"slow": iter([9.0, *range(20, 0, -1)]), "fast": iter([9.0] + [0.5] * 20)}

    def work(name):
        return lambda: clock.__setitem__(0, clock[0] + next(lasting[name]))

    monkeypatch.setattr(report.time, "perf_counter", lambda: clock[0])
    # After the warm-up, 20 rounds last 210 + 10 seconds.
    sides = {name: work(name) for name in lasting}
    assert report.take_turns(sides, 219.0, torch.device("cpu")) == {"slow": 1.5, "fast": 0.5}


def test_demo_prints_every_table(examples, text, device, tmp_path):
    from rich.console import Console

    settings = examples._models.Settings(torch.device(device), **SIZES)
    output = io.StringIO()
    with torch.inference_mode():
        report = examples._report.Report(Console(file=output, width=80))
        figure = tmp_path / "scores.svg"
        examples.transformers_llama.run(settings, text, figure, report)
    printed = output.getvalue()
    assert figure.exists() == (importlib.util.find_spec("matplotlib") is not None)
    for title in (
        "What is compared",
        "enable(model): largest error",
        "Logits: largest difference",
        "The rotation alone",
        "Time a call",
        "What ran",
        "4 × the length: 64 tokens",
    ):
        assert title in printed
    assert printed.count("How to read it") == 5
    assert not re.search(r"\b(nan|inf)\b|NOT FINITE", printed)
    # A cell that does not fit 80 columns ends in an ellipsis; ranges have a space before theirs.
    assert not re.search(r"\w…", printed)


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_main_says_in_one_line_that_there_is_no_text(examples, tmp_path, capsys, content):
    path = tmp_path / "README.md"
    if content is not None:
        path.write_bytes(content)
    assert examples.transformers_llama.main(["--text", str(path)]) == 1
    assert capsys.readouterr().err == (
        f"{path} has no text to read: name another file with --text\n"
    )


@pytest.mark.parametrize("name", ["scores.pdf", "scores", ".svg"])
def test_figure_is_an_svg_or_a_png(examples, capsys, name):
    with pytest.raises(SystemExit):
        examples.transformers_llama.main(["--figure", name])
    assert f"{name!r} ends in neither .svg nor .png" in capsys.readouterr().err


def test_main_says_in_one_line_that_the_figure_has_no_place(examples, text, capsys):
    path = text / "scores.svg"  # text is a file
    assert examples.transformers_llama.main(["--text", str(text), "--figure", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no figure can be written there: ")
    assert str(text) in line
