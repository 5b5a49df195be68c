"""The CPU benchmark's cases and their tensors: names of their own, positions, values."""

import pytest
import torch
from bench_modules import imported

TINY = {"tokens": 4, "heads_q": 2, "heads_k": 1, "head_dim": 16, "rotary_dim": 16}


@pytest.fixture(scope="module")
def bench():
    with imported("cpu", ("cases", "workload")) as modules:
        yield modules


def test_cases_have_names_of_their_own(bench):
    cases = bench.cases.all_cases()
    assert len({case.id for case in cases}) == len(cases)
    assert len({(case.group, case.column) for case in cases}) == len(cases)
    assert cases[0].id == "f32-split-t2048-h32:8-d128-r128"


def test_every_case_lies_within_the_table(bench):
    for case in bench.cases.all_cases():
        assert case.first_position + case.tokens <= case.table_rows


@pytest.mark.parametrize("shape", [{}, {"shuffled": True}, {"batch": 3}], ids=str)
def test_positions_are_those_of_the_case(bench, shape):
    case = bench.cases.Case("", torch.float32, False, first_position=5, **TINY, **shape)
    pos = bench.workload.Workload(case, 1, 0).pos
    steps = torch.arange(4)
    if "batch" in shape:
        assert torch.equal(pos - pos[:, :1], steps.expand(3, 4))
        assert len(pos[:, 0].unique()) == 3
    else:
        assert torch.equal(pos, 5 + steps) == ("shuffled" not in shape)
    assert 0 <= pos.min() <= pos.max() < case.table_rows


def test_values_repeat(bench, monkeypatch):
    """After a block, of which the last repetition may be a part."""
    monkeypatch.setattr(bench.workload, "BLOCK_TOKENS", 3)
    case = bench.cases.Case("", torch.float32, False, tokens=8, heads_q=2, heads_k=1)
    work = bench.workload.Workload(case, 1, 0)
    assert work.original.q.shape[1] == 3
    for x, block in zip(work.sets[0], work.original, strict=True):
        assert torch.equal(x, block.repeat(1, 3, 1, 1)[:, :8])


def test_working_in_place_leaves_the_original(bench):
    case = bench.cases.Case("", torch.float32, False, **TINY)
    work = bench.workload.Workload(case, 1, 0)
    work.sets[0].q.zero_()
    assert work.original.q.abs().sum() > 0
    work.reset()
    assert torch.equal(work.sets[0].q, work.original.q)


def test_the_curve_is_there(bench):
    """1 to 131072 tokens, in bfloat16 and half-split, that differ in nothing else."""
    usual = bench.cases.Case("", torch.bfloat16, False)
    shape = ("heads_q", "heads_k", "head_dim", "rotary_dim", "batch", "shuffled", "cold")
    same = [
        case.tokens
        for case in bench.cases.all_cases()
        if (case.dtype, case.interleaved) == (torch.bfloat16, False)
        and all(getattr(case, name) == getattr(usual, name) for name in shape)
    ]
    assert sorted(same) == [1, 16, 128, 512, 2048, 8192, 32768, 131072]


def test_memory_stays_below_the_machine_s(bench):
    """6 GiB: the sets, as much again for the limit's copies, new tensors, other arrays and what a
    peer in plain torch holds on the way, at most five times q and k."""
    for case in bench.cases.all_cases():
        sets = case.num_sets(300 * 2**20) * case.set_bytes
        peers = 5 * case.set_bytes if case.all_tokens <= 32768 else case.set_bytes
        assert 2 * sets + sets * case.cold + peers < 5 * 2**30
