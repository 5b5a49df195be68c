"""to_half_split and to_interleaved: permuted projections under the other pairing give equal scores.

The permutation is a reordering, so outputs of the projection and of the rotation are compared bit
for bit after it; scores, which sum in another order, within the rounding of that sum.
"""

import re

import pytest
import torch
from cases import random, same_bits
from torch._subclasses import FakeTensorMode

import torch_rope

FUNCTIONS = [
    pytest.param(torch_rope.to_half_split, id="to-half-split"),
    pytest.param(torch_rope.to_interleaved, id="to-interleaved"),
]
# head_dim, keywords, and the components that are rotated
PARTS = [
    pytest.param(64, {}, range(64), id="whole"),
    pytest.param(80, {"rotary_dim": 32}, range(32), id="phi-2"),
    pytest.param(192, {"rotary_dim": 64, "rotary_offset": -64}, range(128, 192), id="mla"),
    pytest.param(20, {"rotary_dim": 6, "rotary_offset": 3}, range(3, 9), id="middle"),
    pytest.param(10, {"rotary_offset": 4}, range(4, 10), id="rest"),
    pytest.param(2, {}, range(2), id="one-pair"),
]
FP8 = [torch.float8_e4m3fn, torch.float8_e5m2]


def order_of_half_split(head_dim, part):
    """Which interleaved component stands at each place of a half-split head."""
    order = list(range(head_dim))
    order[part.start : part.stop] = [*part[::2], *part[1::2]]
    return order


@pytest.mark.parametrize(("head_dim", "keywords", "part"), PARTS)
@pytest.mark.parametrize("shape", [(), (5,), (3, 2)], ids=["bias", "weight", "convolution"])
def test_rows_are_reordered_by_head(head_dim, keywords, part, shape):
    heads = 3
    weight = torch.arange(heads * head_dim).reshape(-1, *(1 for _ in shape)).expand(-1, *shape)
    result = torch_rope.to_half_split(weight, head_dim, **keywords)
    order = torch.tensor(order_of_half_split(head_dim, part))
    expected = torch.cat([h * head_dim + order for h in range(heads)])
    assert result.is_contiguous()
    assert result.shape == weight.shape
    assert torch.equal(result, expected.reshape(-1, *(1 for _ in shape)).expand(-1, *shape))


@pytest.mark.parametrize(("head_dim", "keywords", "part"), PARTS)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.int8, torch.bool, *FP8], ids=str
)
def test_each_undoes_the_other(head_dim, keywords, part, dtype):
    weight = torch.randint(0, 2, (4 * head_dim, 7)).to(dtype)
    there = torch_rope.to_interleaved(weight, head_dim, **keywords)
    back = torch_rope.to_half_split(there, head_dim, **keywords)
    assert back.dtype == dtype
    assert torch.equal(back.view(torch.uint8), weight.view(torch.uint8))


