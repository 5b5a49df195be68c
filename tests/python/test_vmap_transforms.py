"""torch.func.vmap over the operators together with torch's other transforms."""

import pytest
import torch
from cases import same_bits
from torch.func import functional_call, grad, jacfwd, jacrev, stack_module_state, vmap
from vmap_calls import B, Call, D, S, V, frequencies, heads, positions

import torch_rope

# torch's own way for operators without a rule warns that it is slow.
pytestmark = pytest.mark.filterwarnings("error:There is a performance drop")


def test_nested(device):
    x, pos = heads(device, V, B, S), positions(device, V, S)
    expected = Call(x, pos, ("x", "pos")).one_by_one(torch.ops.rope.rotate)
    assert same_bits(vmap(vmap(torch.ops.rope.rotate, (0, None)))(x, pos), expected)
    inner_shares_x = vmap(lambda x, p: vmap(lambda p: torch.ops.rope.rotate(x, p))(p))
    twice = inner_shares_x(x, torch.stack((pos, pos), 1))
    assert same_bits(twice[:, 1], expected)


def test_gradients_of_examples(device):
    """vmap over grad, with frequencies learned too."""
    x, inv_freq = heads(device, V, B, S), frequencies(device, V)
    weight = heads(device, B, S, seed=2)

    def loss(x, inv_freq):
        return (torch.ops.rope.rotate(x, inv_freq=inv_freq) * weight).sum()

    mapped = vmap(grad(loss, (0, 1)))(x, inv_freq)
    for i in range(V):
        alone = grad(loss, (0, 1))(x[i], inv_freq[i])
        assert same_bits(mapped[0][i], alone[0])
        assert same_bits(mapped[1][i], alone[1])


def test_gradient_through_vmap(device):
    x, pos = heads(device, V, B, S).requires_grad_(), positions(device, V, S)
    weight = heads(device, V, B, S, seed=2)
    rotated = vmap(torch.ops.rope.rotate)(x, pos)
    rotated.backward(weight)
    inverse = [torch.ops.rope.rotate(w, p, inverse=True) for w, p in zip(weight, pos, strict=True)]
    assert same_bits(x.grad, torch.stack(inverse))


def test_batched_gradients(device):
    """is_grads_batched, and what torch.autograd.functional makes of it."""
    x, pos = heads(device, B, S).requires_grad_(), positions(device, S)
    incoming = heads(device, V, B, S, seed=2)
    rotated = torch.ops.rope.rotate(x, pos)
    (made,) = torch.autograd.grad(rotated, x, incoming, is_grads_batched=True)
    expected = [torch.ops.rope.rotate(g, pos, inverse=True) for g in incoming]
    assert same_bits(made, torch.stack(expected))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_jacobians(device):
    """The rows of the matrix are the rotated unit vectors; jacfwd, jacrev and both kinds agree."""
    x, pos = heads(device, 1, 1)[..., :1, :], positions(device, 1)

    def rotate(x):
        return torch.ops.rope.rotate(x, pos).flatten()

    columns = [torch.ops.rope.rotate(e.view_as(x), pos).flatten() for e in torch.eye(D).to(x)]
    matrix = torch.stack(columns, 1).view(D, *x.shape)
    for jacobian in (jacfwd(rotate)(x), jacrev(rotate)(x)):
        # Zeros on one side are −0 on the other.
        assert torch.equal(jacobian, matrix)
    vectorized = torch.autograd.functional.jacobian(rotate, x, vectorize=True)
    assert torch.equal(vectorized, matrix)


@pytest.mark.parametrize("rows", [0, 4], ids=["computed", "table"])
def test_ensemble(device, rows):
    """Models with frequencies of their own, stacked as torch.func does it, buffers and all."""
    modules = [
        torch_rope.RotaryEmbedding(
            torch_rope.schedules.default(dim=D, base=base), table_rows=rows
        ).to(device)
        for base in (1e4, 1e5, 1e6)
    ]
    parameters, buffers = stack_module_state(modules)
    assert parameters == {}
    q = heads(device, V, B, S)

    def one(buffers, q):
        return functional_call(modules[0], buffers, (q, q[:, :, :1]))

    results = vmap(one)(buffers, q)
    for i, module in enumerate(modules):
        expected = module(q[i], q[i][:, :, :1])
        assert same_bits(results[0][i], expected[0])
        assert same_bits(results[1][i], expected[1])


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compile(device, dynamic):
    x, pos = heads(device, V, B, S), positions(device, V, S)
    mapped = vmap(torch.ops.rope.rotate)
    compiled = torch.compile(mapped, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    assert same_bits(compiled(x, pos), mapped(x, pos))
