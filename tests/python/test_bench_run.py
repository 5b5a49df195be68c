"""The CPU benchmark at tiny sizes: a result file has its fields, its ratios are those of its times,
tables fit the screen. No time is asserted.
"""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench_modules import imported

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("__main__", "call", "cases", "graph", "host", "machine", "onnx_runtime", "other_peers")
MODULES += ("peers", "providers", "report", "runner", "tables", "workload")
TINY = {"tokens": 4, "heads_q": 2, "heads_k": 1, "head_dim": 16}


@pytest.fixture(scope="module")
def bench():
    pytest.importorskip("rich")
    with imported("cpu", MODULES) as modules:
        yield modules


@pytest.fixture
def settings(bench):
    return bench.runner.Settings(threads=1, seconds=0.0, command="python -m benchmarks.cpu")


@pytest.fixture
def quick(bench, monkeypatch):
    """Without what takes seconds to compile; all peers are there in name only, and missing."""
    quick = [one for one in bench.providers.PROVIDERS if "compile" not in one.name]
    monkeypatch.setattr(bench.providers, "PROVIDERS", quick)
    monkeypatch.setattr(bench.runner, "PROVIDERS", quick)

    def not_installed(name):
        raise bench.call.Missing(f"{name.split('.')[0]} is not installed")

    for module in (bench.peers, bench.onnx_runtime, bench.other_peers):
        monkeypatch.setattr(module, "installed", not_installed)


@pytest.fixture
def document(bench, settings, quick):
    case = bench.cases.Case
    cases = [
        case("whole", torch.float32, False, rotary_dim=16, detailed=True, **TINY),
        case("whole", torch.bfloat16, True, rotary_dim=16, **TINY),
        case("part", torch.float16, False, rotary_dim=8, cold=True, **TINY),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.machine, "cache_bytes", lambda: 1000)
        patch.setattr(bench.tables, "ROWS", 1024)
        return bench.runner.run(cases, settings)


TOP = {
    "format": int,
    "benchmark": str,
    "date": str,
    "command": str,
    "commit": str | None,
    "modified": bool | None,
    "device": dict,
    "versions": dict,
    "method": str,
    "providers": dict,
    "cases": list,
    "graph": dict,
    "table": dict,
    "host": dict,
    "targets": list,
}
DEVICE = {
    "cpu": str,
    "virtual": bool,
    "cpus": int,
    "cache_bytes": int,
    "vector_bytes": int,
    "threads": int,
}
CASE = {
    "id": str,
    "group": str,
    "column": str,
    "dtype": str,
    "interleaved": bool,
    "tokens": int,
    "heads_q": int,
    "heads_k": int,
    "head_dim": int,
    "rotary_dim": int,
    "rotary_offset": int,
    "batch": int,
    "first_position": int,
    "shuffled": bool,
    "cold": bool,
    "sets": int,
    "data_bytes": int,
    "cpus_used_by_others": float | None,
    "providers": dict,
    "missing": dict,
}
FIGURES = {"ms": float, "median_ms": float, "samples": int, "over_limit": float}


def _assert_fields(found, expected, optional=()):
    assert set(expected) <= set(found) <= {*expected, *optional}
    for name, kind in expected.items():
        assert isinstance(found[name], kind), name


def test_document_has_its_fields(document):
    _assert_fields(document, TOP)
    _assert_fields(document["device"], DEVICE, ["family", "model_number"])
    assert document["versions"]["torch"] == torch.__version__
    for case in document["cases"]:
        _assert_fields(case, CASE)
        for figures in case["providers"].values():
            _assert_fields(figures, FIGURES, ["ahead"])
        assert {*case["providers"], *case["missing"]} <= set(document["providers"])


def test_document_holds_every_provider_or_why_not(document):
    ours = ["apply_table", "apply_computed", "rotate_qk_table"]
    detailed, whole, part = document["cases"]
    assert list(whole["providers"]) == ["limit", *ours]
    limits, computed = ["limit", "limit_whole_heads"], ours[:2]
    assert list(part["providers"]) == [*limits, *computed, "apply_table_whole", ours[2]]
    peers = ["transformers", "onnxruntime", "mlx", "rotary_embedding_torch"]
    assert list(whole["missing"]) == peers
    assert whole["missing"]["mlx"] == "mlx is not installed"
    assert [name for name in detailed["providers"] if "@" not in name] == [
        "limit",
        *ours,
        "rotate_qk_computed",
        "rotate_qk_backward",
    ]
    assert "apply_table@baseline" in detailed["providers"]
    assert "transformers_backward" in detailed["missing"]


def test_document_ratios_are_those_of_its_times(document):
    for case in document["cases"]:
        limit = case["providers"]["limit"]
        assert limit["over_limit"] == 1
        for figures in case["providers"].values():
            assert figures["over_limit"] == pytest.approx(figures["ms"] / limit["ms"], rel=1e-12)
            assert 0 < figures["ms"] <= figures["median_ms"]


def test_document_says_what_a_table_takes(document):
    table = document["table"]
    assert (table["rows"], table["rotary_dim"]) == (1024, 128)
    ours = table["providers"]["cos_sin_table"]["ms"]
    assert list(table["providers"]) == list(table["about"])
    for figures in table["providers"].values():
        assert figures["over_ours"] == pytest.approx(figures["ms"] / ours, rel=1e-12)
    if "in_used_memory" in table:
        assert table["in_used_memory"].keys() == table["providers"].keys()


