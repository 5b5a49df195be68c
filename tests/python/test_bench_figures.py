"""README's tables of times are what benchmarks/figures makes of the committed results; the plots
and tables of a small result of either benchmark hold what is in it, losing cases included.
"""

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from bench_modules import imported

pytest.importorskip("matplotlib")
pytest.importorskip("rich")
ROOT = Path(__file__).resolve().parents[2]
MODULES = ("__main__", "plots", "readme", "results")
README = ROOT / "README.md"
FIGURES = ROOT / "docs" / "figures"


@pytest.fixture(scope="module")
def figures():
    with imported("figures", MODULES) as modules:
        yield modules


SHAPE = {"heads_q": 32, "heads_k": 8, "head_dim": 128, "rotary_dim": 128, "interleaved": False}


def cpu_case(tokens, *, cold=False, **peers):
    """ours takes as many µs as there are tokens, and the limit half of that."""
    ours = tokens / 1000
    providers = {
        "limit": {"ms": ours / 2},
        "apply_table": {"ms": ours},
        "apply_computed": {"ms": 1.1 * ours},
    }
    for peer, ratio in peers.items():
        providers[peer] = {"ms": ratio * ours, "ahead": {"apply_table": ratio}}
    group = "2048 tokens, 32 + 8 heads of 128" if tokens == 2048 and not cold else "by tokens"
    facts = {"group": group, "column": f"{tokens}", "dtype": "bf16", "tokens": tokens, **SHAPE}
    return {"id": f"t{tokens}", **facts, "cold": cold, "providers": providers, "missing": {}}


def cpu_document(date="2026-01-02", ratio=0.5):
    kinds = {"limit": "limit", "apply_table": "ours", "apply_computed": "ours", "mlx": "peer"}
    about = {"apply_computed": "angles computed"}
    goal = {"name": "some goal", "goal": 1.0, "ceiling": 1.25, "at_most": True, "worst": 1.2}
    return {
        "benchmark": "cpu",
        "date": date,
        "commit": "0123456789abcdef",
        "device": {"cpu": "Some CPU", "threads": 2, "vector_bytes": 32},
        "versions": {"torch": "2.15.0+cpu"},
        "providers": {
            name: {"kind": kind, "about": about.get(name, ""), "rivals": ["apply_table"]}
            for name, kind in kinds.items()
        },
        "cases": [
            *(cpu_case(tokens, mlx=3.0) for tokens in (16, 128)),
            cpu_case(2048, mlx=ratio),
            cpu_case(2048, cold=True),
        ],
        "targets": [{**goal, "met": False, "within": True}],
    }


def gpu_case(tokens, **us):
    facts = {"id": f"bf16-t{tokens}", "tokens": tokens, "dtype": "bf16", **SHAPE}
    times = {name: {"us": value, "p10": value, "p90": value} for name, value in us.items()}
    return {**facts, "counted_bytes": 1, "results": {"cold": times, "wall": times}}


def gpu_document():
    gpu = {"name": "Some GPU", "driver_version": "1.2"}
    return {
        "facts": {"gpus": [gpu], "time": "2026-01-03", "commit": "0123456789abcdef"},
        "cases": [
            gpu_case(tokens, **{"scale-1": 9.0, "scale-2": 4.0, "table": 5.0, "eager": eager})
            for tokens, eager in ((1, 10.0), (128, 11.0), (2048, 2.5))
        ],
    }


@pytest.fixture
def folder(tmp_path):
    """Two results of a CPU, the older in a folder that comes last, and one of a GPU; and newer
    ones that are of some cases only, or of none."""
    files = {
        "cpu-a/new.json": cpu_document(),
        "cpu-b/old.json": cpu_document("2025-01-01", ratio=7.0),
        "cpu-b/some.json": {**cpu_document("2027-01-01"), "command": "… --cases f32"},
        "some-gpu/bench.json": gpu_document(),
        "some-gpu/report.json": {"facts": {}, "failed": []},
    }
    for name, document in files.items():
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    return tmp_path / "results"


def test_readme_is_what_the_results_say(figures):
    """Otherwise: make figures."""
    text = README.read_text(encoding="utf-8")
    assert {match["kind"] for match in figures.readme.BLOCK.finditer(text)} == {"cpu", "gpu"}
    assert figures.readme.rewritten(text) == text


def test_readme_s_plots_are_of_the_same_results(figures):
    """Words in them are words in the file, and tell the processor. Otherwise: make figures."""
    for kind in ("cpu", "gpu"):
        for result in figures.results.newest(kind):
            for name in figures.plots.drawn(result):
                svg = FIGURES / f"{figures.plots.file_name(result, name)}.svg"
                assert f"{result.title}, {result.date[:10]}" in svg.read_text(encoding="utf-8")


