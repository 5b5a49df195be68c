"""The CPU benchmark's goals, where it loses, and what it measures inside a compiled graph. No time
is asserted.
"""

import io

import pytest
import torch
from bench_modules import imported

pytest.importorskip("rich")
MODULES = ("agreement", "call", "cases", "graph", "losses", "peers", "targets", "workload")


@pytest.fixture(scope="module")
def bench():
    with imported("cpu", MODULES) as modules:
        yield modules


def _case(group, dtype, **ms):
    """limit takes 1 ms, unless said otherwise."""
    providers = {name: {"ms": value} for name, value in {"limit": 1.0, **ms}.items()}
    return {"id": f"{group} {dtype}", "group": group, "dtype": dtype, "providers": providers}


@pytest.fixture
def document(bench):
    main, partial = bench.cases.MAIN, bench.cases.PARTIAL
    return {
        "cases": [
            _case(main, "f32", apply_table=0.9, apply_computed=0.99, mlx=0.8),
            _case(main, "f32", apply_table=1.2, apply_computed=1.2, transformers=6.0),
            _case(main, "bf16", apply_table=1.3, apply_computed=1.3, transformers=7.8),
            _case(main, "f16", apply_table=0.5, apply_computed=0.5, torch_compile=0.9),
            _case(partial, "f32", apply_table=0.5, apply_table_whole=1.0, mlx=0.1),
            _case(partial, "bf16", apply_table=0.9, limit_whole_heads=1.0),
            _case("another", "bf16", apply_table=9.0, transformers=1.0),
        ],
        "host": {"providers": {"apply": {"over_add": 2.0}, "apply, table": {"over_add": 2.6}}},
    }


# name: worst, met, within its ceiling.
EXPECTED = {
    "table, float32, × mul_": (1.2, False, True),
    "table, 16 bits, × copy_": (1.3, False, False),
    "computed, × table": (1.1, True, True),
    "32 of 128, float32, × all 128": (0.5, True, True),
    "32 of 128, 16 bits, × copy_ of whole heads": (0.9, False, False),
    "1 token, × add_": (2.6, False, False),
    "transformers, ÷ apply_table": (5.0, True, True),
    "torch.compile, ÷ apply_table": (1.8, False, False),
    "torch.compile in place, ÷ apply_table": (None, None, None),
    "ONNX Runtime, ÷ apply_table": (None, None, None),
    "mlx, ÷ apply_table": (0.8 / 0.9, False, False),
    "rotary-embedding-torch, ÷ apply_table": (None, None, None),
}


def test_goals_are_those_of_the_worst_case(bench, document):
    checked = {one["name"]: one for one in bench.targets.check(document)}
    assert list(checked) == list(EXPECTED)
    for name, (worst, met, within) in EXPECTED.items():
        one = checked[name]
        assert one["worst"] == pytest.approx(worst), name
        assert (one["met"], one["within"]) == (met, within), name


def test_a_goal_says_where_it_is_missed(bench, document):
    checked = bench.targets.check(document)
    assert checked[1]["where"] == document["cases"][2]["id"]
    assert checked[5]["where"] == "apply, table"


def test_goals_are_shown(bench, document):
    from rich.console import Console

    output = io.StringIO()
    bench.targets.show(bench.targets.check(document), 2, Console(file=output, width=80))
    shown = [" ".join(line.split()) for line in output.getvalue().splitlines()]
    assert "table, float32, × mul_ ≤ 1 (1.25) 1.20 no, within its ceiling" in shown
    assert "computed, × table ≤ 1.1 (1.35) 1.10 yes" in shown
    assert "torch.compile, ÷ apply_table ≥ 2 1.80 no" in shown
    assert "ONNX Runtime, ÷ apply_table ≥ 1 – not measured" in shown


def test_losses_are_all_ratios_below_one(bench):
    ahead = {
        "mlx": {"apply_table": 2.0, "rotate_qk_table": 0.9},
        "torch_compile": {"apply_table": 1.0},
    }
    case = {
        "group": "some",
        "column": "f32 split",
        "providers": {name: {"ms": 1.0, "ahead": ratios} for name, ratios in ahead.items()},
    }
    providers = {"inlined": 1.0, "apply": 1.25, "rotate_qk": 0.8}
    inside = {
        "dtype": "bf16",
        "tokens": 1,
        "providers": {name: {"over_inlined": over} for name, over in providers.items()},
    }
    found = bench.losses.losses({"cases": [case], "graph": {"cases": [inside]}})
    assert [(one.group, one.ours, one.peer, one.ratio) for one in found] == [
        ("some", "rotate_qk_table", "mlx", 0.9),
        (bench.losses.GRAPH, "apply", "inlined", 0.8),
    ]


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.5, "0.50"), (0.989, "0.98"), (0.9961, "0.996"), (0.99999, "0.999")]
)
def test_a_loss_looks_like_one(bench, ratio, text):
    assert bench.losses.below_one(ratio) == text


def test_a_compiled_graph_is_measured(bench, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr(bench.graph, "TOKENS", (3,))
    # Uncompiled: what is compiled is timed and judged alike.
    monkeypatch.setattr(bench.peers, "compile_for_these", lambda function: function)
    with torch.inference_mode():
        measured = bench.graph.measure(0.0)
    assert [(case["dtype"], case["tokens"]) for case in measured["cases"]] == [
        ("f32", 3),
        ("bf16", 3),
    ]
    for case in measured["cases"]:
        assert list(case["providers"]) == list(measured["about"])
        assert case["providers"]["inlined"]["over_inlined"] == 1


@pytest.mark.parametrize("rotation", ["inlined", "apply", "rotate_qk"])
def test_a_block_compiles_and_agrees(bench, rotation):
    """With the very graph that is timed; _prepare compares it with float64."""
    pytest.importorskip("transformers")
    make = bench.graph.rotations
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(bench.graph, "rotations", lambda work: {rotation: make(work)[rotation]})
        case = bench.cases.Case(
            "", torch.bfloat16, False, tokens=3, heads_q=2, heads_k=1, head_dim=16, rotary_dim=16
        )
        assert list(bench.graph._prepare(case)) == [rotation]


def test_a_wrong_block_is_refused(bench, monkeypatch):
    def rotations(work):
        return {"inlined": lambda q, k: (q, k)}

    monkeypatch.setattr(bench.graph, "rotations", rotations)
    monkeypatch.setattr(bench.peers, "compile_for_these", lambda function: function)
    case = bench.cases.Case("", torch.float32, False, tokens=3, heads_q=2, heads_k=1)
    with pytest.raises(RuntimeError, match="inlined in a compiled graph, f32-split-t3"):
        bench.graph._prepare(case)
