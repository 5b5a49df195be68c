"""Forward mode: the rotation is linear in x, and moves along a circle with its frequencies."""

import pytest
import torch
from bounds import FLOAT32_UNIT
from cases import DTYPES, PAIRINGS, random, same_bits
from torch.autograd import forward_ad

from torch_rope import reference

B, S, H, D, N = 2, 5, 3, 16, 6
POS = torch.tensor([[4, 5, 6, 7, 8], [0, 1, -2, 63, -4]])


def tensor(device, dtype=torch.float32, heads=H, seed=0):
    return random(B, S, heads, D, dtype=dtype, device=device, seed=seed)


def frequencies(*extents, device):
    values = torch.rand(*extents, generator=torch.Generator().manual_seed(7))
    return values.to(device)


def tangent_of(call, primal, tangent):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(call(forward_ad.make_dual(primal, tangent))).tangent


KEYWORDS = {
    "plain": {},
    "factor": {"attention_factor": 1.25},
    "inverse": {"inverse": True, "interleaved": True},
    "partial": {"rotary_dim": 8, "rotary_offset": -12},
    "skip_negative": {"skip_negative": True},
    "offsets": {"offsets": torch.tensor([3, 4])},
    "table": {"cos_sin": torch.linspace(-1, 1, 40 * D).reshape(40, D)},
}


@pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rotate_rotates_the_tangent(device, dtype, keywords):
    """By the op itself, so with the same bits."""
    own = {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in keywords.items()}
    tangent = tensor(device, dtype, seed=1)

    def rotate(x):
        return torch.ops.rope.rotate(x, POS.to(device), **own)

    assert same_bits(tangent_of(rotate, tensor(device, dtype), tangent), rotate(tangent))


@pytest.mark.parametrize("moving", ["q", "k", "qk"])
def test_rotate_qk(device, moving):
    """A result has a tangent where its tensor has one."""
    primals = {"q": tensor(device), "k": tensor(device, heads=1, seed=1)}
    tangents = {"q": tensor(device, seed=2), "k": tensor(device, heads=1, seed=3)}
    with forward_ad.dual_level():
        q, k = (
            forward_ad.make_dual(primals[n], tangents[n]) if n in moving else primals[n]
            for n in "qk"
        )
        results = torch.ops.rope.rotate_qk(q, k, POS.to(device))
        for name, result in zip("qk", results, strict=True):
            primal, tangent = forward_ad.unpack_dual(result)
            assert same_bits(primal, torch.ops.rope.rotate(primals[name], POS.to(device)))
            assert (tangent is not None) == (name in moving)
            if name in moving:
                assert same_bits(tangent, torch.ops.rope.rotate(tangents[name], POS.to(device)))


@pytest.mark.parametrize("layout", ["bshd", "bhsd", "sbhd", "thd"])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize(
    "extents", [(N,), (2, N), (1, H, N), (2, H, N)], ids=["n", "axes", "heads", "axes-heads"]
)
def test_frequencies(device, extents, interleaved, layout):
    """Against forward mode through the reference, in float64.

    A pair's tangent is the rotated pair, turned by a quarter, times the angle's tangent w. The pair
    is off by 4 u (u = 2^-24: guarantee 1 is 3.1 u, and it is rounded to float32), w and the product
    are rounded: 6.1 u |pair| |w|. Pairs here are shorter than 5, and w at most 64 + 64.
    """
    shape = {"thd": (S, H, D), "bhsd": (B, H, S, D), "sbhd": (S, B, H, D)}.get(layout, (B, S, H, D))
    x = random(*shape, dtype=torch.float32, device=device)
    inv_freq, tangent = frequencies(*extents, device=device), frequencies(*extents, device=device)
    pos = POS[1:] if layout == "thd" else POS
    pos = pos[0] if layout == "thd" else pos
    if extents[0] == 2:
        pos = torch.stack((pos, pos.flip(-1)))
    keywords = {
        "layout": layout,
        "interleaved": interleaved,
        "rotary_offset": 2,
        "skip_negative": True,
    }

    def moved(op, f):
        return op(x, pos.to(device), inv_freq=f, **keywords)

    actual = tangent_of(lambda f: moved(torch.ops.rope.rotate, f), inv_freq, tangent)
    exact = tangent_of(lambda f: moved(reference.rotate, f), inv_freq.double(), tangent.double())
    assert (actual.shape, actual.dtype) == (x.shape, x.dtype)
    assert (actual - exact).abs().max() <= 6.2 * FLOAT32_UNIT * 5 * 128
    assert exact.abs().max() > 1
    assert not actual[..., :2].any()
    assert not actual[..., 2 + 2 * N :].any()


