"""What a user may write inside torch.compile: each gives the bits of eager mode, in one graph.

Compiled by Inductor, and mostly so that it generates no kernel, which would take a C++ compiler.
"""

import pytest
import torch
from cases import random
from inductor_programs import assert_same, compile_afresh, graphs_compiled
from torch._dynamo.utils import counters

import torch_rope
from torch_rope import RotaryEmbedding, schedules

pytestmark = pytest.mark.usefixtures("no_compiler_caches")

B, S, H, K, D = 2, 7, 3, 2, 16
N = D // 2


def inputs(device, tokens=S):
    q, k = (
        random(B, tokens, heads, D, dtype=torch.float32, device=device, seed=heads)
        for heads in (H, K)
    )
    return q, k, torch.arange(3, 3 + tokens, device=device)


def projected(device):
    """What is multiplied for an intermediate of five heads."""
    x = random(B, 9, D, dtype=torch.float32, device=device)
    return x, random(D, (H + K) * D, dtype=torch.float32, device=device, seed=1)


def assert_as_eager(function, make, **options):
    """Compares results and inputs after two calls."""
    compiled = compile_afresh(function, **options)
    for _ in range(2):
        own, others = make(), make()
        assert_same((compiled(*own), own), (function(*others), others))


def apply(q, k, pos):
    torch_rope.apply(q, k, pos, interleaved=True, attention_factor=1.5)


def apply_qkv(q, k, pos):
    torch_rope.apply_qkv(q, pos, num_heads_q=1, num_heads_k=1, inverse=True, rotary_dim=8)


def rerotate(q, k, pos):
    torch_rope.rerotate(k, pos, pos.flip(0), base=500.0)


def table(q, k, pos):
    inv_freq = torch_rope.turns(FREQUENCIES.to(q.device))
    cos_sin = torch_rope.cos_sin_table(inv_freq, 8)
    return torch_rope.rotate(q, pos, cos_sin=cos_sin, inv_freq=inv_freq)


def positions_of_python(q, k, pos):
    return torch_rope.rotate(q, torch.tensor([5, 4, 3, 2, 1, 0, -1], device=q.device))


def int_offset(q, k, pos):
    return torch_rope.rotate_qk(q, k, offsets=9)


def tensor_offsets(q, k, pos):
    return torch_rope.rotate_qk(q, k, pos, offsets=pos[:B])


def frequencies_on_the_cpu(q, k, pos):
    return torch_rope.rotate(q, pos, inv_freq=FREQUENCIES)


FREQUENCIES = torch.logspace(0, -3, N)
FUNCTIONS = [
    apply,
    apply_qkv,
    rerotate,
    table,
    positions_of_python,
    int_offset,
    tensor_offsets,
    frequencies_on_the_cpu,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions(device, function):
    assert_as_eager(function, lambda: inputs(device))


@pytest.mark.parametrize("rows", [0, 8], ids=["computed", "table"])
def test_module(device, rows):
    """Some of the positions have a row of the table, others have none."""
    rope = RotaryEmbedding(schedules.yarn(D, 10000.0, 4.0, 2048), table_rows=rows).to(device)

    def both(q, k, pos):
        rotated = rope(q, k, pos)
        rope.apply(q, k, pos + 1)
        return rotated

    assert_as_eager(both, lambda: inputs(device))


@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace")
def test_schedules_are_made_outside(device):
    """Their arithmetic is C++ that torch.compile cannot look into."""
    q, _, _ = inputs(device)

    def step(q):
        return torch_rope.rotate(q, **schedules.default(D, 10000.0).kwargs(device))

    with pytest.raises(torch._dynamo.exc.Unsupported, match="schedules_default"):
        compile_afresh(step)(q)
    made = schedules.default(D, 10000.0)
    assert_as_eager(lambda q: torch_rope.rotate(q, **made.kwargs(device)), lambda: (q,))


def test_an_offset_that_grows(device):
    """As in decoding: one program serves every number of tokens in the cache."""

    def step(q, offset):
        return torch_rope.rotate(q, offsets=offset)

    compiled = compile_afresh(step)
    q, _, _ = inputs(device)
    for offset in (5, 6, 7, 100):
        assert_same(compiled(q, offset), step(q, offset))
    assert graphs_compiled() == 2


@torch.no_grad()
def test_parts_that_begin_anywhere(device):
    """One program, where torch alone writes to the start (pytorch/pytorch issue 198068)."""

    def step(x, w, start):
        y = (x @ w).unflatten(-1, (-1, D))[:, start:]
        torch_rope.apply(y[:, :, :H], y[:, :, H:])
        return y

    x, w = projected(device)
    compiled = compile_afresh(step, dynamic=True)
    for start in (2, 3, 5):
        assert_same(compiled(x, w, start), step(x, w, start))
    assert graphs_compiled() == 1


@torch.no_grad()
def test_a_copy_that_torch_leaves_out(device):
    """The call that remains would overwrite what it reads (pytorch/pytorch issue 198031)."""

    def step(x, w):
        y = (x @ w).unflatten(-1, (-1, D))
        rows = y.clone()
        torch_rope.apply(y, cos_sin=rows[:, :, 0])
        return y

    x, w = projected(device)
    with pytest.raises(RuntimeError, match="q is written and must not overlap cos_sin"):
        compile_afresh(step)(x, w)


def test_learned_frequencies(device):
    def step(q, k, inv_freq):
        return torch_rope.rotate_qk(q, k, inv_freq=inv_freq)

    def gradients(run):
        q, k, _ = inputs(device)
        leaves = q, k, FREQUENCIES.to(device)
        for leaf in leaves:
            leaf.requires_grad_()
        results = run(*leaves)
        return torch.autograd.grad(results, leaves, results)

    assert_same(gradients(compile_afresh(step)), gradients(step))


def func_grad(q, k, pos):
    return torch.func.grad(lambda x: torch_rope.rotate(x, pos).pow(3).sum())(q)


def func_vmap(q, k, pos):
    return torch.func.vmap(lambda x: torch_rope.rotate(x, pos))(q[None])


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("function", [func_grad, func_vmap], ids=["grad", "vmap"])
def test_func(device, function):
    assert_as_eager(function, lambda: inputs(device))


@pytest.mark.cuda
@pytest.mark.parametrize("rows", [0, 8], ids=["computed", "table"])
@torch.no_grad()
def test_cuda_graphs(rows):
    """A module keeps its frequencies on the device: nothing of the call is left to the host."""
    rope = RotaryEmbedding(schedules.default(D, 10000.0), table_rows=rows).to("cuda")

    def step(q, k, pos):
        return rope(q * 2, k * 2, pos)

    compiled = compile_afresh(step, mode="reduce-overhead")
    # The first calls warm up and record, the others replay with other values.
    for call in range(5):
        q, k, pos = inputs("cuda")
        given = q + call, k + call, pos + call
        torch.compiler.cudagraph_mark_step_begin()
        replayed = [result.clone() for result in compiled(*given)]
        assert_same(replayed, list(step(*given)))
    assert counters["inductor"]["cudagraph_skips"] == 0
