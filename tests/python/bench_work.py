"""What the tests of the CPU benchmark's providers share: its modules, tiny workloads, and the names
of all providers, which test_bench.py holds against the benchmark's own.
"""

import pytest
import torch
from backends import BACKENDS
from bench_modules import imported

import torch_rope

MODULES = ("agreement", "call", "cases", "instruction_sets", "peers", "providers", "workload")
LIMITS = ["limit", "limit_whole_heads"]
OURS = ["apply_table", "apply_computed", "rotate_qk_table", "rotate_qk_computed"]
KERNELS = [f"apply_{kind}@{name}" for name in BACKENDS for kind in ("table", "computed")]
BACKWARD = ["rotate_qk_backward", "transformers_backward"]
EAGER = ["transformers", "onnxruntime"]
# How often a peer rounds an angle to float32 that it makes itself.
ANGLE_ROUNDINGS = {"mlx": 3, "rotary_embedding_torch": 2}
COMPILED = ["torch_compile", "torch_compile_in_place"]
NEEDED = {name: ["transformers"] for name in ("transformers", "transformers_backward", *COMPILED)}
NEEDED["onnxruntime"] = ["onnx", "onnxruntime"]
NEEDED["mlx"], NEEDED["rotary_embedding_torch"] = ["mlx.core"], ["rotary_embedding_torch"]
ROTARY_DIMS = [pytest.param(32, id="r32"), pytest.param(8, id="r8")]
CACHE_BYTES = 20_000


@pytest.fixture(scope="module", name="bench")
def bench_fixture():
    with imported("cpu", MODULES) as modules:
        yield modules


@pytest.fixture(scope="module", name="work")
def work_fixture(bench):
    def make(dtype=torch.float32, interleaved=False, rotary_dim=32, **changes):
        sizes = {"tokens": 11, "heads_q": 4, "heads_k": 2, "head_dim": 32, **changes}
        case = bench.cases.Case("tiny", dtype, interleaved, rotary_dim=rotary_dim, **sizes)
        return bench.workload.Workload(case, 2, CACHE_BYTES)

    return make


def provider_named(bench, name):
    (provider,) = (one for one in bench.providers.PROVIDERS if one.name == name)
    return provider


def results(bench, name, work, inverse=False):
    """(given, result, exact) of q and of k."""
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    bench.peers.forget_compiled()
    (call,) = bench.providers.prepare(provider_named(bench, name), work)
    work.reset()
    with call.setting():
        call.run()
    rotate = torch_rope.reference.rotate
    return [
        (given, result, rotate(given, work.pos, inverse=inverse, **angles(work)))
        for given, result in zip(work.original, call.result(), strict=True)
    ]


def angles(work):
    case = work.case
    where = {"interleaved": case.interleaved, "rotary_offset": case.rotary_offset}
    return {"inv_freq": work.inv_freq, **where}
