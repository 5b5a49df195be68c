"""The GPU benchmark, rehearsed on the CPU: every provider runs, is judged and is timed; what is
wrong or fails is told and leaves the others alone.
"""

import json

import pytest
import torch
from benchmarks.gpu import bench, cases, providers
from benchmarks.gpu.cases import Case, Workload

ROTATING = ("table", "computed", "new", "eager")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(provider, …) → (status, report), with these beside the usual ones."""
    monkeypatch.setattr(bench, "TURN_SECONDS", 0.01)
    usual = bench.all_providers

    def run_with(*more):
        monkeypatch.setattr(bench, "all_providers", lambda *a, **k: [*usual(*a, **k), *more])
        out = tmp_path / "bench.json"
        options = ["--device", "cpu", "--out", str(out), "--no-compile"]
        status = bench.main(options)
        return status, json.loads(out.read_text())

    return run_with


def test_rehearsal(run, capsys):
    status, report = run()
    assert status == 0
    assert [case["id"] for case in report["cases"]] == [case.id for case in bench.tiny_cases()]
    for case in report["cases"]:
        assert case["errors"] == {}
        assert {"cold", "wall"} <= set(case["results"])
        for found in case["results"].values():
            assert set(found) == {"scale", *ROTATING}
            assert all(0 < f["p10"] <= f["us"] <= f["p90"] for f in found.values())
    assert {"commit", "source_hash", "gpus", "torch", "nvcc"} <= set(report["facts"])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| ") for line in lines) > len(report["cases"])
    assert lines[-1].startswith("summary: bf16-split-t16")


def raises(_work):
    raise RuntimeError("no such kernel")


def unrotated(work):
    return [lambda pair=pair: (pair.q.clone(), pair.k.clone()) for pair in work.sets]


def not_negated(work):
    return [lambda: None for _ in work.plain_sets]


@pytest.mark.parametrize(
    ("make", "traits", "error"),
    [
        (raises, {}, "RuntimeError: no such kernel"),
        (unrotated, {"in_place": False}, "Wrong: q is off by"),
        (not_negated, {"rotates": False}, "Wrong: q is not its input negated"),
    ],
    ids=["raises", "unrotated", "not-negated"],
)
def test_what_is_wrong_is_told(run, make, traits, error):
    status, report = run(providers.Provider("other", make, **traits))
    assert status == 1
    case = report["cases"][0]
    assert case["errors"]["other"].startswith(error)
    assert set(case["results"]["cold"]) == {"scale", *ROTATING}


def test_no_time(tmp_path, capsys):
    out = tmp_path / "bench.json"
    options = ["--device", "cpu", "--out", str(out), "--no-compile", "--seconds", "0"]
    assert bench.main(options) == 1
    assert json.loads(out.read_text())["left_out"] == [case.id for case in bench.tiny_cases()]
    assert capsys.readouterr().out.splitlines()[-1] == "summary: nothing was measured"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(tmp_path, capsys):
    assert bench.main(["--out", str(tmp_path / "bench.json")]) == 1
    assert "no CUDA device" in capsys.readouterr().out


@pytest.mark.parametrize("case", cases.all_cases(), ids=lambda case: case.id)
def test_cold_sets_exceed_the_cache(case):
    """Twice an L2 cache of 50 MB, or 512 sets, before each replay of which it is emptied."""
    sets = case.num_sets(50 << 20)
    assert sets * case.rotated_bytes >= 2 * (50 << 20) or sets == cases.MOST_SETS
    calls = case.num_calls(sets)
    assert calls % sets == 0
    assert calls >= cases.FEWEST_CALLS


def test_counted_bytes():
    """20,480 bytes of q and k a token, read and written, and 8 of position."""
    assert Case(8192).counted_bytes == 8192 * (2 * 2 * 40 * 128 + 8)
    assert Case(8192, rotary_dim=32).rotated_bytes == Case(8192).rotated_bytes // 4


def test_workload_of_a_packed_projection():
    case = Case(3, heads_q=4, heads_k=2, head_dim=8, rotary_dim=8, packed=True)
    pair = Workload(case, torch.device("cpu"), 2).sets[0]
    assert (pair.q.shape, pair.k.shape) == ((1, 3, 4, 8), (1, 3, 2, 8))
    assert pair.q.stride() == pair.k.stride() == (3 * 64, 64, 8, 1)
    assert pair.q.untyped_storage().data_ptr() == pair.k.untyped_storage().data_ptr()


def test_ids_are_unique():
    ids = [case.id for case in cases.all_cases()]
    assert len(set(ids)) == len(ids)
