"""torch.library.opcheck: schema, fake tensors, autograd and AOT dispatch of every op."""

import pytest
import torch
from cases import random


def tensor(*extents, device, dtype=torch.float32, grad=False):
    return random(*extents, dtype=dtype, device=device).requires_grad_(grad)


def frequencies(device):
    return torch.logspace(0, -3, 8, dtype=torch.float64, device=device)


def positions(device):
    return torch.arange(10, dtype=torch.int32, device=device).reshape(2, 5)


def table(device, rows=7):
    return torch.ops.rope.cos_sin_table(frequencies(device), rows)


CALLS = {
    "apply": lambda d: (
        "apply",
        (tensor(2, 5, 3, 16, device=d), tensor(2, 5, 1, 16, device=d), positions(d)),
        {},
    ),
    "apply-q": lambda d: ("apply", (tensor(2, 5, 3, 16, device=d, dtype=torch.bfloat16),), {}),
    "apply-view": lambda d: (
        "apply",
        (tensor(2, 3, 5, 20, device=d).transpose(1, 2),),
        {"rotary_dim": 6, "interleaved": True},
    ),
    "apply-table": lambda d: (
        "apply",
        (tensor(2, 5, 3, 16, device=d), None, positions(d)),
        {"cos_sin": table(d), "inv_freq": frequencies(d), "attention_factor": 1.5},
    ),
    "rotate": lambda d: (
        "rotate",
        (tensor(2, 5, 3, 16, device=d, grad=True), positions(d)),
        {"inv_freq": frequencies(d), "inverse": True},
    ),
    "rotate-view": lambda d: (
        "rotate",
        (tensor(2, 3, 5, 16, device=d, dtype=torch.float16, grad=True).transpose(1, 2),),
        {"base": 5e5},
    ),
    "rotate_qk": lambda d: (
        "rotate_qk",
        (
            tensor(2, 5, 3, 16, device=d, grad=True),
            tensor(2, 5, 1, 16, device=d, grad=True),
            positions(d),
        ),
        {"cos_sin": table(d, 10)},
    ),
    "cos_sin_table": lambda d: (
        "cos_sin_table",
        (frequencies(d), 7),
        {"start": 3, "attention_factor": 0.5},
    ),
    "cos_sin_table-turns": lambda d: (
        "cos_sin_table",
        (torch.ops.rope.turns(frequencies(d)), 7),
        {},
    ),
    "turns": lambda d: ("turns", (frequencies(d),), {}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_opcheck(device, call):
    op, arguments, keywords = call(device)
    torch.library.opcheck(getattr(torch.ops.rope, op).default, arguments, keywords)


def test_fake_results_are_laid_out_as_the_real_ones(device):
    x = tensor(2, 3, 5, 16, device=device).transpose(1, 2)
    real = torch.ops.rope.rotate(x)
    with torch._subclasses.FakeTensorMode() as mode:
        fake = torch.ops.rope.rotate(mode.from_tensor(x))
    assert fake.stride() == real.stride()
    assert (fake.shape, fake.dtype, fake.device) == (real.shape, real.dtype, real.device)


def test_fake_cuda_tensors_need_no_gpu():
    with torch._subclasses.FakeTensorMode():
        q = torch.empty(2, 5, 3, 16, device="cuda", dtype=torch.bfloat16)
        rotated = torch.ops.rope.rotate(q, torch.empty(5, device="cuda", dtype=torch.int64))
        torch.ops.rope.apply(q)
    assert rotated.device.type == "cuda"


def test_meta_tensors():
    q = torch.empty(2, 5, 3, 16, device="meta")
    q2, k2 = torch.ops.rope.rotate_qk(q, q[:, :, :1])
    assert (q2.device.type, k2.shape) == ("meta", (2, 5, 1, 16))
    assert torch.ops.rope.cos_sin_table(torch.empty(8, device="meta"), 9).shape == (9, 16)


def test_compile_keeps_one_graph(device):
    """The eager backend traces and functionalises without a C++ compiler."""
    q, k = tensor(2, 5, 3, 16, device=device), tensor(2, 5, 1, 16, device=device)

    def step(q, k, pos):
        q, k = q * 2, k * 2
        torch.ops.rope.apply(q, k, pos)
        return q, k

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for result, expected in zip(
        compiled(q, k, positions(device)), step(q, k, positions(device)), strict=True
    ):
        assert torch.equal(result, expected)
