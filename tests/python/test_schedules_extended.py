"""YaRN, LongRoPE, dynamic NTK and proportional schedules against mpmath at 60 digits.

The formulas are those of the papers, pair by pair, with exact case distinctions; the tolerance
1e-14 is that of test_schedules.py.
"""

import re

import pytest
import torch
from mpmath import ceil, floor, log, mp, mpf, pi, sqrt

from torch_rope import schedules

TOLERANCE = 1e-14


@pytest.fixture(autouse=True)
def sixty_digits():
    with mp.workdps(60):
        yield


def plain(dim, base):
    return [mpf(base) ** (-mpf(2 * i) / dim) for i in range(dim // 2)]


def assert_schedule(schedule, expected, attention_factor=1):
    assert schedule.inv_freq.dtype == torch.float64
    actual = schedule.inv_freq.tolist()
    assert len(actual) == len(expected)
    assert all(abs(a - e) <= TOLERANCE * e for a, e in zip(actual, expected, strict=True))
    assert abs(schedule.attention_factor / attention_factor - 1) <= TOLERANCE


# ---- YaRN


def yarn_frequencies(dim, base, factor, length, fast, slow, truncate):
    """Peng et al., equations 17 to 23, with the bounds rounded as their code does."""
    low, high = (dim * log(length / (2 * pi * turns)) / (2 * log(base)) for turns in (fast, slow))
    if truncate:
        low, high = floor(low), ceil(high)
    low, high = (min(max(bound, mpf(0)), mpf(dim - 1)) for bound in (low, high))
    if low == high:
        high += mpf("0.001")
    result = []
    for i, frequency in enumerate(plain(dim, base)):
        divided = min(max((i - low) / (high - low), mpf(0)), mpf(1))
        result.append(frequency / factor * divided + frequency * (1 - divided))
    return result


YARN = [
    pytest.param(128, 1e6, 4.0, 32768, {}, id="qwen-2.5"),
    pytest.param(64, 1e4, 40.0, 4096, {"mscale": 1.0, "mscale_all_dim": 1.0}, id="deepseek-v3"),
    pytest.param(64, 1e4, 40.0, 4096, {"mscale": 0.707, "mscale_all_dim": 0.707}, id="deepseek-v2"),
    pytest.param(64, 5e4, 64.0, 4096, {"mscale": 1.0, "mscale_all_dim": 1.0}, id="kimi-k2"),
    pytest.param(64, 150000.0, 32.0, 4096, {"truncate": False}, id="gpt-oss"),
    pytest.param(128, 5e5, 8.0, 8192, {"attention_factor": 1.2079441541679836}, id="olmo-3"),
    pytest.param(64, 1e4, 40.0, 4096, {"mscale": 0.8, "mscale_all_dim": 0.3}, id="unlike-mscales"),
    pytest.param(64, 1e4, 40.0, 4096, {"mscale": 0.8}, id="mscale-alone"),
    pytest.param(64, 1e4, 0.5, 4096, {}, id="factor-below-one"),
    pytest.param(96, 1e4, 3.7, 2048, {"beta_fast": 20, "beta_slow": 2.5}, id="other-betas"),
    pytest.param(64, 1e4, 4.0, 2048, {"beta_fast": 3, "beta_slow": 3}, id="one-beta"),
    pytest.param(
        64, 1e4, 4.0, 2048, {"beta_fast": 3, "beta_slow": 3, "truncate": False}, id="step"
    ),
    pytest.param(64, 1e4, 4.0, 3, {}, id="nothing-turns"),
    pytest.param(64, 1e4, 4.0, 2**40, {}, id="everything-turns"),
    pytest.param(2, 1e4, 4.0, 64, {}, id="one-pair"),
    pytest.param(1024, 1e7, 1000.0, 8192, {}, id="d1024"),
]


@pytest.mark.parametrize(("dim", "base", "factor", "length", "options"), YARN)
def test_yarn(dim, base, factor, length, options):
    schedule = schedules.yarn(
        dim=dim, base=base, factor=factor, original_max_position_embeddings=length, **options
    )

    def m(k):
        return mpf(k) * log(mpf(factor)) / 10 + 1 if factor > 1 else mpf(1)

    attention = m(1)
    if "attention_factor" in options:
        attention = mpf(options["attention_factor"])
    elif {"mscale", "mscale_all_dim"} <= options.keys():
        attention = m(options["mscale"]) / m(options["mscale_all_dim"])
    expected = yarn_frequencies(
        dim,
        mpf(base),
        mpf(factor),
        mpf(length),
        mpf(options.get("beta_fast", 32)),
        mpf(options.get("beta_slow", 1)),
        options.get("truncate", True),
    )
    assert_schedule(schedule, expected, attention)


def test_yarn_of_deepseek_v3_in_bands():
    """4096 positions: the pairs up to 10 turn more than 32 times, those from 23 on less than once.
    With equal mscales cosines and sines keep their length."""
    schedule = schedules.yarn(64, 1e4, 40.0, 4096, mscale=1.0, mscale_all_dim=1.0)
    ratio = schedules.default(64, 1e4).inv_freq / schedule.inv_freq
    assert torch.equal(ratio[:11], torch.ones(11, dtype=torch.float64))
    assert torch.all((ratio[11:23] > 1) & (ratio[11:23] < 40))
    assert torch.allclose(ratio[23:], torch.full((9,), 40.0, dtype=torch.float64), rtol=1e-15)
    assert schedule.attention_factor == 1.0


# ---- LongRoPE

SHORT = [1.0 + 0.01 * i for i in range(48)]
LONG = [1.5 + i * i / 16 for i in range(48)]


@pytest.mark.parametrize(
    ("options", "divisors", "stretch"),
    [
        pytest.param({}, SHORT, 1, id="nothing-known"),
        pytest.param({"max_position_embeddings": 131072}, SHORT, 32, id="phi-3"),
        pytest.param({"max_position_embeddings": 131072, "seq_len": 4096}, SHORT, 32, id="at-l0"),
        pytest.param({"max_position_embeddings": 131072, "seq_len": 4097}, LONG, 32, id="above-l0"),
        pytest.param({"factor": 8.0, "max_position_embeddings": 4096}, SHORT, 8, id="factor-first"),
        pytest.param({"factor": 0.5}, SHORT, 1, id="shorter"),
        pytest.param({"factor": 32.0, "attention_factor": 1.25}, SHORT, None, id="given"),
    ],
)
def test_longrope(options, divisors, stretch):
    schedule = schedules.longrope(
        dim=96,
        base=1e4,
        short_factor=SHORT,
        long_factor=LONG,
        original_max_position_embeddings=4096,
        **options,
    )
    attention = mpf(1.25) if stretch is None else sqrt(1 + log(mpf(stretch)) / log(mpf(4096)))
    expected = [f / mpf(d) for f, d in zip(plain(96, 1e4), divisors, strict=True)]
    assert_schedule(schedule, expected, attention)


# ---- dynamic NTK


@pytest.mark.parametrize("seq_len", [1, 4096, 4097, 8192, 10**6, 2**40], ids=lambda n: f"n{n}")
@pytest.mark.parametrize("factor", [1.0, 2.0, 3.7], ids=lambda s: f"factor{s:g}")
def test_dynamic_ntk(factor, seq_len):
    schedule = schedules.dynamic_ntk(
        dim=128, base=1e4, factor=factor, max_position_embeddings=4096, seq_len=seq_len
    )
    length = mpf(max(seq_len, 4096))
    alpha = mpf(factor) * length / 4096 - (mpf(factor) - 1)
    assert_schedule(schedule, plain(128, mpf(1e4) * alpha ** (mpf(128) / 126)))


def test_dynamic_ntk_is_plain_up_to_the_trained_length():
    assert schedules.dynamic_ntk(64, 1e4, 8.0, 2048, 2048) == schedules.default(64, 1e4)


# ---- proportional


@pytest.mark.parametrize(
    ("dim", "share", "factor", "turning"),
    [
        pytest.param(512, 0.25, 1.0, 64, id="gemma-4"),
        pytest.param(128, 1.0, 1.0, 64, id="whole"),
        pytest.param(128, 0.3, 8.0, 19, id="rounded-down"),
        pytest.param(64, 0.01, 1.0, 0, id="none"),
    ],
)
def test_proportional(dim, share, factor, turning):
    schedule = schedules.proportional(dim=dim, base=1e6, partial_rotary_factor=share, factor=factor)
    kept = [f / mpf(factor) for f in plain(dim, 1e6)[:turning]]
    assert_schedule(schedule, kept + [mpf(0)] * (dim // 2 - turning))


# ---- refusals: C++ checks, Python passes the text on

ORIGINAL = "original_max_position_embeddings"
REFUSALS = [
    (
        lambda: schedules.yarn(63, 1e4, 4.0, 4096),
        "yarn: dim must be even and between 2 and 1024, got 63",
    ),
    (lambda: schedules.yarn(64, 1.0, 4.0, 4096), "yarn: base must be greater than 1, got 1"),
    (
        lambda: schedules.yarn(64, 1e4, -4.0, 4096),
        "yarn: factor must be positive and finite, got -4",
    ),
    (
        lambda: schedules.yarn(64, 1e4, 4.0, 0),
        f"yarn: {ORIGINAL} must be positive and finite, got 0",
    ),
    (
        lambda: schedules.yarn(64, 1e4, 4.0, 4096, beta_fast=1, beta_slow=32),
        "yarn: beta_fast must be at least beta_slow, got 1 and 32",
    ),
    (
        lambda: schedules.yarn(64, 1e4, 4.0, 4096, attention_factor=0.0),
        "yarn: attention_factor must be positive and finite, got 0",
    ),
    (
        lambda: schedules.yarn(64, 1e4, 4.0, 4096, mscale=-1e9, mscale_all_dim=1.0),
        "yarn: the attention factor of mscale and mscale_all_dim must be positive and finite,"
        " got -",
    ),
    (
        lambda: schedules.yarn(64, 1e4, 4.0, 4096, mscale=1.0, mscale_all_dim=-1e9),
        "yarn: 0.1 * mscale_all_dim * ln(factor) + 1 must be positive and finite, got -",
    ),
    (
        lambda: schedules.longrope(96, 1e4, SHORT[:47], LONG, 4096),
        "longrope: short_factor must have dim / 2 = 48 entries, got 47",
    ),
    (
        lambda: schedules.longrope(96, 1e4, SHORT, [*LONG[:47], -1.0], 4096),
        "longrope: long_factor[47] must be positive and finite, got -1",
    ),
    (
        lambda: schedules.longrope(96, 1e4, SHORT, LONG, 1, factor=4.0),
        f"longrope: {ORIGINAL} must be greater than 1, got 1",
    ),
    (
        lambda: schedules.longrope(96, 1e4, SHORT, LONG, 4096, seq_len=float("nan")),
        "longrope: seq_len must be positive and finite, got nan",
    ),
    (
        lambda: schedules.dynamic_ntk(2, 1e4, 2.0, 4096, 8192),
        "dynamic_ntk: dim must be at least 4, since the base is scaled by a power dim / (dim - 2),"
        " got 2",
    ),
    (
        lambda: schedules.dynamic_ntk(64, 1e4, 2.0, 4096, -1),
        "dynamic_ntk: seq_len must be positive and finite, got -1",
    ),
    (
        lambda: schedules.proportional(64, 1e4, 1.5),
        "proportional: partial_rotary_factor must be above 0 and at most 1, got 1.5",
    ),
    (
        lambda: schedules.proportional(64, 1e4, float("nan")),
        "proportional: partial_rotary_factor must be above 0 and at most 1, got nan",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS, ids=[m[:44] for _, m in REFUSALS])
def test_refusal_names_scheme_rule_and_value(call, message):
    with pytest.raises(ValueError, match=f"^rope::schedules::{re.escape(message)}"):
        call()