def permute_of_transformers(weight, heads):
    """The reordering in transformers' conversion script of Meta's Llama checkpoints: (rows / heads
    / 2, 2) transposed within each head."""
    rows, columns = weight.shape
    grid = weight.view(heads, rows // heads // 2, 2, columns)
    return grid.transpose(1, 2).reshape(rows, columns)


def test_is_the_conversion_of_llama_checkpoints():
    weight = torch.randn(8 * 64, 32)
    assert torch.equal(torch_rope.to_half_split(weight, 64), permute_of_transformers(weight, 8))


@pytest.mark.parametrize(("head_dim", "keywords", "part"), PARTS)
def test_scores_are_equal(head_dim, keywords, part):
    """Eight query heads share two key heads; every head's component is a permutation's, the
    projections are the same sums, and the rotation pairs the same numbers."""
    hidden, tokens, heads_q, heads_k = 48, 6, 8, 2
    x = random(1, tokens, hidden, dtype=torch.float32, device="cpu")
    pos = torch.tensor([0, 1, 7, 100, 4095, 131072])

    def projected(convert, heads, seed, interleaved):
        weight = random(heads * head_dim, hidden, dtype=torch.float64, device="cpu", seed=seed)
        bias = random(heads * head_dim, dtype=torch.float64, device="cpu", seed=seed + 1)
        # float64 sums rounded to float32: whatever order the product takes its rows in.
        out = torch.nn.functional.linear(x.double(), convert(weight), convert(bias)).float()
        out = out.unflatten(-1, (heads, head_dim))
        return torch_rope.rotate(out, pos, interleaved=interleaved, **keywords)

    def converted(weight):
        return torch_rope.to_half_split(weight, head_dim, **keywords)

    def identity(weight):
        return weight

    order = torch.tensor(order_of_half_split(head_dim, part))
    scores = []
    for convert, interleaved in ((identity, True), (converted, False)):
        q = projected(convert, heads_q, 1, interleaved)
        k = projected(convert, heads_k, 3, interleaved)
        shared = k.repeat_interleave(heads_q // heads_k, dim=2)
        scores.append((q, k, torch.einsum("bshd,bthd->bhst", q.double(), shared.double())))
    (q, k, expected), (half_q, half_k, actual) = scores
    assert same_bits(half_q, q[..., order])
    assert same_bits(half_k, k[..., order])
    # head_dim products in float64, summed in another order.
    norms = torch.einsum(
        "bshd,bthd->bhst", q.double().abs(), k.double().abs().repeat_interleave(4, 2)
    )
    assert ((actual - expected).abs() <= 2 * head_dim * 2.0**-53 * norms).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradient_is_the_other_permutation(function):
    weight = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: function(w, 6, rotary_dim=4), weight)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_parameters_meta_and_no_heads(function):
    parameter = torch.nn.Parameter(torch.randn(8, 3))
    assert type(function(parameter, 4)) is torch.Tensor
    assert function(torch.empty(8, 3, device="meta"), 4).shape == (8, 3)
    assert function(torch.empty(0, 3), 4).shape == (0, 3)


STRIDES = {
    "transposed": lambda: torch.randn(5, 12).T,
    "permuted": lambda: torch.randn(3, 2, 12).permute(2, 0, 1),
    "channels-last": lambda: torch.randn(12, 3, 2, 2).to(memory_format=torch.channels_last),
    "expanded": lambda: torch.randn(1, 5).expand(12, 5),
}


@pytest.mark.parametrize("make", STRIDES.values(), ids=STRIDES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_results_are_new_and_contiguous(function, make):
    weight = make()
    result = function(weight, 6, rotary_dim=4)
    assert result.is_contiguous()
    assert result.untyped_storage().data_ptr() != weight.untyped_storage().data_ptr()
    assert torch.equal(result, function(weight.contiguous(), 6, rotary_dim=4))


@pytest.mark.parametrize("place", ["cpu", "cuda"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_fake(function, place):
    with FakeTensorMode():
        result = function(torch.empty(12, 5, device=place), 6, rotary_offset=-4)
    assert (result.shape, result.device.type) == ((12, 5), place)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_compiled(function, dynamic):
    def convert(weight):
        return function(weight, 6, rotary_dim=4)

    compiled = torch.compile(convert, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    weight = torch.randn(12, 5)
    assert torch.equal(compiled(weight), convert(weight))


@pytest.mark.parametrize(
    ("shape", "head_dim", "keywords", "rule"),
    [
        ((8, 3), 1, {}, "head_dim must be at least 2, got 1"),
        ((8, 3), -4, {}, "head_dim must be at least 2, got -4"),
        (
            (8, 3),
            3,
            {},
            "the first dimension of weight must be a multiple of head_dim = 3, got (8, 3)",
        ),
        ((), 4, {}, "the first dimension of weight must be a multiple of head_dim = 4, got ()"),
        ((9,), 9, {}, "rotary_dim must be even, got 9"),
        ((8,), 8, {"rotary_dim": 3}, "rotary_dim must be even, got 3"),
        ((8,), 8, {"rotary_offset": 8}, "rotary_offset must lie within the head of 8, got 8"),
        ((8,), 8, {"rotary_offset": -9}, "rotary_offset must lie within the head of 8, got -9"),
        (
            (8,),
            8,
            {"rotary_dim": 6, "rotary_offset": 4},
            "rotary_dim must be between 2 and the 4 components from rotary_offset on, got 6",
        ),
        (
            (8,),
            8,
            {"rotary_dim": -2},
            "rotary_dim must be between 2 and the 8 components from rotary_offset on, got -2",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_refused(function, shape, head_dim, keywords, rule):
    with pytest.raises(ValueError, match=f"^{function.__name__}: {re.escape(rule)}$"):
        function(torch.zeros(shape), head_dim, **keywords)
