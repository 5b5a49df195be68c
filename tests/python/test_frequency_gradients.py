"""Gradients to learned frequencies, against float64 autograd through the reference.

On a GPU as on the CPU; the tolerance is derived in frequency_bounds.py.
"""

import pytest
import torch
from bounds import assert_within
from cases import DTYPES, PAIRINGS, random, same_bits
from frequency_bounds import exact_gradient, gradient_bound
from layouts import LAYOUTS, view_as

from torch_rope import reference

B, S, H, D, N = 2, 5, 3, 16, 6
POS = torch.tensor([[4, 5, 6, 7, 8], [0, 1, -2, 63, -4]])
LARGEST = 63
FREQUENCIES = {
    "n": (N,),
    "1-n": (1, N),
    "axes-n": (3, N),
    "1-heads-n": (1, H, N),
    "axes-heads-n": (2, H, N),
}


def learned(*extents, device, dtype=torch.float32):
    """Dense frequencies around those that models start from."""
    values = torch.rand(*extents, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return (values * torch.logspace(0, -3, extents[-1])).to(device, dtype).requires_grad_()


def positions_for(frequencies, device):
    axes = frequencies.shape[0] if frequencies.dim() > 1 else 1
    if axes == 1:
        return POS.to(device)
    return torch.stack([POS.roll(a, -1) * (1 - 2 * (a % 2)) for a in range(axes)]).to(device)


def inputs(device, dtype=torch.float32, heads=H, seed=0):
    x = random(B, S, heads, D, dtype=dtype, device=device, seed=seed)
    return x, random(B, S, heads, D, dtype=dtype, device=device, seed=seed + 1)


def judge(x, upstream, pos, frequencies, *, largest=LARGEST, **keywords):
    """The gradient of rotate to the frequencies, against the exact one."""
    torch.ops.rope.rotate(x, pos, inv_freq=frequencies, **keywords).backward(upstream)
    exact = exact_gradient(x, upstream, pos, frequencies, **keywords)
    bound = gradient_bound(
        x, upstream, pos, frequencies, exact, largest_position=largest, **keywords
    )
    assert frequencies.grad.dtype == frequencies.dtype
    assert_within(frequencies.grad, exact, bound.expand_as(exact))
    # Not everything is within the bound: a gradient of zero is not.
    assert (exact.abs() > bound).any()


@pytest.mark.parametrize("frequency_dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("extents", FREQUENCIES.values(), ids=FREQUENCIES)
def test_rotate(device, extents, dtype, interleaved, frequency_dtype):
    frequencies = learned(*extents, device=device, dtype=frequency_dtype)
    x, upstream = inputs(device, dtype)
    pos = positions_for(frequencies, device)
    judge(x, upstream, pos, frequencies, interleaved=interleaved)


KEYWORDS = {
    "attention_factor": {"attention_factor": 1.25},
    "inverse": {"inverse": True},
    "rotary_offset": {"rotary_offset": 3},
    "rotary_offset-negative": {"rotary_offset": -13, "interleaved": True},
    "offsets": {"offsets": torch.tensor([20, -30])},
    "skip_negative": {"skip_negative": True},
    "skip_negative-offsets": {"skip_negative": True, "offsets": torch.tensor([20, -30])},
}


@pytest.mark.parametrize("extents", [(N,), (2, H, N)], ids=["shared", "heads"])
@pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS)
def test_keywords(device, keywords, extents):
    frequencies = learned(*extents, device=device)
    x, upstream = inputs(device)
    own = {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in keywords.items()}
    judge(x, upstream, positions_for(frequencies, device), frequencies, largest=100, **own)
    plain = exact_gradient(x, upstream, positions_for(frequencies, device), frequencies)
    assert not torch.allclose(frequencies.grad.double(), plain, rtol=1e-3)


SHARED_POSITIONS = {
    "none": lambda: None,
    "tokens": lambda: torch.tensor([3, 1, 4, 1, 5], dtype=torch.int32),
    "1-tokens": lambda: torch.tensor([[3, 1, 4, 1, 5]]),
}


@pytest.mark.parametrize("make", SHARED_POSITIONS.values(), ids=SHARED_POSITIONS)
def test_positions_shared_by_a_batch(device, make):
    pos = make()
    frequencies = learned(N, device=device)
    x, upstream = inputs(device)
    judge(x, upstream, pos if pos is None else pos.to(device), frequencies, largest=5)


@pytest.mark.parametrize("extents", [(N,), (1, H, N)], ids=["shared", "heads"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout, extents):
    """Every layout sums the same terms: a batch of one, so that "thd" has them all too."""
    frequencies = learned(*extents, device=device)
    x, upstream = (t[:1] for t in inputs(device))
    pos = torch.tensor([3, 1, 4, 1, 5], device=device)
    rotated = torch.ops.rope.rotate(view_as(layout, x), pos, inv_freq=frequencies, layout=layout)
    rotated.backward(view_as(layout, upstream))
    exact = exact_gradient(x, upstream, pos, frequencies)
    bound = gradient_bound(x, upstream, pos, frequencies, exact, largest_position=5)
    assert_within(frequencies.grad, exact, bound.reshape(exact.shape))


@pytest.mark.parametrize("with_offsets", [False, True], ids=["starts", "starts-offsets"])
def test_ragged_batches(device, with_offsets):
    """An empty sequence among them; what judges is one call for each sequence."""
    starts = torch.tensor([0, 2, 2, 7], device=device)
    offsets = torch.tensor([11, 5, 30], device=device) if with_offsets else None
    frequencies = learned(N, device=device)
    x = random(7, H, D, dtype=torch.float32, device=device)
    upstream = random(7, H, D, dtype=torch.float32, device=device, seed=1)
    torch.ops.rope.rotate(x, inv_freq=frequencies, cu_seqlens=starts, offsets=offsets).backward(
        upstream
    )
    pos = torch.tensor([0, 1, 0, 1, 2, 3, 4], device=device)
    if with_offsets:
        pos = pos + torch.tensor([11, 11, 30, 30, 30, 30, 30], device=device)
    exact = exact_gradient(x[None], upstream[None], pos, frequencies)
    bound = gradient_bound(x[None], upstream[None], pos, frequencies, exact, largest_position=34)
    assert_within(frequencies.grad, exact, bound)


@pytest.mark.parametrize("needed", ["f", "qf", "kf", "qkf"])
def test_rotate_qk(device, needed):
    """Both tensors add to the gradient, whichever of them asks for one of its own."""
    frequencies = learned(N, device=device)
    pos = POS.to(device)
    (q, for_q), (k, for_k) = inputs(device), inputs(device, heads=1, seed=2)
    q.requires_grad_("q" in needed)
    k.requires_grad_("k" in needed)
    torch.autograd.backward(
        torch.ops.rope.rotate_qk(q, k, pos, inv_freq=frequencies), (for_q, for_k)
    )
    parts = [(q, for_q), (k, for_k)]
    exact = [exact_gradient(x, upstream, pos, frequencies) for x, upstream in parts]
    bounds = [
        gradient_bound(x, upstream, pos, frequencies, part, largest_position=LARGEST)
        for (x, upstream), part in zip(parts, exact, strict=True)
    ]
    # Both sums are rounded to float32, and so is theirs.
    total = sum(exact)
    bound = sum(bounds) + 2.0**-24 * (total.abs() + sum(bounds))
    assert_within(frequencies.grad, total, bound)
    for name, (x, upstream) in zip("qk", parts, strict=True):
        assert (x.grad is not None) == (name in needed)
        if name in needed:
            inverse = torch.ops.rope.rotate(upstream, pos, inv_freq=frequencies, inverse=True)
            assert same_bits(x.grad, inverse.detach())


@pytest.mark.parametrize("used", [0, 1], ids=["q", "k"])
def test_only_one_result_is_used(device, used):
    frequencies = learned(N, device=device)
    pairs = [inputs(device), inputs(device, heads=1, seed=2)]
    result = torch.ops.rope.rotate_qk(
        pairs[0][0], pairs[1][0], POS.to(device), inv_freq=frequencies
    )
    result[used].backward(pairs[used][1])
    x, upstream = pairs[used]
    exact = exact_gradient(x, upstream, POS.to(device), frequencies)
    bound = gradient_bound(
        x, upstream, POS.to(device), frequencies, exact, largest_position=LARGEST
    )
    assert_within(frequencies.grad, exact, bound)


@pytest.mark.cuda
def test_frequencies_on_the_cpu_get_their_gradient_there():
    frequencies = learned(N, device="cpu")
    x, upstream = inputs("cuda")
    torch.ops.rope.rotate(x, POS.cuda(), inv_freq=frequencies).backward(upstream)
    beside = learned(N, device="cuda")
    torch.ops.rope.rotate(x, POS.cuda(), inv_freq=beside).backward(upstream)
    assert same_bits(frequencies.grad, beside.grad.cpu())


def test_the_same_bits_each_time(device):
    x = random(2, 300, 4, 64, dtype=torch.float32, device=device)
    upstream = random(2, 300, 4, 64, dtype=torch.float32, device=device, seed=1)

    def gradient():
        frequencies = learned(2, 32, device=device, dtype=torch.float64)
        pos = torch.arange(300, device=device).expand(2, 300)
        torch.ops.rope.rotate(x, pos, inv_freq=frequencies).backward(upstream)
        return frequencies.grad

    first = gradient()
    assert all(same_bits(first, gradient()) for _ in range(3))


def test_long_sums_keep_their_small_terms(device):
    """The exact sum is odd and above 2^24, which no float32 is."""
    tokens = 2**16 + 3
    x = torch.ones(1, tokens, 1, 2, device=device)
    upstream = torch.zeros_like(x)
    upstream[..., 1] = 1.0
    frequencies = torch.zeros(1, device=device, dtype=torch.float64, requires_grad=True)
    torch.ops.rope.rotate(x, inv_freq=frequencies).backward(upstream)
    # Nothing turns, so each token adds its own position, and each sum on the way is an integer.
    exact = tokens * (tokens - 1) // 2
    assert exact % 2 == 1
    assert frequencies.grad.item() == exact


def test_nothing_of_a_skipped_token_counts(device):
    frequencies = learned(N, device=device)
    x, upstream = inputs(device)
    pos = torch.tensor([3, -1, 4, -1, 5], device=device)
    skipped = pos < 0
    x[:, skipped] = float("nan")
    upstream[:, skipped] = float("inf")
    torch.ops.rope.rotate(x, pos, inv_freq=frequencies, skip_negative=True).backward(upstream)
    kept = learned(N, device=device)
    torch.ops.rope.rotate(x[:, ~skipped], pos[~skipped], inv_freq=kept).backward(
        upstream[:, ~skipped]
    )
    torch.testing.assert_close(frequencies.grad, kept.grad, rtol=2.0**-22, atol=0.0)


def test_double_backward(device):
    """Against the reference's second derivative; a few units of float32 of a sum of 240 terms.

    The curvature is a sum of pos^2 * x' gx + ..., of 240 terms below 63^2 * 5; each is off by less
    than 10 * 2^-24 of that.
    """
    x, upstream = inputs(device)
    pos = POS.to(device)
    along = torch.linspace(-1, 1, N, device=device)
    frequencies = learned(N, device=device)
    rotated = torch.ops.rope.rotate(x, pos, inv_freq=frequencies)
    (first,) = torch.autograd.grad(rotated, frequencies, upstream, create_graph=True)
    (second,) = torch.autograd.grad(first, frequencies, along)
    exact = frequencies.detach().double().requires_grad_()
    rotated = reference.rotate(x, pos, inv_freq=exact)
    (first,) = torch.autograd.grad(rotated, exact, upstream.double(), create_graph=True)
    (expected,) = torch.autograd.grad(first, exact, along.double())
    allowed = 240 * 63**2 * 5 * 10 * 2.0**-24
    assert (second.double() - expected).abs().max() < allowed
    assert expected.abs().max() > 10 * allowed
