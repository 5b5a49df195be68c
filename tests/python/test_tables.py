"""cos_sin_table and turns: the cached table holds what is computed without one, bit for bit."""

import mpmath
import pytest
import torch
from bounds import FLOAT32_UNIT, assert_within, error_bound
from cases import DTYPES, PAIRINGS, random, same_bits

import torch_rope
from torch_rope import reference

ROWS, PAIRS = 64, 16
FREQUENCIES = torch.logspace(0, -5, PAIRS, dtype=torch.float64) * torch.tensor([1.0, -1.0]).repeat(
    PAIRS // 2
)

SOURCES = {
    "f64": FREQUENCIES,
    "f32": FREQUENCIES.float(),
    "1n": FREQUENCIES[None],
    "turns": torch.ops.rope.turns(FREQUENCIES),
}


def computed_table(frequencies, positions, factor=1.0):
    """Rotates (1, 0) in float32: cos and sin exactly as the operators compute them."""
    x = torch.zeros(1, len(positions), 1, 2 * PAIRS, device=frequencies.device)
    x[..., :PAIRS] = 1.0
    torch.ops.rope.apply(x, None, positions, inv_freq=frequencies, attention_factor=factor)
    return x[0, :, 0]


@pytest.mark.parametrize("start", [0, 7, -40, 2**31 - 20, 2**62, -(2**63)])
@pytest.mark.parametrize("factor", [1.0, 0.7071])
@pytest.mark.parametrize("frequencies", SOURCES.values(), ids=SOURCES)
def test_the_table_holds_what_is_computed(device, frequencies, factor, start):
    frequencies = frequencies.to(device)
    table = torch.ops.rope.cos_sin_table(frequencies, ROWS, start=start, attention_factor=factor)
    positions = torch.arange(ROWS, device=device) + start
    assert table.shape == (ROWS, 2 * PAIRS)
    assert table.device == frequencies.device
    assert table.is_contiguous()
    assert torch.equal(table, computed_table(frequencies, positions, factor))


@pytest.mark.parametrize("start", [0, 2**31 - 4096])
def test_the_table_is_exact_to_float32(device, start):
    """Within 0.75 * 2^-24, where half an ulp of a float32 below 1 is 0.5 * 2^-24.

    Positions add |p| * 2 pi * 2^-65: with 2^31, less than 0.01 * 2^-24.
    """
    rows = 4096
    table = torch.ops.rope.cos_sin_table(FREQUENCIES.to(device), rows, start=start).cpu()
    unit = torch.tensor([1.0, 0.0], dtype=torch.float64).repeat_interleave(PAIRS)
    positions = torch.arange(rows) + start
    exact = reference.rotate(unit.expand(1, rows, 1, -1), positions, inv_freq=FREQUENCIES)
    assert (table - exact[0, :, 0]).abs().max() <= 0.76 * FLOAT32_UNIT


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_apply_with_the_table_is_apply_without(device, dtype, interleaved):
    frequencies = FREQUENCIES.to(device)
    table = torch.ops.rope.cos_sin_table(frequencies, ROWS)
    pos = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0)).to(device)
    x = random(2, ROWS, 3, 40, dtype=dtype, device=device)
    keywords = {"interleaved": interleaved, "rotary_dim": 2 * PAIRS}
    with_table = torch.ops.rope.rotate(x, pos, cos_sin=table, **keywords)
    assert same_bits(with_table, torch.ops.rope.rotate(x, pos, inv_freq=frequencies, **keywords))


OUTSIDE = [ROWS, -1, 2**31 - 1, 2**40, -(2**63), 3]


