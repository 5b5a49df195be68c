"""The predictions for a GPU: the page is what the model says today, the model says what its
constants say, and they are printed and written beside what is measured.
"""

import dataclasses
import json

import pytest
import torch
from benchmarks.gpu import bench, predictions, predictions_page, screen
from benchmarks.gpu.cases import Case, all_cases
from benchmarks.gpu.predictions import DEVICES, device_of, predicted_us
from benchmarks.gpu.provider import CEILING, FLOOR, OURS, PEER

H100, H200 = DEVICES["H100"], DEVICES["H200"]


def test_page_is_current():
    """python -m benchmarks.gpu.predictions_page --write"""
    assert predictions_page.PAGE.read_text("utf-8") == predictions_page.page()


def test_page_names_every_case_and_goal():
    page = predictions_page.page()
    assert all(f"| {case.id} |" in page for case in all_cases())
    assert all(f"| ≤ {goal} |" in page for goal in predictions.GOALS.values())


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA H100 80GB HBM3", H100),
        ("NVIDIA H200", H200),
        ("NVIDIA A100-SXM4-80GB", None),
        (None, None),
    ],
)
def test_device(name, known):
    assert device_of(name) is known


@pytest.mark.parametrize(
    ("case", "mode", "provider", "expected"),
    [
        # 8192 * 20,488 bytes at 4.3 TB/s; a dependent launch, a first wave, a latency.
        (Case(8192), "cold", "table", 167.837696 / 4.3 + 1.05 + 0.3 + 0.5),
        (Case(8192), "repeat", "table", 167.837696 / 4.3 + 1.05 + 0.3 + 0.5),
        # Four times that is no dependent launch.
        (Case(32768), "cold", "table", 4 * 167.837696 / 4.3 + 1.45 + 0.3 + 0.5),
        # In L2, (512 * 20,488 + a table's row of 512 bytes for each token) at 7.7 TB/s.
        (Case(512), "hot", "table", 512 * 21000 / 7.7e6 + 1.05 + 0.3),
        (Case(512), "hot", "computed", 512 * 20488 / 7.7e6 + 1.05 + 0.3),
        # One head: 64 angles of 60 instructions a token, more than its 520 bytes.
        (
            Case(8192, heads_q=1, heads_k=0),
            "hot",
            "computed",
            8192 * 64 * 60 / (132 * 128 * 1.7e3) + 1.35,
        ),
        # Decoding: with programmatic dependent launch. 18 heads' bytes are nothing.
        (Case(1, heads_q=8, heads_k=1), "chain", "table", 1.05 + (4616 + 512) / 7.7e6),
        # 24 components are 48 bytes, in two sectors: 64 move.
        (
            Case(8192, heads_q=64, heads_k=64, head_dim=96, rotary_dim=24),
            "cold",
            "table",
            8192 * (2 * 128 * 64 + 8) / 4.3e6 + 1.85,
        ),
    ],
    ids=[
        "cold",
        "repeat",
        "streaming",
        "hot-table",
        "hot-computed",
        "one-head",
        "decoding",
        "sectors",
    ],
)
def test_model(case, mode, provider, expected):
    assert predicted_us(case, mode, provider, OURS, H200) == pytest.approx(expected, rel=1e-12)


def test_ceiling_and_floor():
    one = Case(1, heads_q=8, heads_k=1)
    assert predicted_us(one, "hot", "ceiling", CEILING, H200) == pytest.approx(1.45, abs=0.001)
    assert predicted_us(one, "chain", "floor", FLOOR, H100) == 1.45
    assert predicted_us(one, "chain", "floor-pdl", FLOOR, H100) == 1.05


@pytest.mark.parametrize(
    ("mode", "provider", "kind"),
    [("wall", "table", OURS), ("cold", "new", OURS), ("cold", "eager", PEER)],
)
def test_no_prediction(mode, provider, kind):
    assert predicted_us(Case(8192), mode, provider, kind, H200) is None


