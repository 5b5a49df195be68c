"""apply against the float64 oracle, over type, pairing, positions, angles and extents.

The tolerance is guarantee 1, elementwise; bounds.py derives it.
"""

import pytest
import torch
from bounds import assert_within, error_bound
from cases import DTYPES, PAIRINGS, SHAPES, Shape, random, same_bits, shapes

import torch_rope
from torch_rope import reference

BATCHES, TOKENS = 2, 5

POSITIONS = {
    "none": None,
    "S": torch.tensor([3, 0, 1, 700, 131072]),
    "S-i32": torch.tensor([3, 0, 1, 700, 131072], dtype=torch.int32),
    "1S-i32": torch.tensor([[3, 0, 1, 700, 131072]], dtype=torch.int32),
    "BS": torch.tensor([[0, 1, 2, 3, 4], [90, 91, 92, 5, 6]]),
    "BS-i32": torch.tensor([[0, 1, 2, 3, 4], [90, 91, 92, 5, 6]], dtype=torch.int32),
    "negative": torch.tensor([-1, -2, -(2**31), 0, 7]),
    "huge": torch.tensor([2**31, 2**40 + 1, -(2**63), 2**63 - 1, -(2**50)]),
    "expanded": torch.tensor([11]).expand(BATCHES, TOKENS),
    "strided": torch.arange(4 * BATCHES * TOKENS, dtype=torch.int32).reshape(-1, BATCHES)[::4].T,
}


def inv_freq(rotary_dim, dtype):
    """Frequencies of both signs, zero among them, that no power of a base gives."""
    frequencies = torch.logspace(0, -5, rotary_dim // 2, dtype=torch.float64)
    frequencies[1::3] *= -1.0
    frequencies[2::7] = 0.0
    return frequencies.to(dtype)


# A source of the angle: rotary_dim and the type of q -> keywords of the operator.
ANGLES = {
    "default": lambda dim, dtype: {},
    "base": lambda dim, dtype: {"base": 500000.0},
    "f32": lambda dim, dtype: {"inv_freq": inv_freq(dim, torch.float32)},
    "f64": lambda dim, dtype: {"inv_freq": inv_freq(dim, torch.float64)},
    "1n": lambda dim, dtype: {"inv_freq": inv_freq(dim, torch.float64)[None]},
    "turns": lambda dim, dtype: {"inv_freq": torch_rope.turns(inv_freq(dim, torch.float64))},
    "factor": lambda dim, dtype: {"attention_factor": 1.2079441541679836},
    "inverse": lambda dim, dtype: {"inverse": True},
    "table": lambda dim, dtype: {
        "inv_freq": inv_freq(dim, torch.float64),
        "cos_sin": torch_rope.cos_sin_table(inv_freq(dim, torch.float64), 64),
    },
    "table-factor": lambda dim, dtype: {
        "inv_freq": inv_freq(dim, torch.float64),
        "cos_sin": torch_rope.cos_sin_table(
            inv_freq(dim, torch.float64), 64, attention_factor=0.75
        ),
        "attention_factor": 0.75,
    },
}


def largest(pos):
    """|p| of the largest position, as a Python integer: the smallest int64 has no negative."""
    return TOKENS if pos is None else max(abs(p) for p in pos.flatten().tolist())


def exact_keywords(keywords):
    """The same angles without the table, which is itself no exact value."""
    return {name: value for name, value in keywords.items() if name != "cos_sin"}


def check(actual, x, pos, keywords, rotary_dim):
    exact = reference.rotate(x, pos, rotary_dim=rotary_dim, **exact_keywords(keywords))
    bound = error_bound(
        x,
        exact,
        rotary_dim=rotary_dim,
        interleaved=keywords.get("interleaved", False),
        largest_position=largest(pos),
        factor=keywords.get("attention_factor", 1.0),
    )
    assert_within(actual, exact, bound)


def run(device, dtype, shape, pos, keywords):
    """Applies the operator and holds q and k against the oracle."""
    pos = pos if pos is None else pos.to(device)
    keywords = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in keywords.items()
    }
    q = random(BATCHES, TOKENS, shape.heads_q, shape.head_dim, dtype=dtype, device=device)
    k = random(BATCHES, TOKENS, shape.heads_k, shape.head_dim, dtype=dtype, device=device, seed=1)
    q_before, k_before = q.clone(), k.clone()
    torch.ops.rope.apply(q, k, pos, rotary_dim=shape.rotary_dim, **keywords)
    check(q, q_before, pos, keywords, shape.rotary_dim)
    check(k, k_before, pos, keywords, shape.rotary_dim)


@pytest.mark.parametrize("angles", ANGLES.values(), ids=ANGLES)
@pytest.mark.parametrize("pos", POSITIONS.values(), ids=[f"pos:{name}" for name in POSITIONS])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_angles(device, dtype, interleaved, pos, angles):
    shape = Shape(heads_q=3, heads_k=1, head_dim=24, rotary_dim=16)
    keywords = angles(shape.rotary_dim, dtype) | {"interleaved": interleaved}
    run(device, dtype, shape, pos, keywords)