def test_newest_results(figures, folder):
    (cpu,), (gpu,) = (figures.results.newest(kind, folder) for kind in ("cpu", "gpu"))
    assert cpu.path.name == "new.json"
    assert (gpu.path.name, gpu.name, gpu.title) == ("bench.json", "some-gpu", "Some GPU")
    assert (gpu.peers, gpu.ours) == (("eager",), "table")
    assert gpu.rows[0].us == {"limit": 4.0, "table": 5.0, "eager": 10.0}


CPU_LINES = [
    "| 2048 tokens, 32 + 8 heads of 128 | 2.00 to 2.00 | 1.10 to 1.10 | 0.50 (mlx) |",
    "| by tokens | 2.00 to 2.00 | 1.10 to 1.10 | 3.00 (mlx) |",
    "| `apply_computed` | 2.20 to 2.20 | angles computed |",
    "| some goal | ≤ 1 (1.25) | 1.20 | no, within its ceiling |",
    "| 2048 tokens, 32 + 8 heads of 128 | `apply_table` | mlx | 2048 0.50 |",
]
GPU_LINES = [
    "| `bf16-t1`, cold | 5.00 | 1.25 | – | 2.00 (plain torch) |",
    "| `bf16-t2048`, cold | 5.00 | 1.25 | – | 0.50 (plain torch) |",
    "| `bf16-t2048`, cold | plain torch | 0.50 |",
    "| `bf16-t2048`, wall | plain torch | 0.50 |",
]


def test_kinds_that_a_gpu_s_file_tells(figures, tmp_path):
    """An empty kernel is no limit and no peer, and a ceiling may have any name."""
    kinds = {"lift": "ceiling", "floor": "floor", "table": "ours", "new2": "ours", "other": "peer"}
    document = {
        **gpu_document(),
        "providers": {name: {"kind": kind} for name, kind in kinds.items()},
        "cases": [gpu_case(1, lift=3.0, floor=1.0, table=4.0, new2=6.0, other=5.0)],
    }
    (tmp_path / "bench.json").write_text(json.dumps(document), encoding="utf-8")
    result = figures.results.load(tmp_path / "bench.json")
    assert result.rows[0].us == {"limit": 3.0, "table": 4.0, "new2": 6.0, "other": 5.0}
    assert (result.others, result.peers) == (("new2",), ("other",))


@pytest.mark.parametrize(("kind", "expected"), [("cpu", CPU_LINES), ("gpu", GPU_LINES)])
def test_tables_hold_what_the_results_do(figures, folder, kind, expected):
    lines = figures.readme.lines_of(kind, folder)
    for line in expected:
        assert line in lines
    assert f"cold | plain torch | {2.0:.2f}" not in "\n".join(lines)


def test_only_what_is_between_the_marks_is_written(figures, folder):
    text = "a\n<!-- speed:begin cpu: b -->\nstale words\n<!-- speed:end -->\nc\n"
    text += "<!-- speed:begin gpu -->\n<!-- speed:end -->\nd\n"
    new = figures.readme.rewritten(text, folder)
    assert new.startswith("a\n<!-- speed:begin cpu: b -->\nFrom `new.json`")
    assert "stale" not in new
    assert new.endswith("<!-- speed:end -->\nd\n")
    assert figures.readme.rewritten(new, folder) == new


def test_without_results(figures, tmp_path):
    assert figures.readme.lines_of("gpu", tmp_path) == ["No result of a GPU is here yet."]


def test_a_result_without_losses(figures, folder):
    shutil.rmtree(folder / "cpu-a")
    assert "Where we lose: nowhere in this file." in figures.readme.lines_of("cpu", folder)


def test_plots(figures, folder, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- speed:begin cpu -->\n<!-- speed:end -->\n", encoding="utf-8")
    arguments = ["--results", folder, "--figures", tmp_path / "plots", "--readme", readme]
    assert figures.__main__.main([str(argument) for argument in arguments]) == 0
    found = {path.name: path.read_text("utf-8") for path in (tmp_path / "plots").iterdir()}
    names = [
        f"speed-{result}-{plot}.svg"
        for result in ("cpu", "some-gpu")
        for plot in ("peers", "tokens")
    ]
    assert sorted(found) == names
    for name, text in found.items():
        ElementTree.fromstring(text)
        assert ("mlx" if "cpu" in name else "plain torch") in text
        assert ("limit: the same bytes moved" in text) == ("tokens" in name)
    assert "docs/figures/speed-cpu-tokens.svg" in readme.read_text(encoding="utf-8")
    before = dict(found)
    figures.__main__.main([str(argument) for argument in arguments])
    again = {path.name: path.read_text("utf-8") for path in (tmp_path / "plots").iterdir()}
    assert again == before


def test_too_few_sizes_make_no_curve(figures, folder):
    (result,) = figures.results.newest("cpu", folder)
    # Three sizes in the caches, one out of them.
    assert list(figures.plots.panels_of_curve(result)) == ["hot"]
    assert figures.plots.drawn(result) == ["tokens", "peers"]