def test_nothing_is_predicted_below_the_ceiling_of_its_bytes():
    """But where programmatic dependent launch makes the difference, which the ceiling lacks."""
    for case in all_cases():
        ceiling = predicted_us(case, "cold", "ceiling", CEILING, H100)
        table = predicted_us(case, "cold", "table", OURS, H100)
        assert table >= ceiling - (0.4001 if case.tokens <= 16896 else 0)


@pytest.mark.parametrize(
    ("change", "goal"),
    [
        ({}, 41.7),
        ({"tokens": 2048}, 6.9),
        ({"tokens": 1, "heads_q": 8, "heads_k": 1}, 1.05),
        ({"tokens": 1}, None),
        ({"interleaved": True}, None),
        ({"dtype": torch.float16}, None),
    ],
    ids=str,
)
def test_goal(change, goal):
    assert predictions.goal_of(dataclasses.replace(Case(8192), **change)) == goal


def test_a_prediction_is_written_beside_its_result(tmp_path, monkeypatch, capsys):
    """As on an H200, though everything runs on the CPU."""
    monkeypatch.setattr(bench, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(predictions, "device_of", lambda _: H200)
    out = tmp_path / "bench.json"
    options = ["--device", "cpu", "--out", str(out), "--no-compile", "--cases", "t16-h4:2-d32-r16"]
    assert bench.main(options) == 0
    report = json.loads(out.read_text())
    assert report["predicted_for"] == "H200"
    (case,) = report["cases"]
    case_of = Case(16, torch.float16, 4, 2, 32, 16)
    assert case["predicted"]["cold"] == {
        "ceiling": round(predicted_us(case_of, "cold", "ceiling", CEILING, H200), 3),
        "table": round(predicted_us(case_of, "cold", "table", OURS, H200), 3),
        "computed": round(predicted_us(case_of, "cold", "computed", OURS, H200), 3),
    }
    assert case["predicted"]["wall"] == {}
    us = case["results"]["cold"]["table"]["us"]
    predicted = case["predicted"]["cold"]["table"]
    assert f"{predicted:.2f} ({us / predicted:.2f})" in capsys.readouterr().out


def result(**us):
    return {name: {"us": value} for name, value in us.items()}


def case_of(mode, goal=None, **us):
    results = {mode: result(**us)}
    given = {"id": "some", "tokens": 8192, "counted_bytes": 8e6, "goal_us": goal, "errors": {}}
    return {**given, "predicted": {mode: {"table": 4.0}}, "results": results}


def test_a_line_says_it_all():
    case = case_of("cold", **{"scale-1": 2.5, "scale-4": 2.0, "table": 3.0}, sglang=3.5, vllm=9.0)
    (line,) = screen.lines_of(case, "1 of 9, 200 s left")
    words = line.split()
    assert words[:6] == ["|", "some", "cold", "2.00", "4.00", "3.00"]
    assert "3.00 (1.50)" in line  # times the ceiling, which is the quickest
    assert "4.00 (0.75)" in line  # predicted, and measured over that
    assert "3.50 (1.75) sglang" in line
    assert line.endswith("[1 of 9, 200 s left]")
    header = screen.header()
    assert header.index("table") + 5 == line.index("3.00 (1.50)") + 11


def test_floors_are_told():
    case = case_of("chain", **{"scale-1": 2.0, "floor": 1.4, "floor-pdl": 1.0})
    assert screen.lines_of(case, "")[-1].endswith("floor 1.40, floor-pdl 1.00")


@pytest.mark.parametrize(
    ("us", "verdict"), [(41.7, "reached"), (41.8, "missed")], ids=["reached", "missed"]
)
def test_goal_lines(us, verdict):
    lines = screen.goal_lines([case_of("repeat", 41.7, table=us), case_of("cold", table=1.0)])
    assert lines[0].startswith("| 1 of 6 goals")
    assert lines[1:] == [f"| 8192 tokens, repeat: {us:.2f} µs, goal 41.7, {verdict}"]
    assert screen.goal_lines([case_of("cold", 41.7, table=us)]) == []
