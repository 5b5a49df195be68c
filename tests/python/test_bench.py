"""The CPU benchmark's providers at tiny sizes: everybody that it times rotates right, and what is
wrong is not timed. test_bench_run.py and test_bench_clock.py have the rest.

The bound of torch_rope's results is that of bounds.py; of the others', who round cos and sin to
the type and after each operation, the one that benchmarks/cpu/agreement.py derives, 3.2 roundoffs
of the pair's norm, with its norms computed here.
"""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bounds import assert_within, error_bound, pair_norms
from cases import DTYPES, PAIRINGS

import torch_rope

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("agreement", "call", "cases", "providers")
LIMITS = ["limit", "limit_whole_heads"]
OURS = ["apply_table", "apply_computed", "rotate_qk_table"]
EAGER = ["transformers", "onnxruntime"]
COMPILED = ["torch_compile", "torch_compile_in_place"]
NEEDED = {name: ["transformers"] for name in ("transformers", *COMPILED)}
NEEDED["onnxruntime"] = ["onnx", "onnxruntime"]
ROTARY_DIMS = [pytest.param(32, id="r32"), pytest.param(8, id="r8")]
CACHE_BYTES = 20_000


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        modules = {name: importlib.import_module(f"benchmarks.cpu.{name}") for name in MODULES}
        yield SimpleNamespace(**modules)


@pytest.fixture(scope="module")
def work(bench):
    def make(dtype=torch.float32, interleaved=False, rotary_dim=32, **changes):
        sizes = {"tokens": 11, "heads_q": 4, "heads_k": 2, "head_dim": 32, **changes}
        case = bench.cases.Case("tiny", dtype, interleaved, rotary_dim=rotary_dim, **sizes)
        return bench.cases.Workload(case, 2, CACHE_BYTES)

    return make


def _provider(bench, name):
    (provider,) = (one for one in bench.providers.PROVIDERS if one.name == name)
    return provider


def _results(bench, name, work):
    """(given, result, exact) of q and of k."""
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    bench.providers.peers.forget_compiled()
    (call,) = bench.providers.prepare(_provider(bench, name), work)
    work.reset()
    call.run()
    return [
        (given, result, torch_rope.reference.rotate(given, work.pos, **_angles(work)))
        for given, result in zip(work.original, call.result(), strict=True)
    ]


def _angles(work):
    return {"inv_freq": work.inv_freq, "interleaved": work.case.interleaved}


@pytest.mark.parametrize("rotary_dim", ROTARY_DIMS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OURS)
def test_ours_agree_with_the_reference(bench, work, name, dtype, interleaved, rotary_dim):
    shape = {"rotary_dim": rotary_dim, "interleaved": interleaved}
    work = work(dtype, first_position=2048, **shape)
    for given, result, exact in _results(bench, name, work):
        assert_within(result, exact, error_bound(given, exact, largest_position=4096, **shape))


def _assert_peer_agrees(bench, name, work):
    case = work.case
    for given, result, exact in _results(bench, name, work):
        norms = pair_norms(given, case.rotary_dim, case.interleaved)
        # Nothing may change outside the pairs, where the norm is 0.
        allowed = norms.clamp(min=2.0**-9) * (norms > 0)
        assert_within(result, exact, 3.2 * torch.finfo(case.dtype).eps / 2 * allowed)


@pytest.mark.parametrize("rotary_dim", ROTARY_DIMS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EAGER)
def test_peers_agree_with_the_reference(bench, work, name, dtype, interleaved, rotary_dim):
    work = work(dtype, interleaved, rotary_dim, first_position=2048)
    if name == "onnxruntime" and dtype == torch.bfloat16:
        with pytest.raises(bench.call.Missing, match=r"implementation for RotaryEmbedding|onnx"):
            _results(bench, name, work)
        return
    _assert_peer_agrees(bench, name, work)


@pytest.mark.parametrize(
    ("dtype", "interleaved", "rotary_dim"),
    [
        pytest.param(torch.float32, False, 32, id="f32-split-r32"),
        pytest.param(torch.bfloat16, True, 8, id="bf16-interleaved-r8"),
    ],
)
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_peers_agree_with_the_reference(bench, work, name, dtype, interleaved, rotary_dim):
    _assert_peer_agrees(bench, name, work(dtype, interleaved, rotary_dim))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LIMITS)
def test_limits_move_and_change_nothing(bench, work, name, dtype):
    work = work(dtype, rotary_dim=8)
    (call,) = bench.providers.prepare(_provider(bench, name), work)
    moved = bench.cases.Pair(*(x.neg() for x in work.original))
    width = work.case.rotary_dim if name == "limit" else work.case.head_dim
    for x, y in zip(work.sets[0], moved, strict=True):
        x.copy_(y)
    call.run()
    for result, expected in zip(call.result(), moved, strict=True):
        assert torch.equal(result[..., :width], expected[..., :width])


def test_every_provider_is_tested_here(bench, work):
    names = [provider.name for provider in bench.providers.providers_for(work().case)]
    assert names == ["limit", *OURS, "transformers", *COMPILED, "onnxruntime"]
    partial = [p.name for p in bench.providers.providers_for(work(rotary_dim=8).case)]
    assert partial == [*LIMITS, *names[1:]]


def _wrong_position(work, x):
    return torch_rope.rotate(x, work.pos + 1, **_angles(work))


def _wrong_pairing(work, x):
    angles = {**_angles(work), "interleaved": not work.case.interleaved}
    return torch_rope.rotate(x, work.pos, **angles)


def _wrong_sign(work, x):
    return torch_rope.rotate(x, work.pos, inverse=True, **_angles(work))


def _wrong_tail(work, x):
    result = torch_rope.rotate(x, work.pos, **_angles(work))
    result[..., -1] *= 1.01
    return result


def _wrong_by_a_little(work, x):
    return torch_rope.rotate(x, work.pos, **_angles(work)) * (1 + 2.0**-21)  # 8 roundoffs


def _not_a_number(work, x):
    result = torch_rope.rotate(x, work.pos, **_angles(work))
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


@pytest.mark.parametrize("package", ["onnxruntime", "onnx", "transformers"])
def test_a_peer_that_is_not_installed_is_named(bench, work, monkeypatch, package):
    if package == "onnx":
        pytest.importorskip("onnxruntime")
    name, module = "onnxruntime", package
    if package == "transformers":
        name, module = package, "transformers.models.llama.modeling_llama"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(bench.call.Missing, match=f"^{package} is not installed$"):
        bench.providers.prepare(_provider(bench, name), work())