@pytest.mark.parametrize("rows", [0, ROWS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_positions_without_a_row_are_computed(device, dtype, rows):
    frequencies = FREQUENCIES.to(device)
    table = torch.ops.rope.cos_sin_table(frequencies, rows)
    pos = torch.tensor(OUTSIDE, device=device)
    x = random(1, len(OUTSIDE), 2, 2 * PAIRS, dtype=dtype, device=device)
    assert same_bits(
        torch.ops.rope.rotate(x, pos, cos_sin=table, inv_freq=frequencies),
        torch.ops.rope.rotate(x, pos, inv_freq=frequencies),
    )


@pytest.mark.parametrize("rows", [0, ROWS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_table_alone_leaves_nan(device, dtype, rows):
    table = torch.ops.rope.cos_sin_table(FREQUENCIES.to(device), rows)
    pos = torch.tensor(OUTSIDE, device=device)
    x = random(1, len(OUTSIDE), 2, 2 * PAIRS + 6, dtype=dtype, device=device)
    result = torch.ops.rope.rotate(x, pos, cos_sin=table)
    missing = [not 0 <= p < rows for p in OUTSIDE]
    nan = result[..., : 2 * PAIRS].isnan()
    assert torch.equal(nan.all(-1).all(-1)[0].cpu(), torch.tensor(missing))
    assert torch.equal(nan.any(-1).any(-1)[0].cpu(), torch.tensor(missing))
    assert same_bits(result[..., 2 * PAIRS :], x[..., 2 * PAIRS :])


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("padded", [False, True], ids=["dense", "padded"])
@pytest.mark.parametrize("table_dtype", ["f32", "own"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_foreign_table(device, dtype, table_dtype, padded, interleaved):
    """Any values, taken as they are: 2 u |pair| |(cos, sin)| of error and one rounding."""
    table = torch.rand(ROWS, 2 * PAIRS + 5, generator=torch.Generator().manual_seed(1)) - 0.5
    table = table.to(dtype if table_dtype == "own" else torch.float32).to(device)
    table = table[:, : 2 * PAIRS] if padded else table[:, : 2 * PAIRS].contiguous()
    pos = torch.tensor([[3, 60, 2, 2, 63]], device=device)
    x = random(2, 5, 3, 48, dtype=dtype, device=device)
    result = torch.ops.rope.rotate(x, pos, cos_sin=table, interleaved=interleaved)
    exact = reference.rotate(x, pos, cos_sin=table, interleaved=interleaved)
    # |(cos, sin)| is below 1, so that the bound of exact angles is the wider one.
    bound = error_bound(x, exact, rotary_dim=2 * PAIRS, interleaved=interleaved)
    assert_within(result, exact, bound)


def test_the_factor_leaves_a_given_table_alone(device):
    frequencies = FREQUENCIES.to(device)
    table = torch.ops.rope.cos_sin_table(frequencies, 3)
    x = random(1, 4, 1, 2 * PAIRS, dtype=torch.float32, device=device)
    result = torch.ops.rope.rotate(x, cos_sin=table, inv_freq=frequencies, attention_factor=2.0)
    plain = torch.ops.rope.rotate(x, inv_freq=frequencies)
    assert same_bits(result[:, :3], plain[:, :3])
    # Doubling is exact.
    assert same_bits(result[:, 3], 2 * plain[:, 3])


def exact_turns(frequency):
    with mpmath.workprec(2300):
        value = mpmath.nint(mpmath.mpf(frequency) / (2 * mpmath.pi) * mpmath.mpf(2) ** 64)
        word = int(value) % 2**64
    return word - 2**64 if word >= 2**63 else word


TURNS = [1.0, -1.0, 0.0, -0.0, 0.1, 1e-4, -3e-7, 1e-30, 5e-324, 3.0, 1e22, -1e300, 1.79e308]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
def test_turns(device, dtype):
    frequencies = torch.tensor(TURNS, dtype=torch.float64)
    if dtype == torch.float32:
        frequencies = frequencies.clamp(-3e38, 3e38).float()
    expected = torch.tensor([exact_turns(f) for f in frequencies.tolist()])
    result = torch.ops.rope.turns(frequencies.to(device))
    assert result.dtype == torch.int64
    assert torch.equal(result.cpu(), expected)


@pytest.mark.parametrize("extents", [(6,), (1, 6), (2, 3), (2, 3, 2), (0,)])
def test_turns_keep_the_shape(device, extents):
    frequencies = random(*extents, dtype=torch.float64, device=device)
    result = torch.ops.rope.turns(frequencies)
    assert result.shape == frequencies.shape
    assert torch.equal(result.flatten(), torch.ops.rope.turns(frequencies.flatten()))


def test_turns_of_a_view(device):
    frequencies = random(6, 4, dtype=torch.float64, device=device).T[::2]
    assert torch.equal(
        torch.ops.rope.turns(frequencies), torch.ops.rope.turns(frequencies.contiguous())
    )


@pytest.mark.parametrize("base", [10000.0, 500000.0, 1e6])
def test_base_stands_for_the_nearest_float64(device, base):
    rotary_dim = 128
    with mpmath.workprec(300):
        frequencies = [
            float(mpmath.mpf(base) ** (mpmath.mpf(-2 * i) / rotary_dim))
            for i in range(rotary_dim // 2)
        ]
    x = random(1, 300, 2, rotary_dim, dtype=torch.float32, device=device)
    inv_freq = torch.tensor(frequencies, dtype=torch.float64, device=device)
    pos = torch.arange(300, device=device) * 12345677
    assert same_bits(
        torch.ops.rope.rotate(x, pos, base=base),
        torch.ops.rope.rotate(x, pos, inv_freq=inv_freq),
    )
    assert torch_rope.schedules.default(rotary_dim, base).inv_freq.tolist() == frequencies


@pytest.mark.cuda
@pytest.mark.parametrize("start", [0, -40, 2**62])
def test_cuda_gives_the_table_of_the_cpu(start):
    on_cuda = torch.ops.rope.cos_sin_table(FREQUENCIES.cuda(), ROWS, start=start)
    assert torch.equal(on_cuda.cpu(), torch.ops.rope.cos_sin_table(FREQUENCIES, ROWS, start=start))
