"""Other implementations in the CPU benchmark at tiny sizes: all rotate right, in every kind of case
that they are timed in, or say why not.

They round cos and sin to the type and after each operation: the bound is the one that
benchmarks/cpu/agreement.py derives, 3.2 roundoffs of the pair's norm, with its norms computed here,
and more for those who make their angles in float32.
"""

import dataclasses
import sys

import pytest
import torch
from bench_work import (  # bench and work are fixtures
    ANGLE_ROUNDINGS,
    BACKWARD,
    COMPILED,
    EAGER,
    NEEDED,
    OURS,
    ROTARY_DIMS,
    bench_fixture,  # noqa: F401
    provider_named,
    results,
    work_fixture,  # noqa: F401
)
from bounds import assert_within, pair_norms
from cases import DTYPES, PAIRINGS

# What a case can be besides a sequence whose heads are rotated from the first component on.
SHAPES = {
    "from-8": {"rotary_dim": 16, "rotary_offset": 8},
    "b3": {"batch": 3, "tokens": 1},
    "b2-t5": {"batch": 2, "tokens": 5},
    "shuffled": {"shuffled": True},
}
SHAPES = [pytest.param(shape, id=name) for name, shape in SHAPES.items()]


def _assert_peer_agrees(bench, name, work, inverse=False):
    case = work.case
    part = slice(case.rotary_offset, case.rotary_offset + case.rotary_dim)
    relative = torch.full(work.pos.shape, 3.2 * torch.finfo(case.dtype).eps / 2).double()
    if name in ANGLE_ROUNDINGS:
        relative += ANGLE_ROUNDINGS[name] * 2.0**-24 * work.pos + 2.0**-22.4
    for given, result, exact in results(bench, name, work, inverse):
        # Nothing may change outside the pairs, where the norm is 0.
        norms = torch.zeros_like(exact)
        norms[..., part] = pair_norms(given[..., part], case.rotary_dim, case.interleaved)
        allowed = norms.clamp(min=2.0**-9) * (norms > 0)
        assert_within(result, exact, relative[..., None, None] * allowed)


@pytest.mark.parametrize("rotary_dim", ROTARY_DIMS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EAGER)
def test_peers_agree_with_the_reference(bench, work, name, dtype, interleaved, rotary_dim):
    work = work(dtype, interleaved, rotary_dim, first_position=2048)
    if name == "onnxruntime" and dtype == torch.bfloat16:
        with pytest.raises(bench.call.Missing, match=r"implementation for RotaryEmbedding|onnx"):
            results(bench, name, work)
        return
    _assert_peer_agrees(bench, name, work)


@pytest.mark.parametrize("rotary_dim", ROTARY_DIMS)
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ANGLE_ROUNDINGS)
def test_peers_with_their_own_angles_agree(bench, work, name, dtype, interleaved, rotary_dim):
    work = work(dtype, interleaved, rotary_dim, first_position=2048)
    if name == "rotary_embedding_torch" and not interleaved:
        pytest.importorskip(name)
        with pytest.raises(bench.call.Missing, match="interleaved pairs only"):
            results(bench, name, work)
        return
    _assert_peer_agrees(bench, name, work)


# What a peer cannot do, by the start of its reason.
CANNOT = {
    ("onnxruntime", "rotary_offset"): "it rotates the first components",
    ("mlx", "shuffled"): "it takes consecutive positions only",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [*OURS, *EAGER, *ANGLE_ROUNDINGS])
def test_every_kind_of_case(bench, work, name, shape):
    work = work(torch.float32, interleaved=True, **shape)
    reasons = [text for (peer, key), text in CANNOT.items() if peer == name and key in shape]
    if reasons:
        pytest.importorskip(NEEDED[name][-1])
        with pytest.raises(bench.call.Missing, match=reasons[0]):
            results(bench, name, work)
        return
    _assert_peer_agrees(bench, name, work)


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BACKWARD)
def test_gradients_are_rotated_back(bench, work, name, dtype, interleaved):
    """As in a run, whose tensors are made in inference mode."""
    with torch.inference_mode():
        work = work(dtype, interleaved, first_position=2048)
        _assert_peer_agrees(bench, name, work, inverse=True)


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


def test_large_cases_leave_some_out(bench, work, monkeypatch):
    provider = dataclasses.replace(provider_named(bench, "transformers"), most_tokens=10)
    with pytest.raises(bench.call.Missing, match="left out beyond 10 tokens"):
        bench.providers.prepare(provider, work())


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("onnxruntime", "onnxruntime"),
        ("onnxruntime", "onnx"),
        ("transformers", "transformers.models.llama.modeling_llama"),
        ("mlx", "mlx.core"),
        ("rotary_embedding_torch", "rotary_embedding_torch"),
    ],
)
def test_a_peer_that_is_not_installed_is_named(bench, work, monkeypatch, name, module):
    if module == "onnx":
        pytest.importorskip("onnxruntime")
    monkeypatch.setitem(sys.modules, module, None)
    package = module.partition(".")[0]
    with pytest.raises(bench.call.Missing, match=f"^{package} is not installed$"):
        bench.providers.prepare(provider_named(bench, name), work())
