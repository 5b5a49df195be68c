"""The GPU benchmark, rehearsed on the CPU: every provider runs, is judged and is timed; what is
wrong or fails is told and leaves the others alone.
"""

import dataclasses
import json

import pytest
import torch
from benchmarks.gpu import bench, cases, clock, providers
from benchmarks.gpu.agreement import Wrong, verify
from benchmarks.gpu.cases import Case, Workload
from benchmarks.gpu.provider import OURS, PEER, NotServed

ROTATING = ("table", "computed", "new", "new_computed", "eager")
SMALL = {"heads_q": 4, "heads_k": 2, "head_dim": 32, "rotary_dim": 32}


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
    names = {"scale", *ROTATING}
    assert set(report["providers"]) == names
    for case in report["cases"]:
        assert case["errors"] == {}
        assert ({"chain"} if case["chain"] else {"cold", "wall"}) <= set(case["results"])
        for found in case["results"].values():
            assert set(found) == names - set(case["not_served"])
            assert all(0 < f["p10"] <= f["us"] <= f["p90"] for f in found.values())
    left_out = {case["id"]: set(case["not_served"]) for case in report["cases"]}
    assert left_out["bf16-split-t16-h4:2-d32-r32"] == set()
    assert left_out["bf16-split-t16-h4:2-d32-r32-backward"] == {"new", "new_computed"}
    assert left_out["bf16-split-t1-h4:2-d32-r32-chain"] == {"eager"}
    assert left_out["bf16-split-t3-h1:0-d32-r32"] == {"eager"}
    assert {"commit", "source_hash", "gpus", "torch", "nvcc"} <= set(report["facts"])
    assert {"liger", "flash_attn", "flashinfer", "sglang", "vllm"} <= set(report["peers"])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| ") for line in lines) > len(report["cases"])
    assert sum(" s left]" in line for line in lines) == len(report["cases"])
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


def test_what_is_wrong_with_others_fails_nothing(run, capsys):
    status, report = run(providers.Provider("other", raises, kind=PEER))
    assert status == 0
    assert report["cases"][0]["errors"] == {"other": "RuntimeError: no such kernel"}
    assert "other: RuntimeError: no such kernel" in capsys.readouterr().out


def test_what_is_not_served_is_told(run):
    def make(_work):
        raise NotServed("half-split only")

    status, report = run(providers.Provider("other", make))
    assert status == 0
    case = report["cases"][0]
    assert case["errors"] == {}
    assert case["not_served"] == {"other": "half-split only"}


def test_some_cases(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "TURN_SECONDS", 0.01)
    out = tmp_path / "bench.json"
    options = ["--device", "cpu", "--out", str(out), "--no-compile", "--cases", "packed"]
    assert bench.main(options) == 0
    assert [c["id"] for c in json.loads(out.read_text())["cases"]] == [
        "bf16-split-t1-h4:2-d32-r32-packed"
    ]


@pytest.mark.parametrize("interleaved", [False, True], ids=["split", "interleaved"])
@pytest.mark.parametrize("make", [providers.ours_new, providers.eager], ids=["ours", "eager"])
def test_the_way_back_is_judged(make, interleaved):
    """It must be the inverse: what rotates forward once more is wrong."""
    case = Case(16, **SMALL, dtype=torch.float32, interleaved=interleaved, backward=True)
    work = Workload(case, torch.device("cpu"), 2)
    options = {"table": True} if make is providers.ours_new else {}
    kind = OURS if make is providers.ours_new else PEER
    verify(providers.Provider("some", lambda _: [], kind=kind), make(work, **options)[0], work)
    forward = Workload(dataclasses.replace(case, backward=False), torch.device("cpu"), 2)
    made = make(forward, **options)[0]()
    with pytest.raises(Wrong, match="off by"):
        verify(providers.Provider("some", lambda _: [], kind=kind), lambda: made, work)


