"""What must not change a bit (guarantees 4 and 5): modes of torch and of the processor, what was
called before, and what else is in the batch. Casts and copies of the module: test_module.py.
"""

import contextlib

import pytest
import torch
from backends import PLACES, running_on
from cases import DTYPES, PAIRINGS, random, same_bits

import torch_rope
from torch_rope import RotaryEmbedding, Schedule

FREQUENCIES = torch.logspace(0, -5, 32, dtype=torch.float64)
SCHEDULE = Schedule(FREQUENCIES, 1.25)
FAR = [0, 1, 7, 4095, 2**31 - 1, -(2**31), 2**40 + 1, -(2**63)]


def inputs(dtype, device):
    q = random(2, len(FAR), 4, 80, dtype=dtype, device=device)
    k = random(2, len(FAR), 2, 80, dtype=dtype, device=device, seed=1)
    return q, k, torch.tensor(FAR, device=device)


def in_place(q, k, pos):
    q, k = q.clone(), k.clone()
    torch_rope.apply(q, k, pos, inv_freq=FREQUENCIES)
    return q, k


def with_gradient(q, k, pos):
    x = q.clone().requires_grad_()
    y = torch_rope.rotate(x, pos, inv_freq=FREQUENCIES)
    return y.detach(), *torch.autograd.grad(y, x, q.flip(0))


def with_a_table(q, k, pos):
    table = torch_rope.cos_sin_table(FREQUENCIES.to(q.device), 5000)
    return (*torch_rope.rotate_qk(q, k, pos, inv_freq=FREQUENCIES, cos_sin=table), table)


# What a user may do in a mode: (q, k, pos) -> tensors.
CALLS = {
    "apply": in_place,
    "gradient": with_gradient,
    "table": with_a_table,
    "base": lambda q, k, pos: torch_rope.rotate_qk(q, k, pos, base=123456.5, rotary_dim=64),
    "module": lambda q, k, pos: RotaryEmbedding(SCHEDULE).to(q.device)(q, k, pos),
    "module-table": lambda q, k, pos: RotaryEmbedding(SCHEDULE, table_rows=4096).to(q.device)(
        q, k, pos
    ),
    "schedule": lambda q, k, pos: (
        torch_rope.schedules.default(64, 1e6).table(100, q.device),
        torch_rope.schedules.ntk(64, 1e4, 8.0).inv_freq,
    ),
}


@contextlib.contextmanager
def changed(setter, value, before):
    setter(value)
    try:
        yield
    finally:
        setter(before)


def matmul_precision(name):
    return changed(torch.set_float32_matmul_precision, name, torch.get_float32_matmul_precision())


def default_dtype(dtype):
    return changed(torch.set_default_dtype, dtype, torch.get_default_dtype())


def flushed():
    """Whether this thread's subnormal results become zero."""
    return (torch.tensor([2.0**-126]) * 0.5).item() == 0.0


def product_type(device):
    square = torch.ones(2, 2, device=device)
    return (square @ square).dtype


# A context for a device, and what shows that it is in force there.
MODES = {
    "autocast-bf16": (
        lambda device: torch.autocast(device, torch.bfloat16),
        lambda device: product_type(device) == torch.bfloat16,
    ),
    "autocast-f16": (
        lambda device: torch.autocast(device, torch.float16),
        lambda device: product_type(device) == torch.float16,
    ),
    "matmul-high": (
        lambda device: matmul_precision("high"),
        lambda device: torch.get_float32_matmul_precision() == "high",
    ),
    "matmul-medium": (
        lambda device: matmul_precision("medium"),
        lambda device: torch.get_float32_matmul_precision() == "medium",
    ),
    "default-f64": (
        lambda device: default_dtype(torch.float64),
        lambda device: torch.ones(1).dtype == torch.float64,
    ),
    "default-bf16": (
        lambda device: default_dtype(torch.bfloat16),
        lambda device: torch.ones(1).dtype == torch.bfloat16,
    ),
    "deterministic": (
        lambda device: changed(torch.use_deterministic_algorithms, True, False),
        lambda device: torch.are_deterministic_algorithms_enabled(),
    ),
    "flush-denormal": (
        lambda device: changed(torch.set_flush_denormal, True, False),
        lambda device: flushed(),
    ),
}


