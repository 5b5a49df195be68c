"""Fake and meta tensors: what the real operators say and return, without a GPU or any memory."""

import re

import error_cases
import error_cases_angles
import error_cases_ops
import error_cases_positions
import pytest
import torch
from cases import DTYPES
from torch._subclasses import FakeTensorMode

from torch_rope import ops as typed_ops

B, S, H, D = 2, 3, 2, 8
CASES = {
    **error_cases.CASES,
    **error_cases_angles.CASES,
    **error_cases_positions.CASES,
    **{f"apply_qkv-{name}": case for name, case in error_cases_ops.PACKED.items()},
    **{f"rerotate-{name}": case for name, case in error_cases_ops.REROTATE.items()},
}


@pytest.mark.parametrize(("good", "spoil", "text"), CASES.values(), ids=CASES)
def test_errors_of_fake_cuda_tensors(good, spoil, text):
    with FakeTensorMode():
        arguments = good("cuda")
        spoil(arguments)
        with pytest.raises(RuntimeError, match="^" + re.escape(f"{arguments.op}: {text}") + "$"):
            arguments.run()


ELSEWHERE = {
    "k": (4, lambda: torch.ones(B, S, 1, D)),
    "pos": (4, lambda: torch.arange(S)),
    "offsets": (4, lambda: torch.zeros(B, dtype=torch.int32)),
    "cu_seqlens": (3, lambda: torch.tensor([0, S])),
    "cos_sin": (4, lambda: torch.ones(4, D)),
    "cos": (4, lambda: torch.ones(4, D // 2)),
    "sin": (4, lambda: torch.ones(4, D // 2)),
}
DEVICES = ["cpu", "meta", "cuda:1"]


@pytest.mark.parametrize("other", DEVICES)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_to_move(name, other):
    """A CPU pos with a CUDA q says to move it, under torch.compile too."""
    rank, make = ELSEWHERE[name]
    with FakeTensorMode():
        q = torch.empty(B, S, H, D, device="cuda")
        beside = {"cos": "sin", "sin": "cos"}.get(name)
        keywords = {} if beside is None else {beside: make().to("cuda")}
        keywords[name] = make().to(other)
        text = f"rope::apply: {name} is on {other} and q on cuda:0; move {name} to cuda:0 first"
        with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
            torch.ops.rope.apply(q if rank == 4 else q[0], **keywords)


def packed(qkv, pos):
    torch.ops.rope.apply_qkv(qkv, pos, num_heads_q=1, num_heads_k=1)


OTHER_OPS = {
    "rotate": ("x", lambda q, p: torch.ops.rope.rotate(q, p), "pos"),
    "rotate_qk": ("q", lambda q, p: torch.ops.rope.rotate_qk(q, q, p), "pos"),
    "apply_qkv": ("qkv", packed, "pos"),
    "rerotate": ("k", lambda q, p: torch.ops.rope.rerotate(q, p.to(q.device), p), "new_pos"),
}


@pytest.mark.parametrize("op", OTHER_OPS)
def test_positions_to_move_by_every_op(op):
    name, call, pos = OTHER_OPS[op]
    text = f"rope::{op}: {pos} is on cpu and {name} on cuda:0; move {pos} to cuda:0 first"
    with FakeTensorMode(), pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        call(torch.empty(B, S, H, D, device="cuda"), torch.arange(S))


FREQUENCIES = {
    "f32": lambda: torch.ones(D // 2),
    "f64": lambda: torch.ones(D // 2, dtype=torch.float64),
    "turns": lambda: torch.ones(D // 2, dtype=torch.int64),
    "heads": lambda: torch.ones(1, H, D // 2),
}


@pytest.mark.parametrize("make", FREQUENCIES.values(), ids=FREQUENCIES)
def test_frequencies_on_the_cpu(make):
    """The one tensor that may be there, in every op that takes it."""
    with FakeTensorMode():
        q = torch.empty(B, S, H, D, device="cuda", dtype=torch.bfloat16)
        pos = torch.empty(S, device="cuda", dtype=torch.int64)
        inv_freq = make()
        results = [
            torch.ops.rope.rotate(q, pos, inv_freq=inv_freq),
            *torch.ops.rope.rotate_qk(q, q, pos, inv_freq=inv_freq),
        ]
        torch.ops.rope.apply(q, q.clone(), pos, inv_freq=inv_freq)
        torch.ops.rope.rerotate(q, pos, pos, old_inv_freq=inv_freq)
        if inv_freq.dim() == 1:
            torch.ops.rope.apply_qkv(q, pos, num_heads_q=1, num_heads_k=1, inv_freq=inv_freq)
    for result in results:
        assert (result.shape, result.dtype) == (q.shape, q.dtype)
        assert (result.device, result.stride()) == (q.device, q.stride())


def test_gradient_to_frequencies_on_the_cpu():
    """By calling the node: torch itself wants a GPU for a backward pass of CUDA tensors."""
    with FakeTensorMode():
        q = torch.empty(B, S, H, D, device="cuda", requires_grad=True)
        inv_freq = torch.ones(D // 2, requires_grad=True)
        rotated = torch.ops.rope.rotate(q, inv_freq=inv_freq)
        of_q, of_frequencies = rotated.grad_fn(torch.empty_like(rotated))
    assert (of_q.device.type, of_q.shape) == ("cuda", q.shape)
    assert (of_frequencies.device.type, of_frequencies.shape) == ("cpu", inv_freq.shape)


SHAPES = {
    "bshd": lambda e: e(B, S, H, D),
    "bhsd": lambda e: e(B, H, S, D).transpose(1, 2),
    "packed": lambda e: e(B, S, 6, D)[:, :, 2:4],
    "padded": lambda e: e(B, S, H, 2 * D)[..., 3 : 3 + D],
    "expanded": lambda e: e(B, S, 1, D).expand(B, S, H, D),
    "overlapping": lambda e: e(B * S * H * D).as_strided((B, S, H, D), (24, 8, 4, 1)),
    "empty": lambda e: e(B, 0, H, D),
    "one-head": lambda e: e(B, S, 1, D),
    "ragged": lambda e: e(S, H, D),
}


@pytest.mark.parametrize("kind", ["fake-cpu", "fake-cuda", "meta"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
def test_shapes_and_strides(make, dtype, kind):
    """Of the results, as those of real tensors on the CPU."""
    x = make(lambda *extents: torch.zeros(*extents, dtype=dtype))
    real = [torch.ops.rope.rotate(x), *torch.ops.rope.rotate_qk(x, x)]
    device = kind.removeprefix("fake-")

    def results():
        x = make(lambda *extents: torch.empty(*extents, dtype=dtype, device=device))
        return [torch.ops.rope.rotate(x), *torch.ops.rope.rotate_qk(x, x)]

    if kind == "meta":
        made = results()
    else:
        with FakeTensorMode():
            made = results()
    for own, expected in zip(made, real, strict=True):
        assert (own.shape, own.stride()) == (expected.shape, expected.stride())
        assert (own.dtype, own.device.type) == (dtype, device)
        assert own.storage_offset() == 0


def test_values_of_fake_starts_are_not_asked_for():
    """On the CPU the real op looks at cu_seqlens; a fake one has no values."""
    with FakeTensorMode():
        q = torch.empty(7, H, D)
        torch.ops.rope.apply(q, cu_seqlens=torch.empty(3, dtype=torch.int64))


def test_results_are_not_their_inputs():
    with FakeTensorMode():
        q = torch.empty(B, S, H, D, device="cuda")
        first, second = torch.ops.rope.rotate(q), torch.ops.rope.rotate(q)
        q2, k2 = torch.ops.rope.rotate_qk(q, q)
    assert len({t.untyped_storage()._cdata for t in (q, first, second, q2, k2)}) == 5


def test_keyword_call_of_the_rotated_tensor():
    with FakeTensorMode():
        x = torch.empty(B, S, H, D, device="cuda")
        assert torch.ops.rope.rotate(x=x).device == x.device
        assert typed_ops.rotate(x, inv_freq=torch.ones(D // 2)).device == x.device


def test_tracing_with_frequencies_on_the_cpu():
    """As torch.compile and torch.export trace it: fake tensors with symbolic extents."""
    from torch.fx.experimental.proxy_tensor import make_fx

    def step(q, k, pos, inv_freq):
        q, k = torch.ops.rope.rotate_qk(q, k, pos, inv_freq=inv_freq)
        torch.ops.rope.apply(q, None, pos, inv_freq=inv_freq, inverse=True)
        return q, k

    with FakeTensorMode(shape_env=torch.fx.experimental.symbolic_shapes.ShapeEnv()):
        q = torch.empty(B, S, H, D, device="cuda")
        pos = torch.empty(S, device="cuda", dtype=torch.int64)
        arguments = (q, q.clone(), pos, torch.ones(D // 2))
        graph = make_fx(step, tracing_mode="symbolic")(*arguments)
    targets = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert torch.ops.rope.rotate_qk.default in targets
    assert torch.ops.rope.apply.default in targets