def test_only_the_way_back_is_timed(monkeypatch):
    """One forward pass for all calls, which are as many as there are sets."""
    times = []
    rotate_qk = providers.torch_rope.rotate_qk
    monkeypatch.setattr(
        providers.torch_rope, "rotate_qk", lambda *a, **k: times.append(1) or rotate_qk(*a, **k)
    )
    work = Workload(Case(16, **SMALL, backward=True), torch.device("cpu"), 3)
    calls = providers.ours(work, table=False)
    for call in calls:
        gradients = call()
        assert [g.shape for g in gradients] == [work.sets[0].q.shape, work.sets[0].k.shape]
    assert (len(calls), len(times)) == (3, 1)


@pytest.mark.parametrize("forward", [False, True], ids=["angles-rounded", "angles-off"])
def test_angles_in_float32_have_their_own_bound(forward):
    """At a position past 100,000 the rounded angle alone is off by more than float32's bound
    allows; an angle that is off by eight times as much is still wrong."""
    case = Case(16, **SMALL, dtype=torch.float32, shuffled=True)
    work = Workload(case, torch.device("cpu"), 1)
    work.pos[:] = torch.arange(131072 - 16, 131072)
    angles = (work.pos.double()[:, None] * work.inv_freq.double()).float()
    angles = angles + (2.0**-4 if forward else 0.0)
    cos, sin = (f(angles.double())[None, :, None] for f in (torch.cos, torch.sin))

    def rotate(x):
        first, second = x.double().chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).float()

    def call():
        return rotate(work.sets[0].q), rotate(work.sets[0].k)

    given = {"make": lambda _: [], "in_place": False, "kind": PEER}
    if not forward:
        verify(providers.Provider("some", float_angles=True, **given), call, work)
    with pytest.raises(Wrong):
        verify(providers.Provider("some", float_angles=forward, **given), call, work)


@pytest.mark.cuda
@pytest.mark.parametrize("case", cases.tiny_cases(), ids=lambda case: case.id)
def test_calls_are_captured(case):
    """The way back too: autograd must run it on the stream that is captured."""
    device = torch.device("cuda")
    work = Workload(case, device, 2)
    for provider in providers.all_providers(None, with_compile=False):
        try:
            calls = provider.make(work)
        except NotServed:
            continue
        verify(provider, calls[0], work)
        assert clock.GraphReplay(calls).sample() > 0


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


@pytest.mark.parametrize(
    "case", [c for c in cases.all_cases() if not c.chain], ids=lambda case: case.id
)
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


def test_few_tokens_are_far_from_position_0():
    """Where a rotation is none, and a wrong one shows no mistake."""
    work = Workload(Case(1, **SMALL), torch.device("cpu"), 1)
    assert work.pos.tolist() == [4096]
    assert len(work.table) == 4097


def test_random_positions():
    work = Workload(Case(8, **SMALL, shuffled=True), torch.device("cpu"), 1)
    assert len(work.table) == cases.RANDOM_ROWS
    assert len(set(work.pos.tolist())) == 8
    assert work.pos.max() > 100 * 8


def test_cases_that_are_promised():
    """The curve over tokens, and what others have published figures for."""
    listed = cases.all_cases()
    curve = {case.tokens for case in listed if case == Case(case.tokens)}
    assert curve == {1, 8, 32, 64, 128, 512, 2048, 8192, 32768, 131072}
    assert {1, 5, 40} == {case.heads_q + case.heads_k for case in listed if case.tokens == 131072}
    mla = [case for case in listed if case.head_dim_k]
    assert {(case.heads_q, case.head_dim, case.heads_k, case.head_dim_k) for case in mla} == {
        (128, 192, 1, 64)
    }
    assert {case.rotary_offset for case in mla} == {-64}


def test_ids_are_unique():
    ids = [case.id for case in cases.all_cases()]
    assert len(set(ids)) == len(ids)