def all_same_bits(got, expected):
    return all(same_bits(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("mode", "in_force"), MODES.values(), ids=MODES)
def test_no_mode_changes_a_bit(device, mode, in_force, dtype, call):
    tensors = inputs(dtype, device)
    expected = call(*tensors)
    assert not in_force(device)
    with mode(device):
        assert in_force(device)
        got = call(*tensors)
    assert all_same_bits(got, expected)


# Powers of two that make inputs, results or single products subnormal in the type or in float32.
SMALL = {
    torch.float32: [-149, -127, -124, -100],
    torch.bfloat16: [-133, -127, -124, -100],
    torch.float16: [-24, -15, -12],
}


@pytest.mark.parametrize(
    ("dtype", "magnitude"),
    [
        pytest.param(dtype.values[0], magnitude, id=f"{dtype.id}-2^{magnitude}")
        for dtype in DTYPES
        for magnitude in SMALL[dtype.values[0]]
    ],
)
@pytest.mark.parametrize("tokens", [5, 700], ids=["one-thread", "two-threads"])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("place", PLACES)
def test_flush_denormal_flushes_nothing(place, interleaved, tokens, dtype, magnitude):
    """The mode belongs to a thread: what others compute of a large tensor must not differ."""
    unit = random(1, tokens, 2, 64, dtype=torch.float64, device="cpu").clamp(-2, 2)
    x = (unit * 2.0**magnitude).to(dtype)
    assert x.any()
    keywords = {"base": 1e4, "interleaved": interleaved}
    with running_on(place) as device:
        x = x.to(device)
        expected = torch_rope.rotate(x, **keywords)
        with changed(torch.set_flush_denormal, True, False):
            assert flushed()
            got = torch_rope.rotate(x, **keywords)
            in_place = x.clone()
            torch_rope.apply(in_place, **keywords)
            assert flushed()
    assert same_bits(got, expected)
    assert same_bits(in_place, expected)


@pytest.mark.parametrize("place", PLACES)
def test_flush_denormal_flushes_no_table(place):
    """sin(2^-64 turns) * 2^-70 is far below float32's normal numbers."""
    words = torch.tensor([0, 1, -1, 2**20, 2**62])
    with running_on(place) as device:
        keywords = {"inv_freq": words.to(device), "rows": 50, "attention_factor": 2.0**-70}
        expected = torch_rope.cos_sin_table(**keywords)
        with changed(torch.set_flush_denormal, True, False):
            got = torch_rope.cos_sin_table(**keywords)
    smallest = expected[1, len(words) + 1]
    assert 0 < smallest < torch.finfo(torch.float32).smallest_normal
    assert same_bits(got, expected)


def rotations(q, bases):
    return [torch_rope.rotate(q, base=base, rotary_dim=r) for base in bases for r in (64, 32, 80)]


def test_no_base_used_before_changes_a_bit(device):
    """More of them than the cache of frequencies holds, and each with several widths."""
    q = random(1, 40, 2, 80, dtype=torch.float32, device=device)
    bases = [7777.0, 8888.5]
    first = rotations(q, bases)
    explicit = [
        torch_rope.rotate(q, inv_freq=torch_rope.schedules.default(r, base).inv_freq)
        for base in bases
        for r in (64, 32, 80)
    ]
    assert all_same_bits(first, explicit)
    rotations(q, [20000.0 + i for i in range(100)])
    assert all_same_bits(rotations(q, bases[::-1]), first[3:] + first[:3])


@pytest.mark.parametrize("rows", [0, 1, 9, 64])
def test_no_table_made_before_changes_a_bit(device, rows):
    x = random(2, 100, 2, 64, dtype=torch.bfloat16, device=device)
    frequencies = FREQUENCIES.to(device)
    before = torch_rope.cos_sin_table(frequencies, rows)
    rotated = torch_rope.rotate(x, cos_sin=before, inv_freq=frequencies)
    larger = torch_rope.cos_sin_table(frequencies, 20000)
    assert same_bits(larger[:rows], before)
    assert same_bits(torch_rope.cos_sin_table(frequencies, rows), before)
    assert same_bits(torch_rope.rotate(x, cos_sin=larger, inv_freq=frequencies), rotated)
    assert same_bits(torch_rope.rotate(x, cos_sin=before, inv_freq=frequencies), rotated)


BATCH, TOKENS = 4, 300


def batch(dtype, device):
    x = random(BATCH, TOKENS, 6, 80, dtype=dtype, device=device)
    generator = torch.Generator().manual_seed(2)
    pos = torch.randint(-(2**40), 2**40, (BATCH, TOKENS), generator=generator)
    pos[:, ::3] %= 64  # these have a row in the table
    return x, pos.to(device)


def angles(table, device):
    inv_freq = FREQUENCIES.to(device)
    keywords = {"inv_freq": inv_freq}
    return keywords | {"cos_sin": torch_rope.cos_sin_table(inv_freq, 64)} if table else keywords


# Which of a batch's sequences, tokens and heads are rotated alone.
PARTS = {
    "token": (slice(1, 2), slice(7, 8), slice(None)),
    "head": (slice(None), slice(None), slice(3, 4)),
    "one-head-of-a-token": (slice(3, 4), slice(299, 300), slice(5, 6)),
    "sequence": (slice(2, 3), slice(None), slice(None)),
    "every-other-token": (slice(0, 1), slice(1, None, 2), slice(None)),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("table", [False, True], ids=["computed", "table"])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
def test_a_part_of_a_batch_alone_has_its_bits(place, dtype, interleaved, table, part):
    with running_on(place) as device:
        x, pos = batch(dtype, device)
        keywords = angles(table, device) | {"interleaved": interleaved}
        whole = torch_rope.rotate(x, pos, **keywords)
        alone = torch_rope.rotate(x[part].contiguous(), pos[part[:2]].contiguous(), **keywords)
    assert same_bits(alone, whole[part])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38, 1e-45])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