def test_freed_memory_is_kept_in_a_new_process():
    """And faults are seen outside: both are what the figures in used memory rest on."""
    code = (
        "from benchmarks.cpu import tables\n"
        "before = tables._faults()\n"
        "with tables.freed_memory_kept() as is_kept: print(is_kept, before > 10000)"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True"]


def test_document_says_what_a_call_costs(document):
    host = document["host"]
    limit = host["providers"]["add_"]["us"]
    assert list(host["providers"]) == list(host["about"])
    for figures in host["providers"].values():
        assert figures["over_add"] == pytest.approx(figures["us"] / limit, rel=1e-12)


def test_table_with_wrong_values_is_not_timed(bench, monkeypatch):
    monkeypatch.setattr(bench.tables, "ROWS", 64)
    wrong = torch.zeros(64, bench.tables.ROTARY_DIM)
    monkeypatch.setattr(bench.tables.torch_rope, "cos_sin_table", lambda *_: wrong)
    with pytest.raises(RuntimeError, match="disagree"):
        bench.tables.measure(seconds=0.0)


def test_document_counts_bytes_and_sets(document):
    # Read and written: 4 tokens, 3 heads. Cold: twice 1000 bytes, in sets of 4 · 3 · 16 · 2.
    assert [case["data_bytes"] for case in document["cases"]] == [2 * 768, 2 * 384, 2 * 192]
    assert [case["sets"] for case in document["cases"]] == [1, 1, 6]


def test_run_restores_the_number_of_threads(bench, settings, quick):
    before = torch.get_num_threads()
    case = bench.cases.Case("", torch.float32, False, rotary_dim=16, **TINY)
    try:
        torch.set_num_threads(3)
        bench.runner.run([case], settings)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_save_and_load(bench, document, tmp_path):
    document = {**document, "date": "2001-02-03T04:05:06Z"}
    document["device"] = {**document["device"], "cpu": "Some(R) CPU X 1 @ 2GHz"}
    path = bench.report.save(document, results=tmp_path)
    assert path == tmp_path / "cpu-some-x-1" / "2001-02-03-1-threads.json"
    loaded = bench.report.load(path)
    assert loaded.keys() == document.keys()
    ms = document["cases"][0]["providers"]["limit"]["ms"]
    assert loaded["cases"][0]["providers"]["limit"]["ms"] == pytest.approx(ms, rel=5e-5)
    assert bench.report.save(document, "named", tmp_path).name == "named.json"


def test_result_files_name_no_place(bench, document):
    assert str(ROOT) not in json.dumps(document)


@pytest.mark.parametrize("peers", [False, True], ids=["missing-peers", "peers"])
def test_tables_fit_80_columns(bench, document, peers):
    """With as many columns as a group has, and names and values as long as they get."""
    from rich.console import Console

    names = ["transformers", "torch_compile_in_place", "onnxruntime", "rotary_embedding_torch"]
    kinds = {name: {"kind": "peer", "about": name} for name in names}
    case = document["cases"][2]
    if peers:
        figures = {"ms": 123.4, "over_limit": 1234.5, "ahead": {"apply_table": 12345.6}}
        case = {**case, "providers": {**case["providers"], **dict.fromkeys(names, figures)}}
    columns = [f"{dtype} {p}" for dtype in ("f32", "bf16", "f16") for p in ("split", "interleaved")]
    document = {
        **document,
        "providers": {**document["providers"], **kinds},
        "cases": [{**case, "column": column, "group": "2048 tokens"} for column in columns],
    }
    output = io.StringIO()
    bench.report.show(document, Console(file=output, width=80))
    printed = output.getvalue()
    assert not re.search(r"\w…|\b(nan|inf)\b", printed)
    assert "missing: onnxruntime in 6 of 6 cases" in printed
    assert ("12346" in printed) == peers
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize(
    ("others", "said"),
    [(0.2, None), (1.5, "Do not trust 1 of 3 cases"), (None, "does not tell whether")],
    ids=["quiet", "busy", "unknown"],
)
def test_a_busy_machine_is_named(bench, document, others, said):
    from rich.console import Console

    for case, cpus in zip(document["cases"], [others, 0.0, 0.0], strict=True):
        case["cpus_used_by_others"] = cpus
    output = io.StringIO()
    bench.report.show(document, Console(file=output, width=200))
    doubts = re.findall("Do not trust 1 of 3 cases|does not tell whether", output.getvalue())
    assert doubts == ([said] if said else [])


@pytest.mark.parametrize("name", ["a/b", "../b", "/b"])
def test_save_takes_a_name_only(bench, name, capsys):
    with pytest.raises(SystemExit):
        bench.__main__.main(["--save", name])
    assert "--save takes a name, not a path" in capsys.readouterr().err


def test_no_such_case_is_said(bench, capsys):
    assert bench.__main__.main(["--cases", "f64"]) == 1
    assert capsys.readouterr().err.startswith("No case has f64 in its id; there are\nf32-split")


def test_main_shows_a_file(bench, document, tmp_path, capsys):
    path = bench.report.save(document, results=tmp_path)
    assert bench.__main__.main(["--show", str(path)]) == 0
    assert "apply_table" in capsys.readouterr().out
