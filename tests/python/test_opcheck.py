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


def axes(device, count):
    return frequencies(device) * torch.linspace(1.0, 0.5, count, device=device)[:, None]


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
    "apply-offsets": lambda d: (
        "apply",
        (tensor(2, 3, 5, 24, device=d), tensor(2, 1, 5, 16, device=d), positions(d)),
        {
            "layout": "bhsd",
            "offsets": torch.tensor([3, -4], device=d),
            "skip_negative": True,
            "rotary_dim": 10,
            "rotary_offset": -12,
        },
    ),
    "apply-ragged": lambda d: (
        "apply",
        (tensor(7, 3, 16, device=d), tensor(7, 1, 16, device=d)),
        {"layout": "thd", "cu_seqlens": torch.tensor([0, 4, 7], device=d)},
    ),
    "apply-axes": lambda d: (
        "apply",
        (tensor(5, 2, 3, 16, device=d), None, positions(d).expand(3, 2, 5)),
        {"layout": "sbhd", "inv_freq": axes(d, 3)},
    ),
    "rotate-heads": lambda d: (
        "rotate",
        (tensor(2, 5, 3, 16, device=d, grad=True), positions(d)),
        {"inv_freq": axes(d, 3)[None]},
    ),
    "rotate-ragged": lambda d: (
        "rotate",
        (tensor(7, 3, 16, device=d, grad=True),),
        {
            "cu_seqlens": torch.tensor([0, 4, 7], dtype=torch.int32, device=d),
            "offsets": torch.tensor([1, 2], device=d),
        },
    ),
    "rotate-cos-sin": lambda d: (
        "rotate",
        (tensor(2, 5, 3, 16, device=d, grad=True), positions(d)),
        dict(zip(("cos", "sin"), table(d, 10).chunk(2, -1), strict=True)),
    ),
    "rotate-rows-of-tokens": lambda d: (
        "rotate",
        (tensor(2, 5, 3, 16, device=d, grad=True),),
        {"cos_sin": tensor(1, 5, 16, device=d)},
    ),
    "rotate_qk-rows-of-heads": lambda d: (
        "rotate_qk",
        (tensor(2, 3, 5, 16, device=d, grad=True), tensor(2, 3, 5, 16, device=d)),
        {
            "layout": "bhsd",
            "cos": tensor(2, 5, 3, 8, device=d),
            "sin": tensor(2, 5, 1, 8, device=d).expand(2, 5, 3, 8),
        },
    ),
    "apply_qkv": lambda d: (
        "apply_qkv",
        (tensor(2, 5, 6, 16, device=d), positions(d)),
        {"num_heads_q": 3, "num_heads_k": 1},
    ),
    "apply_qkv-view": lambda d: (
        "apply_qkv",
        (tensor(2, 9, 6, 20, device=d, dtype=torch.float16)[:, 2:7, :, 4:].transpose(1, 2),),
        {"num_heads_q": 0, "num_heads_k": 4, "layout": "bhsd", "interleaved": True},
    ),
    "rerotate": lambda d: (
        "rerotate",
        (tensor(2, 5, 3, 16, device=d), positions(d), positions(d) + 3),
        {"old_inv_freq": frequencies(d), "new_inv_freq": axes(d, 1)[0], "scale": 1.5},
    ),
    "rerotate-new": lambda d: (
        "rerotate",
        (tensor(5, 3, 16, device=d), positions(d)[0], positions(d)[1]),
        {"new_inv_freq": frequencies("cpu"), "layout": "thd", "skip_negative": True},
    ),
    "rerotate-axes": lambda d: (
        "rerotate",
        (tensor(2, 3, 5, 24, device=d), positions(d), positions(d).expand(2, 2, 5)),
        {
            "old_inv_freq": frequencies(d),
            "new_inv_freq": axes(d, 2),
            "layout": "bhsd",
            "rotary_offset": 4,
        },
    ),
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
    torch.ops.rope.apply_qkv(q, num_heads_q=1, num_heads_k=1)
    pos = torch.empty(5, device="meta", dtype=torch.int64)
    torch.ops.rope.rerotate(q, pos, pos, new_inv_freq=torch.empty(8, device="meta"))


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


def test_compile_keeps_one_graph_of_packed_and_rerotated(device):
    qkv, pos = tensor(2, 5, 6, 16, device=device), positions(device)
    frequencies_in_use = frequencies("cpu")

    def step(qkv, pos):
        qkv = qkv * 2
        torch.ops.rope.apply_qkv(qkv, pos, num_heads_q=3, num_heads_k=1)
        keys = qkv[:, :, 3:4]
        torch.ops.rope.rerotate(keys, pos, pos + 7, new_inv_freq=frequencies_in_use)
        return qkv

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(qkv, pos), step(qkv, pos))


def test_compile_takes_any_extents(device):
    """Under symbolic extents, and for other ones than were traced."""

    def step(x, pos, offsets, cos_sin):
        rotated = torch.ops.rope.rotate(x, pos, offsets=offsets, layout="bhsd", cos_sin=cos_sin)
        torch.ops.rope.apply_qkv(rotated, num_heads_q=1, num_heads_k=1, layout="bhsd")
        return rotated

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True, dynamic=True)
    for batches, tokens in ((2, 5), (3, 7), (4, 2)):
        x = tensor(batches, 3, tokens, 16, device=device)
        pos = torch.arange(tokens, device=device)
        offsets = torch.arange(batches, device=device)
        given = (x, pos, offsets, table(device, batches + tokens))
        assert torch.equal(compiled(*given), step(*given))
