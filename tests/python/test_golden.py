"""The operators against the committed hashes of tests/golden, which C++ programs, all compilers and
all devices are held to: guarantee 2 of the numeric contract. The inputs are those of tests/cpp,
made here a second time by the integer arithmetic that tests/cpp/stream.h describes.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from cases import bits

import torch_rope

HASHES = dict(
    re.findall(
        r'^\{"(\w+)", 0x(\w+)\}',
        (Path(__file__).resolve().parents[1] / "golden" / "hashes.inc").read_text("utf-8"),
        re.MULTILINE,
    )
)
BATCHES, TOKENS, HEADS_Q, HEADS_K = 2, 13, 3, 2
TABLE_ROWS = 64
FACTOR = 1.2079441
Q, K, TURNS, COS, SIN, AXIS = 1, 2, 3, 4, 5, 8
EXTREMES = [
    *(0, -1, 2**63 - 1, -(2**63) + 1, -(2**63), 2**20, 2**31 - 1, 2**31, -(2**31), 2**40),
    *(2**62, -(2**62)),
]


class Format(NamedTuple):
    dtype: torch.dtype
    integer: type
    exponent_bits: int
    fraction_bits: int


FORMATS = {
    "f32": Format(torch.float32, np.uint32, 8, 23),
    "f16": Format(torch.float16, np.uint16, 5, 10),
    "bf16": Format(torch.bfloat16, np.uint16, 8, 7),
}


def stream(seed, purpose, count):
    """SplitMix64: count words."""
    state = np.uint64(seed << 32 ^ purpose << 16)
    word = state + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
    return word ^ (word >> np.uint64(31))


def floats(format, words, usual, rare):
    """A number from each word: its exponent is one of usual or, one time in eight, of rare, pairs
    of an exponent and whether the fraction is kept.
    """
    choice = (words >> np.uint64(4)).astype(np.int64)
    is_rare = (words >> np.uint64(1)) % np.uint64(8) == 0
    rare_exponents, keeps = (
        np.array(column)[choice % len(rare)] for column in zip(*rare, strict=True)
    )
    exponent = np.where(is_rare, rare_exponents, np.array(usual)[choice % len(usual)])
    fraction = (words >> np.uint64(32)) % np.uint64(1 << format.fraction_bits)
    fraction[is_rare & ~keeps] = 0
    sign = (words % np.uint64(2)) << np.uint64(format.exponent_bits + format.fraction_bits)
    pattern = sign | exponent.astype(np.uint64) << np.uint64(format.fraction_bits) | fraction
    return torch.from_numpy(pattern.astype(format.integer)).view(format.dtype)


def tensor(format, seed, purpose, heads, rotary_dim):
    bias = (1 << (format.exponent_bits - 1)) - 1
    words = stream(seed, purpose, BATCHES * TOKENS * heads * rotary_dim)
    rare = [(0, False), (0, True), (1, True), (2 * bias - 1, True)]
    numbers = floats(format, words, range(bias - 6, bias + 2), rare)
    return numbers.reshape(BATCHES, TOKENS, heads, rotary_dim)


def table(format, seed, pairs):
    bias = (1 << (format.exponent_bits - 1)) - 1
    rare = [(0, False), (bias, False), (0, True), (1, True)]
    halves = [
        floats(format, stream(seed, purpose, TABLE_ROWS * pairs), range(bias - 4, bias), rare)
        for purpose in (COS, SIN)
    ]
    return torch.cat([half.reshape(TABLE_ROWS, pairs) for half in halves], dim=1)


def turns(seed, pairs):
    words = stream(seed, TURNS, 2 * pairs)
    magnitude = words[::2] >> (words[1::2] % np.uint64(64))
    negative = words[1::2] >> np.uint64(62) == 0
    return torch.from_numpy(np.where(negative, -magnitude, magnitude).view(np.int64))


def any_positions(seed):
    words = stream(seed, AXIS, 2 * BATCHES * TOKENS)
    choice = words[::2]
    extremes = np.array(EXTREMES)[(choice >> np.uint64(1)).astype(np.int64) % len(EXTREMES)]
    positions = np.where(choice % np.uint64(2) == 0, extremes, words[1::2].view(np.int64))
    return torch.from_numpy(positions).reshape(BATCHES, TOKENS)


def skipping_positions(seed):
    """From −32 to 63."""
    words = stream(seed, AXIS, BATCHES * TOKENS)
    return torch.from_numpy((words % np.uint64(96)).astype(np.int64) - 32).reshape(BATCHES, TOKENS)


def fnv(*tensors):
    """FNV-1a with 64 bits, of the elements' bytes in order."""
    value = 0xCBF29CE484222325
    for x in tensors:
        assert not x.isnan().any()
        for byte in bits(x.cpu()).numpy().tobytes():
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def test_hash_is_that_of_its_authors():
    assert fnv(torch.tensor([0x6F66, 0x626F, 0x7261], dtype=torch.int16)) == "85944171f73967e8"


# ORDER[layout] takes (batch, token, head, component) there, and back again.
ORDER = {"bshd": (0, 1, 2, 3), "bhsd": (0, 2, 1, 3), "sbhd": (1, 0, 2, 3)}


# A 16-bit table serves tensors of its own type.
SOURCES = [(dtype, "computed") for dtype in FORMATS] + [("f16", "table16"), ("bf16", "table16")]


@pytest.mark.parametrize("layout", ORDER)
@pytest.mark.parametrize("rotary_dim", [2, 6, 20, 24, 32, 50, 64, 96, 128, 256])
@pytest.mark.parametrize("pairing", ["split", "interleaved"])
@pytest.mark.parametrize(("dtype", "angles"), SOURCES)
def test_apply(device, dtype, angles, pairing, rotary_dim, layout):
    """Computed at any position; from a table in q's type, where negative positions are skipped."""
    format, seed, interleaved = FORMATS[dtype], rotary_dim, pairing == "interleaved"
    heads = [
        tensor(format, seed, purpose, count, rotary_dim)
        .permute(ORDER[layout])
        .contiguous()
        .to(device)
        for purpose, count in ((Q, HEADS_Q), (K, HEADS_K))
    ]
    options = {"inv_freq": turns(seed, rotary_dim // 2), "interleaved": interleaved}
    if angles == "computed":
        positions, name = any_positions(seed), "computed_anyint64"
    else:
        positions, name = skipping_positions(seed), "table16_skipping"
        options |= {"cos_sin": table(format, seed, rotary_dim // 2), "skip_negative": True}
    if interleaved:
        options |= {"inverse": True, "attention_factor": FACTOR}
        name += "_inverse_factor"
    options = {
        key: value.to(device) if isinstance(value, torch.Tensor) else value
        for key, value in options.items()
    }
    torch_rope.apply(*heads, positions.to(device), layout=layout, **options)
    case = f"{dtype}_{pairing}_r{rotary_dim}_b2t13q3k2_{name}_seed{seed}"
    assert fnv(*(x.permute(ORDER[layout]) for x in heads)) == HASHES[case]