def test_both_tangents_add_up(device):
    x, along = tensor(device), tensor(device, seed=1)
    inv_freq, turning = frequencies(N, device=device), frequencies(N, device=device)

    def rotate(x, f):
        return torch.ops.rope.rotate(x, POS.to(device), inv_freq=f)

    _, both = torch.func.jvp(rotate, (x, inv_freq), (along, turning))
    _, of_x = torch.func.jvp(lambda t: rotate(t, inv_freq), (x,), (along,))
    _, of_frequencies = torch.func.jvp(lambda f: rotate(x, f), (inv_freq,), (turning,))
    assert same_bits(both, of_x + of_frequencies)


@pytest.mark.parametrize("extents", [(N,), (2, H, N)], ids=["n", "axes-heads"])
def test_the_gradient_is_the_adjoint_of_the_tangent(device, extents):
    """<upstream, J t> = <J' upstream, t>.

    Both are sums of up to 480 terms, each below 128 * 5 * 3 and off by less than 10 u.
    """
    inv_freq, turning = frequencies(*extents, device=device), frequencies(*extents, device=device)
    x, upstream = tensor(device), tensor(device, seed=1)
    pos = POS.to(device) if len(extents) == 1 else POS.expand(2, B, S).to(device)

    def rotate(f):
        return torch.ops.rope.rotate(x, pos, inv_freq=f)

    tangent = tangent_of(rotate, inv_freq, turning)
    _, pull = torch.func.vjp(rotate, inv_freq)
    forward = (tangent.double() * upstream).sum()
    backward = (pull(upstream)[0].double() * turning).sum()
    assert abs(forward - backward) < 480 * 128 * 5 * 3 * 10 * FLOAT32_UNIT
    assert abs(forward) > 2


def test_forward_over_reverse(device):
    """The Hessian of a cubic of the rotated tensor, against reverse over reverse.

    Entries are sums of 5 * 3 * 10 terms below 63^2 * 100, each off by less than 10 u.
    """
    x, inv_freq = tensor(device), frequencies(N, device=device)

    def loss(f):
        return torch.ops.rope.rotate(x, POS.to(device), inv_freq=f).pow(3).sum()

    hessian = torch.func.hessian(loss)(inv_freq)
    twice = torch.func.jacrev(torch.func.jacrev(loss))(inv_freq)
    assert (hessian - twice).abs().max() < 150 * 63**2 * 100 * 10 * FLOAT32_UNIT
    assert hessian.abs().max() > 1000


def test_reverse_over_forward(device):
    """The tangent of a result is differentiable in the tangent that went in."""
    x, along = tensor(device), tensor(device, seed=1)

    def tangent(t):
        return torch.func.jvp(lambda x: torch.ops.rope.rotate(x, POS.to(device)), (x,), (t,))[1]

    _, pull = torch.func.vjp(tangent, along)
    assert same_bits(pull(x)[0], torch.ops.rope.rotate(x, POS.to(device), inverse=True))


@pytest.mark.parametrize("make", ["zero", "expanded", "negated", "strided"])
def test_tangents_that_the_kernels_cannot_read(device, make):
    x = tensor(device)
    tangent = {
        "zero": lambda: torch._efficientzerotensor(x.shape, device=device),
        "expanded": lambda: torch.ones((), device=device).expand(x.shape),
        "negated": lambda: torch._neg_view(tensor(device, seed=1)),
        "strided": lambda: random(D, B, S, H, dtype=torch.float32, device=device).movedim(0, -1),
    }[make]()
    actual = tangent_of(lambda t: torch.ops.rope.rotate(t, POS.to(device)), x, tangent)
    plain = torch.zeros_like(x) + tangent
    assert torch.equal(actual, torch.ops.rope.rotate(plain, POS.to(device)))


def test_forward_mode_keeps_the_graph(device):
    """A dual tensor that requires grad as well."""
    x = tensor(device).requires_grad_()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, tensor(device, seed=1))
        rotated = forward_ad.unpack_dual(torch.ops.rope.rotate(dual, POS.to(device)))
        rotated.primal.backward(torch.ones_like(x))
    ones = torch.ones_like(x.detach())
    assert same_bits(x.grad, torch.ops.rope.rotate(ones, POS.to(device), inverse=True))


def test_tangents_of_many_at_once(device):
    x, directions = tensor(device), random(3, B, S, H, D, dtype=torch.float32, device=device)

    def rotate(x):
        return torch.ops.rope.rotate(x, POS.to(device))

    batched = torch.func.vmap(lambda t: torch.func.jvp(rotate, (x,), (t,))[1])(directions)
    assert torch.equal(batched, torch.stack([rotate(t) for t in directions]))
