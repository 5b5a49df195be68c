"""The tools around autograd: anomaly mode, checkpoints, hooks, torch.func, compiled autograd.

The call is that of learned frequencies, which keeps the most: positions, frequencies, results.
"""

import re

import pytest
import torch
from cases import random, same_bits
from torch.utils.checkpoint import checkpoint

B, S, H, D, N = 2, 5, 3, 16, 8


def leaves(device):
    q = random(B, S, H, D, dtype=torch.float32, device=device).requires_grad_()
    k = random(B, S, 1, D, dtype=torch.float32, device=device, seed=1).requires_grad_()
    inv_freq = torch.logspace(0, -3, N, device=device).requires_grad_()
    return q, k, inv_freq


def loss(q, k, inv_freq):
    pos = torch.arange(S, device=q.device)
    q, k = torch.ops.rope.rotate_qk(q, k, pos, inv_freq=inv_freq, attention_factor=1.5)
    return q.pow(2).mul(torch.arange(D, device=q.device)).sum() + k.cos().sum()


def gradients(device, run):
    """The gradients of all three leaves, after run has gone backward."""
    inputs = leaves(device)
    run(*inputs)
    return [leaf.grad for leaf in inputs]


def assert_as_plain(device, run):
    plain = gradients(device, lambda *inputs: loss(*inputs).backward())
    for actual, expected in zip(gradients(device, run), plain, strict=True):
        assert same_bits(actual, expected)
        assert expected.any()


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not-reentrant"])
def test_checkpoint(device, reentrant):
    assert_as_plain(
        device, lambda *inputs: checkpoint(loss, *inputs, use_reentrant=reentrant).backward()
    )


def test_anomaly_mode(device):
    def run(*inputs):
        with torch.autograd.detect_anomaly(check_nan=True):
            loss(*inputs).backward()

    with pytest.warns(UserWarning, match="Anomaly Detection"):
        assert_as_plain(device, run)


def test_anomaly_mode_names_the_node(device):
    q, _, _ = leaves(device)
    with pytest.warns(UserWarning, match="Anomaly Detection"):
        anomaly = torch.autograd.detect_anomaly(check_nan=True)
    text = "'RotateBackward' returned nan values in its 0th"
    with anomaly:
        rotated = torch.ops.rope.rotate(q)
        with (
            pytest.raises(RuntimeError, match=text),
            pytest.warns(UserWarning, match="detected in"),
        ):
            rotated.backward(torch.full_like(q, float("nan")))


def test_hooks(device):
    """Of the node, before and after it, and of the tensors on both sides."""
    q, k, inv_freq = leaves(device)
    rotated, _ = torch.ops.rope.rotate_qk(q, k, inv_freq=inv_freq)
    seen = []
    rotated.grad_fn.register_prehook(lambda incoming: seen.append(("before", len(incoming))))
    rotated.grad_fn.register_hook(lambda made, _: seen.append(("after", len(made))))
    rotated.register_hook(lambda gradient: gradient * 2)
    q.register_hook(lambda gradient: seen.append(("q", tuple(gradient.shape))))
    rotated.sum().backward()
    assert seen == [("before", 2), ("after", 3), ("q", (B, S, H, D))]
    expected = torch.ops.rope.rotate(torch.full_like(q, 2.0), inv_freq=inv_freq, inverse=True)
    assert same_bits(q.grad, expected.detach())
    assert rotated.grad_fn.name() == "RotateBackward"


SAVED = {
    "plain": (False, {}, ["pos"]),
    "frequencies": (False, {"inv_freq": True}, ["pos", "inv_freq"]),
    "learned": (True, {"inv_freq": True}, ["pos", "inv_freq", "result"]),
}


@pytest.mark.parametrize(("is_learned", "keywords", "expected"), SAVED.values(), ids=SAVED)
def test_what_is_saved(device, is_learned, keywords, expected):
    """x never, and the result only for learned frequencies; hooks on it change nothing."""
    q, _, inv_freq = leaves(device)
    pos = torch.arange(S, device=device)
    given = {"inv_freq": inv_freq if is_learned else inv_freq.detach()} if keywords else {}
    saved = []

    def pack(tensor):
        saved.append(tensor.shape)
        return tensor.detach().clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        rotated = torch.ops.rope.rotate(q, pos, **given)
    shapes = {"pos": pos.shape, "inv_freq": inv_freq.shape, "result": q.shape}
    assert saved == [shapes[name] for name in expected]
    rotated.sum().backward()
    inverse = torch.ops.rope.rotate(torch.ones_like(q), pos, inverse=True, **given)
    assert same_bits(q.grad, inverse.detach())


def test_save_on_cpu(device):
    def run(*inputs):
        with torch.autograd.graph.save_on_cpu():
            value = loss(*inputs)
        value.backward()

    assert_as_plain(device, run)


def test_a_learned_result_that_is_changed_is_noticed(device):
    q, _, inv_freq = leaves(device)
    rotated = torch.ops.rope.rotate(q, inv_freq=inv_freq)
    rotated.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        rotated.sum().backward()


def test_twice_backward(device):
    q, _, inv_freq = leaves(device)
    rotated = torch.ops.rope.rotate(q, inv_freq=inv_freq)
    rotated.sum().backward(retain_graph=True)
    first = inv_freq.grad.clone()
    rotated.sum().backward()
    assert same_bits(inv_freq.grad, first * 2)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        rotated.sum().backward()


