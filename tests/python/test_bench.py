"""The CPU benchmark's own providers at tiny sizes: everybody that it times rotates right, and what
is wrong is not timed. test_bench_peers.py, test_bench_run.py and test_bench_clock.py have the rest.

The bound of results is that of bounds.py.
"""

import pytest
import torch
from backends import BACKENDS
from bench_work import (  # bench and work are fixtures
    ANGLE_ROUNDINGS,
    BACKWARD,
    COMPILED,
    KERNELS,
    LIMITS,
    OURS,
    ROTARY_DIMS,
    angles,
    bench_fixture,  # noqa: F401
    provider_named,
    results,
    work_fixture,  # noqa: F401
)
from bounds import assert_within, error_bound
from cases import DTYPES, PAIRINGS

import torch_rope


@pytest.mark.parametrize("rotary_dim", ROTARY_DIMS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*OURS, *KERNELS])
def test_ours_agree_with_the_reference(bench, work, name, dtype, interleaved, rotary_dim):
    shape = {"rotary_dim": rotary_dim, "interleaved": interleaved}
    work = work(dtype, first_position=2048, **shape)
    for given, result, exact in results(bench, name, work):
        assert_within(result, exact, error_bound(given, exact, largest_position=4096, **shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LIMITS)
def test_limits_move_and_change_nothing(bench, work, name, dtype):
    work = work(dtype, rotary_dim=8)
    (call,) = bench.providers.prepare(provider_named(bench, name), work)
    moved = bench.workload.Pair(*(x.neg() for x in work.original))
    width = work.case.rotary_dim if name == "limit" else work.case.head_dim
    for x, y in zip(work.sets[0], moved, strict=True):
        x.copy_(y)
    call.run()
    for result, expected in zip(call.result(), moved, strict=True):
        assert torch.equal(result[..., :width], expected[..., :width])


def test_every_provider_is_tested_here(bench, work):
    def names(**changes):
        case = work(compiled=True, **changes).case
        return [provider.name for provider in bench.providers.providers_for(case)]

    peers = ["transformers", *COMPILED, "onnxruntime", *ANGLE_ROUNDINGS]
    assert names() == ["limit", *OURS[:3], *peers]
    whole = "apply_table_whole"
    assert names(rotary_dim=8) == [*LIMITS, *OURS[:2], whole, OURS[2], *peers]
    of_kernels = {name for name in names(detailed=True) if "@" in name}
    assert of_kernels >= set(KERNELS)
    detailed = [name for name in names(detailed=True) if "@" not in name]
    assert detailed == ["limit", *OURS, BACKWARD[0], peers[0], BACKWARD[1], *peers[1:]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_heads_where_a_part_is_rotated(bench, work, dtype):
    work = work(dtype, rotary_dim=8, first_position=2048)
    whole = work.of_whole_heads()
    (call,) = bench.providers.prepare(provider_named(bench, "apply_table_whole"), work)
    work.reset()
    call.run()
    for given, result in zip(work.original, work.sets[0], strict=True):
        exact = torch_rope.reference.rotate(given, work.pos, inv_freq=whole.inv_freq)
        bound = error_bound(given, exact, largest_position=4096, rotary_dim=32, interleaved=False)
        assert_within(result, exact, bound)


def test_kernels_that_are_not_here_are_named(bench):
    sets = bench.instruction_sets
    with pytest.raises(bench.call.Missing, match="has no x86-64-v9"), sets.running_on("x86-64-v9"):
        pass


@pytest.mark.skipif("x86-64-v4" not in BACKENDS, reason="needs AVX-512, whose width tells")
def test_kernels_are_those_of_the_name(bench):
    """And the widest ones afterwards."""
    q = torch.empty(1, 1, 1, 128)
    for name in BACKENDS:
        with bench.instruction_sets.running_on(name):
            width = torch_rope.explain(q)["vector_bytes"]
        assert (width == 64) == (name == "x86-64-v4")
        assert torch_rope.explain(q)["vector_bytes"] == 64


def _wrong_position(work, x):
    return torch_rope.rotate(x, work.pos + 1, **angles(work))


def _wrong_pairing(work, x):
    other = {**angles(work), "interleaved": not work.case.interleaved}
    return torch_rope.rotate(x, work.pos, **other)


def _wrong_sign(work, x):
    return torch_rope.rotate(x, work.pos, inverse=True, **angles(work))


def _wrong_tail(work, x):
    result = torch_rope.rotate(x, work.pos, **angles(work))
    result[..., -1] *= 1.01
    return result


def _wrong_by_a_little(work, x):
    return torch_rope.rotate(x, work.pos, **angles(work)) * (1 + 2.0**-21)  # 8 roundoffs


def _not_a_number(work, x):
    result = torch_rope.rotate(x, work.pos, **angles(work))
    result[0, -1, -1, 0] = torch.nan
    return result


FAULTS = [_wrong_position, _wrong_pairing, _wrong_sign, _wrong_tail, _wrong_by_a_little]
FAULTS += [_not_a_number]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
@pytest.mark.parametrize("kind", ["PEER", "OURS"])
def test_wrong_results_are_not_timed(bench, work, fault, kind):
    work = work(rotary_dim=8)

    def calls(work):
        function = lambda: tuple(fault(work, x) for x in work.sets[0])  # noqa: E731
        return [bench.call.from_pair(function)]

    kind = bench.providers.Kind[kind]
    provider = bench.providers.Provider("broken", "", kind, calls)
    refused = bench.call.Missing if kind is bench.providers.Kind.PEER else bench.agreement.Wrong
    with pytest.raises(refused, match="of a pair's norm"):
        bench.providers.prepare(provider, work)


def test_a_limit_that_changes_something_is_refused(bench, work):
    def calls(work):
        pair = work.sets[0]
        return [bench.call.Call(lambda: pair.q.mul_(1 + 2.0**-23), lambda: pair)]

    provider = bench.providers.Provider("limit", "", bench.providers.Kind.LIMIT, calls)
    with pytest.raises(bench.agreement.Wrong):
        bench.providers.prepare(provider, work())