@pytest.mark.parametrize("shape", shapes())
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_apply(device, dtype, interleaved, shape):
    run(device, dtype, shape, POSITIONS["BS"], {"interleaved": interleaved})


# Powers of two from the type's smallest subnormals to a quarter of its largest value.
MAGNITUDES = {
    torch.float32: [-148, -127, -24, 0, 24, 125],
    torch.bfloat16: [-132, -127, -24, 0, 24, 125],
    torch.float16: [-23, -15, 0, 13],
}


@pytest.mark.parametrize(
    ("dtype", "magnitude"),
    [
        pytest.param(dtype.values[0], magnitude, id=f"{dtype.id}-2^{magnitude}")
        for dtype in DTYPES
        for magnitude in MAGNITUDES[dtype.values[0]]
    ],
)
def test_magnitudes(device, dtype, magnitude):
    """Subnormal and large values keep the bound, as long as the result is finite in the type."""
    unit = random(1, 64, 2, 16, dtype=torch.float64, device="cpu").clamp(-1.2, 1.2)
    q = (unit * 2.0**magnitude).to(dtype).to(device)
    before = q.clone()
    torch.ops.rope.apply(q)
    assert q.isfinite().all()
    check(q, before, None, {}, 16)


@pytest.mark.parametrize("k", [None, "same"], ids=["q-alone", "q-and-k"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_k_is_rotated_as_q_is(device, dtype, k):
    q = random(2, 5, 4, 32, dtype=dtype, device=device)
    alone = q.clone()
    torch.ops.rope.apply(alone)
    k = None if k is None else q.clone()
    assert torch.ops.rope.apply(q, k) is None
    assert same_bits(q, alone)
    assert k is None or same_bits(k, alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rotary_dim_is_what_the_frequencies_have(device, dtype):
    frequencies = inv_freq(16, torch.float32).to(device)
    q = random(1, 5, 2, 40, dtype=dtype, device=device)
    expected = q.clone()
    torch.ops.rope.apply(q, inv_freq=frequencies)
    torch.ops.rope.apply(expected, inv_freq=frequencies, rotary_dim=16)
    assert same_bits(q, expected)
    assert same_bits(q[..., 16:], random(1, 5, 2, 40, dtype=dtype, device=device)[..., 16:])


@pytest.mark.parametrize("pos", [None, [7, -1, 0, 3, 2**35]], ids=["none", "T"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_three_dimensions_are_one_sequence(device, dtype, pos):
    pos = None if pos is None else torch.tensor(pos, device=device)
    q, k = (random(5, heads, 32, dtype=dtype, device=device) for heads in (3, 1))
    expected = [x[None].clone() for x in (q, k)]
    torch.ops.rope.apply(*expected, pos)
    torch.ops.rope.apply(q, k, pos)
    assert same_bits(q, expected[0][0])
    assert same_bits(k, expected[1][0])


@pytest.mark.cuda
@pytest.mark.parametrize("shape", shapes(*SHAPES))
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda_gives_the_bits_of_the_cpu(dtype, interleaved, shape):
    x = random(2, 5, shape.heads_q, shape.head_dim, dtype=dtype, device="cpu")
    keywords = {"rotary_dim": shape.rotary_dim, "interleaved": interleaved}
    on_cpu = torch.ops.rope.rotate(x, POSITIONS["BS"], **keywords)
    on_cuda = torch.ops.rope.rotate(x.cuda(), POSITIONS["BS"].cuda(), **keywords)
    assert same_bits(on_cuda.cpu(), on_cpu)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nan_stays_inside_its_pair(device, dtype):
    q = random(1, 4, 1, 16, dtype=dtype, device=device)
    clean = q.clone()
    q[0, 1, 0, 2], q[0, 2, 0, 5] = float("nan"), float("inf")
    touched = torch.zeros_like(q, dtype=torch.bool)
    touched[0, 1, 0, [2, 10]] = True
    touched[0, 2, 0, [5, 13]] = True
    torch.ops.rope.apply(q)
    torch.ops.rope.apply(clean)
    assert same_bits(q[~touched], clean[~touched])
    assert not q[touched].isfinite().any()


@pytest.mark.parametrize("extents", [(0, 4, 2, 8), (2, 0, 2, 8), (2, 4, 0, 8)], ids=["B", "S", "H"])
@pytest.mark.parametrize("pos", [False, True], ids=["none", "S"])
def test_zero_extents(device, extents, pos):
    q = torch.empty(extents, device=device)
    k = random(*extents[:2], 3, 8, dtype=torch.float32, device=device)
    pos = torch.arange(extents[1], device=device) if pos else None
    exact = reference.rotate(k, pos)
    before = k.clone()
    torch.ops.rope.apply(q, k, pos)
    bound = error_bound(before, exact, rotary_dim=8, largest_position=TOKENS)
    assert_within(k, exact, bound)