def test_neighbours_change_no_bit(place, dtype, value):
    with running_on(place) as device:
        x, pos = batch(dtype, device)
        keywords = angles(True, device)
        whole = torch_rope.rotate(x, pos, **keywords)
        chosen = torch.zeros(BATCH, TOKENS, 6, 1, dtype=torch.bool, device=device)
        chosen[::2, ::5, 1::3] = True
        # Other positions, too, for the tokens in which nothing was chosen.
        moved = torch.where(chosen.any(2)[..., 0], pos, pos.flip(1) + 1)
        among = torch_rope.rotate(x.where(chosen, value), moved, **keywords)
        chosen = chosen.expand_as(x)
    assert same_bits(among[chosen], whole[chosen])


@pytest.mark.parametrize("table", [False, True], ids=["computed", "table"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_shuffled_batch_gives_the_shuffled_bits(device, dtype, table):
    x, pos = batch(dtype, device)
    keywords = angles(table, device)
    order = torch.randperm(BATCH * TOKENS, generator=torch.Generator().manual_seed(4)).to(device)
    whole = torch_rope.rotate(x, pos, **keywords).flatten(0, 1)
    shuffled = torch_rope.rotate(
        x.flatten(0, 1)[order].unflatten(0, (3, -1)),
        pos.flatten()[order].unflatten(0, (3, -1)),
        **keywords,
    )
    assert same_bits(shuffled.flatten(0, 1), whole[order])
