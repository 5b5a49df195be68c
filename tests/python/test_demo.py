"""The demo at a tiny size: its recipe swaps the rotation of one model and of nothing else, what it
compares with is exact, and it prints every table.

Tolerances: the float32 model and the float64 twin differ by the float32 roundings of everything
but the rotation, the same on both sides, and by the rotation's own. transformers' rotation rounds
like ours (two products and a sum) where its angles are small, so near position 0 its distance from
the twin is the yardstick; ours may be twice that, wherever the text stands.
"""

import importlib
import importlib.util
import io
import re
from contextlib import nullcontext
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
    "tokens": 16,
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
        names = ("transformers_llama", "swap_rotary", "_llama", "_report")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "text"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def llama(examples, text, device):
    return examples._llama.Llama(examples._llama.Settings(torch.device(device), **SIZES), text)


@pytest.fixture
def ours(examples, llama):
    return examples.swap_rotary.rotation(llama.embedding(llama.schedule, SIZES["table_rows"]))


def _distance(a, b):
    return float((a.double() - b.double()).abs().max())


@pytest.mark.parametrize("start", [0, FAR], ids=["near", "far"])
def test_swapped_model_stays_by_the_float64_model(examples, llama, ours, start):
    tokens = SIZES["tokens"]
    with torch.inference_mode():
        twin = examples._llama.float64_twin(llama.model)
        exact = llama.logits(llama.exact_rotation, tokens, start, twin)
        near = llama.logits(llama.exact_rotation, tokens, 0, twin)
        yardstick = _distance(llama.logits(None, tokens), near)
        result = llama.logits(ours, tokens, start)
    assert 0 < _distance(result, exact) <= 2 * yardstick


def test_gradients_stay_by_the_float64_model(examples, llama, ours):
    tokens = SIZES["tokens"]
    twin = examples._llama.float64_twin(llama.model)

    def gradients(model, rotate):
        weights = [layer.self_attn.q_proj.weight for layer in model.model.layers]
        loss = llama.logits(rotate, tokens, model=model).square().mean()
        return torch.cat(torch.autograd.grad(loss, weights))

    exact = gradients(twin, llama.exact_rotation)
    yardstick = _distance(gradients(llama.model, None), exact)
    assert _distance(gradients(llama.model, ours), exact) <= 2 * yardstick


def test_every_layer_hands_over_views_of_its_projections(llama):
    seen = []

    def rotate(q, k, positions):
        seen.append((q.shape, k.shape, q.is_contiguous() and k.is_contiguous(), positions))
        return q, k

    tokens, start = SIZES["tokens"], 5
    with torch.inference_mode():
        llama.logits(rotate, tokens, start)
    assert len(seen) == llama.settings.num_layers
    for q_shape, k_shape, is_view, positions in seen:
        assert q_shape == (1, tokens, 4, 64)
        assert k_shape == (1, tokens, 2, 64)
        assert is_view
        assert positions.tolist() == [list(range(start, start + tokens))]


def _stock(examples, model):
    return model.model.rotary_emb, examples._llama.modeling_llama.apply_rotary_pos_emb


@pytest.mark.parametrize("error", [None, KeyError("inside")], ids=["normal", "exception"])
def test_swap_ends_with_its_block(examples, text, error):
    settings = examples._llama.Settings(torch.device("cpu"), **SIZES)
    model = examples._llama.build_model(settings)
    before, keys = _stock(examples, model), list(model.state_dict())
    swapped = examples.swap_rotary.swapped_rotary(model, lambda q, k, positions: (q, k))
    with pytest.raises(KeyError) if error else nullcontext(), swapped:
        assert all(a is not b for a, b in zip(_stock(examples, model), before, strict=True))
        assert list(model.state_dict()) == keys
        if error:
            raise error
    assert all(a is b for a, b in zip(_stock(examples, model), before, strict=True))


def test_other_models_keep_their_rotation(examples, llama, ours):
    other = examples._llama.build_model(llama.settings)
    with torch.inference_mode():
        before = llama.logits(None, 8, model=other)
        with examples.swap_rotary.swapped_rotary(llama.model, ours):
            during = llama.logits(None, 8, model=other)
    assert torch.equal(before, during)


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
    twin = examples._llama.float64_twin(llama.model)
    with torch.inference_mode(), _FloatingTypes() as types:
        llama.logits(llama.exact_rotation, 8, model=twin)
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
    tokens = examples._llama.read_text(path, length, torch.device("cpu"))
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

    settings = examples._llama.Settings(torch.device(device), **SIZES)
    output = io.StringIO()
    with torch.inference_mode():
        report = examples._report.Report(Console(file=output, width=80))
        figure = tmp_path / "scores.svg"
        examples.transformers_llama.run(settings, text, figure, report)
    printed = output.getvalue()
    assert figure.exists() == (importlib.util.find_spec("matplotlib") is not None)
    for title in (
        "What is compared",
        "Logits: largest difference",
        "The rotation alone",
        "Time a call",
        "What ran",
        "4 × the length: 64 tokens",
    ):
        assert title in printed
    assert printed.count("How to read it") == 4
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
