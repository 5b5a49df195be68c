"""The oracle itself, judged by mpmath with 1,300 bits and by tokens written out one by one.

Tolerance: the oracle claims cosines and sines within 1e-15; a pair of norm r then has components
within r * sqrt(2) * 1e-15, plus one float64 rounding each of a sum of two products: 3e-15 * r.
"""

import mpmath
import pytest
import torch

from torch_rope import reference

TOLERANCE = 3e-15
# 1,300 bits hold 2^63 times the largest float64 and a phase of 1e-15 below it.
PRECISION = 1300
N = 3


def exact_frequencies(base, rotary_dim):
    with mpmath.workprec(PRECISION):
        return [
            mpmath.mpf(base) ** (mpmath.mpf(-2 * i) / rotary_dim) for i in range(rotary_dim // 2)
        ]


def expected_pair(x, y, angle, factor=1.0):
    with mpmath.workprec(PRECISION):
        c, s = factor * mpmath.cos(angle), factor * mpmath.sin(angle)
        return float(x * c - y * s), float(x * s + y * c)


def expected_head(head, angles, *, interleaved=False, factor=1.0, start=0):
    """Rotates one head, a list of numbers, by one angle for each pair."""
    result = list(head)
    n = len(angles)
    for i, angle in enumerate(angles):
        first, second = (2 * i, 2 * i + 1) if interleaved else (i, i + n)
        first, second = start + first, start + second
        result[first], result[second] = expected_pair(head[first], head[second], angle, factor)
    return result


def expected(x, angles_of, **keywords):
    """Rotates (B, S, H, D); angles_of(batch, token, head) gives a head's angles, None leaves it."""
    result = x.double().tolist()
    for b, tokens in enumerate(result):
        for t, heads in enumerate(tokens):
            for h, head in enumerate(heads):
                angles = angles_of(b, t, h)
                if angles is not None:
                    heads[h] = expected_head(head, angles, **keywords)
    return torch.tensor(result, dtype=torch.float64)


def times(position, frequencies):
    with mpmath.workprec(PRECISION):
        return [mpmath.mpf(position) * mpmath.mpf(f) for f in frequencies]


def values(*extents):
    return torch.randn(*extents, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def assert_close(actual, exact, x):
    norm = x.double().norm(dim=-1, keepdim=True)
    assert actual.dtype == torch.float64
    assert actual.shape == exact.shape
    assert ((actual - exact).abs() <= TOLERANCE * norm.expand_as(exact)).all()


@pytest.mark.parametrize(
    "position", [0, 1, -1, 10**6, 2**31 - 1, -(2**31), 2**40 + 12345, 2**63 - 1, -(2**63)]
)
@pytest.mark.parametrize(
    "frequency", [1.0, 1e-4, -2.5, 3.3e-7, 0.0, 5e-324, 1e300, 1.7976931348623157e308]
)
def test_phase(frequency, position):
    x = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    inv_freq = torch.tensor([frequency], dtype=torch.float64)
    actual = reference.rotate(x, torch.tensor([position]), inv_freq=inv_freq)
    with mpmath.workprec(PRECISION):
        angle = mpmath.mpf(position) * mpmath.mpf(frequency)
        error = max(abs(actual[..., 0].item() - mpmath.cos(angle)), 0)
        error = max(abs(actual[..., 1].item() - mpmath.sin(angle)), error)
    assert error <= 1e-15


@pytest.mark.parametrize("position", [1, -7, 2**31 - 1, -(2**63)])
@pytest.mark.parametrize("turns", [1, 2**62, -(2**63), 0x123456789ABCDEF])
def test_phase_from_turns(turns, position):
    x = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    actual = reference.rotate(x, torch.tensor([position]), inv_freq=torch.tensor([turns]))
    with mpmath.workprec(PRECISION):
        angle = 2 * mpmath.pi * mpmath.mpf(position) * turns / mpmath.mpf(2) ** 64
        c, s = float(mpmath.cos(angle)), float(mpmath.sin(angle))
    assert actual.flatten().tolist() == pytest.approx([c, s], abs=1e-15, rel=0)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("base", [10000.0, 500000.0, 1.5])
def test_base_and_pairing(base, interleaved):
    x = values(2, 4, 2, 2 * N)
    frequencies = exact_frequencies(base, 2 * N)
    assert_close(
        reference.rotate(x, base=base, interleaved=interleaved),
        expected(x, lambda b, t, h: times(t, frequencies), interleaved=interleaved),
        x,
    )


@pytest.mark.parametrize("rotary_offset", [0, 1, 4, -6])
def test_rotary_dim_and_offset(rotary_offset):
    x = values(1, 3, 1, 10)
    frequencies = exact_frequencies(10000.0, 6)
    start = rotary_offset % 10
    assert_close(
        reference.rotate(x, rotary_dim=6, rotary_offset=rotary_offset),
        expected(x, lambda b, t, h: times(t, frequencies), start=start),
        x,
    )


def test_inverse_with_factor():
    x = values(1, 3, 1, 2 * N)
    frequencies = exact_frequencies(10000.0, 2 * N)
    assert_close(
        reference.rotate(x, inverse=True, attention_factor=1.25),
        expected(x, lambda b, t, h: times(-t, frequencies), factor=1.25),
        x,
    )


@pytest.mark.parametrize(
    "pos",
    [
        pytest.param([[5, -3, 0, 9]], id="1S"),
        pytest.param([5, -3, 0, 9], id="S"),
        pytest.param([[5, -3, 0, 9], [1, 2, 3, -4]], id="BS"),
    ],
)
@pytest.mark.parametrize("offsets", [None, 100, [100, -7]], ids=["none", "int", "B"])
def test_positions_and_offsets(pos, offsets):
    x = values(2, 4, 1, 2 * N)
    pos = torch.tensor(pos, dtype=torch.int32)
    given = torch.tensor(offsets) if isinstance(offsets, list) else offsets
    rows = pos.reshape(-1, 4).expand(2, 4).tolist()
    added = {None: [0, 0], 100: [100, 100]}.get(offsets if not isinstance(offsets, list) else -1)
    added = offsets if added is None else added
    frequencies = exact_frequencies(10000.0, 2 * N)
    assert_close(
        reference.rotate(x, pos, offsets=given),
        expected(x, lambda b, t, h: times(rows[b][t] + added[b], frequencies)),
        x,
    )


def test_several_axes():
    x = values(2, 3, 1, 2 * N)
    pos = torch.tensor([[[1, 2, 3], [4, 5, 6]], [[-1, 0, 7], [2, 2, 2]]])
    inv_freq = torch.tensor([[1.0, 0.25, 0.0], [0.3, -1.5, 2.0]])

    def angles(b, t, h):
        return [
            sum(times(int(pos[a, b, t]), [float(inv_freq[a, i])])[0] for a in range(2))
            for i in range(N)
        ]

    assert_close(reference.rotate(x, pos, inv_freq=inv_freq), expected(x, angles), x)


def test_frequencies_of_each_head():
    x = values(1, 3, 2, 2 * N)
    inv_freq = values(1, 2, N)
    assert_close(
        reference.rotate(x, inv_freq=inv_freq),
        expected(x, lambda b, t, h: times(t, inv_freq[0, h].tolist())),
        x,
    )


@pytest.mark.parametrize("layout", ["bshd", "bhsd", "sbhd"])
def test_layout(layout):
    x = values(2, 3, 4, 2 * N)
    order = {"bshd": (0, 1, 2, 3), "bhsd": (0, 2, 1, 3), "sbhd": (1, 0, 2, 3)}[layout]
    actual = reference.rotate(x.permute(order), layout=layout, offsets=torch.tensor([5, 6]))
    assert torch.equal(actual.permute(order), reference.rotate(x, offsets=torch.tensor([5, 6])))


@pytest.mark.parametrize("pos", [None, [5, -1, 9, 2, 2]], ids=["none", "T"])
def test_ragged(pos):
    x = values(5, 2, 2 * N)
    # Sequences of 2, 0 and 3 tokens.
    cu_seqlens = torch.tensor([0, 2, 2, 5], dtype=torch.int32)
    positions = [0, 1, 0, 1, 2] if pos is None else pos
    added = [10, 10, 30, 30, 30]
    frequencies = exact_frequencies(10000.0, 2 * N)
    actual = reference.rotate(
        x,
        None if pos is None else torch.tensor(pos),
        cu_seqlens=cu_seqlens,
        offsets=torch.tensor([10, 20, 30]),
    )
    exact = expected(x[None], lambda b, t, h: times(positions[t] + added[t], frequencies))
    assert_close(actual, exact[0], x)


def test_skip_negative_looks_at_the_given_position():
    x = values(1, 3, 1, 2 * N)
    pos = torch.tensor([-1, 0, 4])
    frequencies = exact_frequencies(10000.0, 2 * N)
    actual = reference.rotate(x, pos, skip_negative=True, offsets=2)
    exact = expected(x, lambda b, t, h: None if t == 0 else times(int(pos[t]) + 2, frequencies))
    assert_close(actual, exact, x)
    assert torch.equal(actual[0, 0], x[0, 0])


def test_table_of_rows():
    x = values(1, 4, 1, 2 * N)
    table = values(3, 2 * N).to(torch.bfloat16)
    pos = torch.tensor([2, 0, 3, -1])
    actual = reference.rotate(x, pos, cos_sin=table)
    c, s = table.double()[pos[:2]].chunk(2, dim=-1)
    first, second = x[0, :2, 0].chunk(2, dim=-1)
    exact = torch.cat((first * c - second * s, first * s + second * c), dim=-1)
    torch.testing.assert_close(actual[0, :2, 0], exact, rtol=0, atol=1e-14)
    assert actual[0, 2:].isnan().all()


def test_table_with_frequencies_computes_what_it_lacks():
    x = values(1, 4, 1, 2 * N)
    table = values(3, 2 * N)
    inv_freq = values(N)
    pos = torch.tensor([2, 0, 3, -1])
    actual = reference.rotate(x, pos, cos_sin=table, inv_freq=inv_freq, attention_factor=0.5)
    assert torch.equal(actual[:, :2], reference.rotate(x[:, :2], pos[:2], cos_sin=table))
    computed = reference.rotate(x[:, 2:], pos[2:], inv_freq=inv_freq, attention_factor=0.5)
    assert torch.equal(actual[:, 2:], computed)


@pytest.mark.parametrize("extents", [(2, 3), (1, 3), (2, 3, 4)], ids=["BS", "1S", "BSH"])
def test_table_of_tokens(extents):
    x = values(2, 3, 4, 2 * N)
    cos, sin = values(*extents, N), values(*extents, N) + 1
    c, s = (v if v.dim() == 4 else v.unsqueeze(2) for v in (cos, sin))
    first, second = x.chunk(2, dim=-1)
    exact = torch.cat((first * c - second * s, first * s + second * c), dim=-1)
    actual = reference.rotate(x, cos=cos, sin=sin)
    torch.testing.assert_close(actual, exact, rtol=0, atol=1e-14)
    if len(extents) == 2:
        packed = reference.rotate(x, cos_sin=torch.cat((cos, sin), dim=-1))
        assert torch.equal(packed, actual)


def test_gradient():
    x = values(1, 2, 1, 2 * N).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: reference.rotate(t, interleaved=True), (x,))