def test_only_the_wanted_gradient_is_made(device):
    q, k, inv_freq = leaves(device)
    (alone,) = torch.autograd.grad(loss(q, k, inv_freq), inv_freq)
    together = torch.autograd.grad(loss(q, k, inv_freq), (q, k, inv_freq))
    assert same_bits(alone, together[2])
    (of_k,) = torch.autograd.grad(loss(q, k, inv_freq), k)
    assert same_bits(of_k, together[1])


@pytest.mark.parametrize("transform", ["grad", "vjp", "jacrev"])
def test_func(device, transform):
    inputs = [leaf.detach() for leaf in leaves(device)]

    def run(*own):
        if transform == "grad":
            made = torch.func.grad(loss, argnums=(0, 1, 2))(*inputs)
        elif transform == "vjp":
            value, pull = torch.func.vjp(loss, *inputs)
            made = pull(torch.ones_like(value))
        else:
            made = torch.func.jacrev(loss, argnums=(0, 1, 2))(*inputs)
        for leaf, gradient in zip(own, made, strict=True):
            leaf.grad = gradient

    plain = gradients(device, lambda *own: loss(*own).backward())
    for actual, expected in zip(gradients(device, run), plain, strict=True):
        # Float64 sums in another order, then rounded to float32: neighbours at most.
        torch.testing.assert_close(actual, expected, rtol=2.0**-22, atol=0.0)


def test_inference_mode(device):
    q, k, inv_freq = leaves(device)
    with torch.inference_mode():
        inside = torch.ops.rope.rotate_qk(q, k, inv_freq=inv_freq)
    outside = torch.ops.rope.rotate_qk(q, k, inv_freq=inv_freq)
    for own, expected in zip(inside, outside, strict=True):
        assert own.is_inference()
        assert same_bits(own, expected.detach())


def test_inference_tensors_cannot_be_kept(device):
    """As for torch's own ops: backward would need what inference mode made."""
    q, _, _ = leaves(device)
    with torch.inference_mode():
        pos = torch.arange(S, device=device)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        torch.ops.rope.rotate(q, pos)


@pytest.fixture
def count_graphs():
    """A compiler for compiled autograd, and how often it was called."""
    torch._dynamo.reset()
    calls = []

    def compiler(graph):
        calls.append(graph)
        return torch.compile(graph, backend="aot_eager", fullgraph=True)

    yield compiler, calls
    torch._dynamo.reset()


def test_compiled_autograd(device, count_graphs):
    compiler, calls = count_graphs

    def run(*inputs):
        with torch._dynamo.compiled_autograd._enable(compiler):
            loss(*inputs).backward()

    assert_as_plain(device, run)
    assert_as_plain(device, run)
    assert len(calls) == 1
    assert re.search(r"RotateBackward", calls[0].print_readable(print_output=False))


def test_compiled_autograd_tells_calls_apart(device, count_graphs):
    """Its graphs are kept by what the node collects: each keyword of the call."""
    compiler, _ = count_graphs
    keywords = [
        {},
        {"base": 500.0},
        {"attention_factor": 1.5},
        {"rotary_dim": 8},
        {"rotary_dim": 8, "rotary_offset": 4},
        {"interleaved": True},
        {"inverse": True},
        {"layout": "sbhd"},
        {"skip_negative": True, "pos": torch.tensor([-1, 2, 3, -4, 5], device=device)},
        {"pos": torch.tensor([-1, 2, 3, -4, 5], device=device)},
    ]
    x = random(S, S, H, D, dtype=torch.float32, device=device)
    upstream = random(S, S, H, D, dtype=torch.float32, device=device, seed=1)

    def gradient(given):
        leaf = x.clone().requires_grad_()
        torch.ops.rope.rotate(leaf, **given).backward(upstream)
        return leaf.grad

    expected = [gradient(given) for given in keywords]
    with torch._dynamo.compiled_autograd._enable(compiler):
        actual = [gradient(given) for given in keywords]
    assert [same_bits(a, e) for a, e in zip(actual, expected, strict=True)] == [True] * 10


def test_compiled_autograd_under_compile(device):
    torch._dynamo.reset()

    def run(*inputs):
        with torch._dynamo.config.patch(compiled_autograd=True):
            torch.compile(lambda *own: loss(*own).backward(), backend="aot_eager")(*inputs)

    assert_as_plain(device, run)
    torch._dynamo.reset()


def test_compile_of_learned_frequencies(device):
    """One graph, and with symbolic extents one for all sequence lengths."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return torch._dynamo.backends.debugging.aot_eager(graph, inputs)

    def step(q, k, inv_freq):
        return sum(t.sin().sum() for t in torch.ops.rope.rotate_qk(q, k, inv_freq=inv_freq))

    compiled = torch.compile(step, backend=backend, dynamic=True, fullgraph=True)
    _, _, inv_freq = leaves(device)
    for tokens in (5, 7, 8, 13):
        own = [
            random(B, tokens, h, D, dtype=torch.float32, device=device).requires_grad_()
            for h in (H, 1)
        ]
        made = torch.autograd.grad(compiled(*own, inv_freq), (*own, inv_freq))
        expected = torch.autograd.grad(step(*own, inv_freq), (*own, inv_freq))
        assert all(same_bits(a, b) for a, b in zip(made, expected, strict=True))
    assert len(graphs) == 1
    torch._dynamo.reset()
