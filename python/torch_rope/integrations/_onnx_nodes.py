"""The ONNX nodes that angles and rotations become; onnx.py says which call needs which.

Phases are the kernels' own, integers modulo 2^64, so that no position is too large. An angle is
then a float64 of at most half a turn, and its sine is rounded once to float32. The rotation is in
float32 whatever the tensor's type, because the caches of RotaryEmbedding have the type of its
input, and cosines in bfloat16 would be far from exact. `op` is an opset of onnxscript that records
what is called.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

__all__ = [
    "Angles",
    "Part",
    "constant",
    "from_bhsd",
    "phases",
    "rotated",
    "row_angles",
    "sines",
    "to_bhsd",
    "to_float32",
    "turns",
]

_FLOAT32, _INT64, _FLOAT64 = 1, 7, 11  # TensorProto.DataType
_QUARTER_TURN = 2**62
# Digits of a frequency, in units that are apart by this many bits, the first and the last one.
_DIGIT_BITS, _TOP, _BOTTOM = 20, 60, -80
_GUARD_BITS = 40


@dataclass
class Angles:
    """Float32 cosines and sines: (B, S, n), (B, S, H, n), or (rows, n) with rows (B, S) to read."""

    cos: Any
    sin: Any
    rows: Any = None
    per_head: bool = False


def constant(op: Any, values: Any, dtype: type) -> Any:
    """Returns a constant of exactly this type; python numbers would be taken for float32."""
    tensor = importlib.import_module("onnx_ir").tensor
    return op.Constant(value=tensor(numpy.asarray(values, dtype=dtype)))


def to_float32(op: Any, x: Any) -> Any:
    return op.Cast(x, to=_FLOAT32)


def turns(op: Any, inv_freq: Any) -> Any:
    """Returns radians per position in turns, int64 (mod 2^64), for frequencies below 2^60.

    A frequency is cut into digits, each an integer times a power of two, and that power in turns is
    known to 2^-104 turn: exact but for ties that are nearer than 2^-18 of the result's unit.
    """
    exponents = range(_TOP, _BOTTOM - 1, -_DIGIT_BITS)
    units = constant(op, [2.0**-e for e in exponents], numpy.float64)
    whole = op.Floor(op.Mul(op.Unsqueeze(op.Cast(inv_freq, to=_FLOAT64), [-1]), units))
    above = op.Concat(
        op.Mul(op.Slice(whole, [0], [1], [-1]), constant(op, 0.0, numpy.float64)),
        op.Slice(whole, [0], [-1], [-1]),
        axis=-1,
    )
    digits = op.Cast(
        op.Sub(whole, op.Mul(above, constant(op, 2.0**_DIGIT_BITS, numpy.float64))), to=_INT64
    )
    words = [_power_in_turns(exponent) for exponent in exponents]
    high = constant(op, [_signed(word >> _GUARD_BITS) for word in words], numpy.int64)
    low = constant(op, [word % 2**_GUARD_BITS for word in words], numpy.int64)
    below = op.Add(
        _sum(op, op.Mul(digits, low), len(words)),
        constant(op, 2 ** (_GUARD_BITS - 1), numpy.int64),
    )
    # Mod is never negative, so that this is the floor.
    unit = constant(op, 2**_GUARD_BITS, numpy.int64)
    carry = op.Div(op.Sub(below, op.Mod(below, unit)), unit)
    return op.Add(_sum(op, op.Mul(digits, high), len(words)), carry)


def _sum(op: Any, terms: Any, count: int) -> Any:
    """Sums the last dimension modulo 2^64; ONNX Runtime's ReduceSum of int64 does so in float64."""
    total = None
    for index in range(count):
        term = op.Gather(terms, constant(op, index, numpy.int64), axis=-1)
        total = term if total is None else op.Add(total, term)
    return total


def _signed(word: int) -> int:
    return (word + 2**63) % 2**64 - 2**63


def _power_in_turns(exponent: int) -> int:
    """Returns 2^exponent / 2 pi modulo one turn, in units of 2^-(64 + guard bits) turns."""
    bits = 64 + _GUARD_BITS
    shift = bits + exponent
    scaled = _inverse_two_pi(bits + _TOP + 8) >> (bits + _TOP + 8 - shift)
    return scaled % (1 << bits)


def _inverse_two_pi(bits: int) -> int:
    """Returns 2^bits / 2 pi, from Machin's pi = 16 arctan(1/5) - 4 arctan(1/239)."""
    unit = 1 << (bits + 64)

    def arctan_of_inverse(n: int) -> int:
        power, total, odd, sign = unit // n, 0, 1, 1
        while power:
            total += sign * (power // odd)
            power, odd, sign = power // (n * n), odd + 2, -sign
        return total

    pi = 16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)
    return (unit * unit // (2 * pi)) >> 64


def phases(op: Any, positions: Sequence[Any], words: Any, extents: tuple[int, ...]) -> Any:
    """Returns int64 phases, (B, S, n) or (B, S, H, n), of an int64 (B, S) for each axis.

    words: turns, (n,), (A, n) or (A, H, n), which extents are, A included; an H may be -1. Products
    and sums wrap around: phases are modulo 2^64.
    """
    words = op.Reshape(words, list(extents))
    total = None
    for axis, position in enumerate(positions):
        wide = op.Unsqueeze(position, [-1, -2][: len(extents) - 1])
        phase = op.Mul(wide, op.Gather(words, constant(op, axis, numpy.int64), axis=0))
        total = phase if total is None else op.Add(total, phase)
    return total


def sines(op: Any, phase: Any, factor: float) -> tuple[Any, Any]:
    """Returns float32 cosines and sines of phases. A cosine is the sine a quarter turn ahead."""
    quarter = constant(op, _QUARTER_TURN, numpy.int64)

    def sine(word: Any) -> Any:
        angle = op.Mul(
            op.Cast(word, to=_FLOAT64), constant(op, math.ldexp(math.pi, -63), numpy.float64)
        )
        value = to_float32(op, op.Sin(angle))
        return value if factor == 1.0 else op.Mul(value, constant(op, factor, numpy.float32))

    return sine(op.Add(phase, quarter)), sine(phase)


def row_angles(op: Any, table: Angles, computed: Angles | None) -> Angles:
    """Returns angles for each token: the table's row, where there is none computed ones or NaN."""
    zero = constant(op, 0, numpy.int64)
    num_rows = op.Squeeze(op.Shape(table.cos, start=0, end=1), [0])
    inside = op.And(op.GreaterOrEqual(table.rows, zero), op.Less(table.rows, num_rows))
    index = op.Where(inside, table.rows, zero)
    inside = op.Unsqueeze(inside, [-1])
    nan = constant(op, math.nan, numpy.float32)

    def values(rows: Any, otherwise: Any) -> Any:
        return op.Where(inside, op.Gather(rows, index, axis=0), otherwise)

    if computed is None:
        return Angles(values(table.cos, nan), values(table.sin, nan))
    return Angles(values(table.cos, computed.cos), values(table.sin, computed.sin))


_TO_BHSD = {"bshd": [0, 2, 1, 3], "sbhd": [1, 2, 0, 3]}
_FROM_BHSD = {"bshd": [0, 2, 1, 3], "sbhd": [2, 0, 1, 3]}


def to_bhsd(op: Any, x: Any, layout: str) -> Any:
    if layout == "thd":
        x, layout = op.Unsqueeze(x, [0]), "bshd"
    return x if layout == "bhsd" else op.Transpose(x, perm=_TO_BHSD[layout])


def from_bhsd(op: Any, x: Any, layout: str) -> Any:
    if layout == "thd":
        return op.Squeeze(from_bhsd(op, x, "bshd"), [0])
    return x if layout == "bhsd" else op.Transpose(x, perm=_FROM_BHSD[layout])


@dataclass
class Part:
    """Which components of a head are rotated, and how they pair up."""

    head_dim: int
    start: int
    rotary_dim: int
    interleaved: bool
    num_heads: int | None  # where it is known


def rotated(op: Any, x: Any, angles: Angles, part: Part, has_op: bool) -> Any:
    """Returns float32 x, (B, H, S, head_dim), with a part of its components rotated.

    has_op: whether the opset has RotaryEmbedding, which takes angles that all heads share.
    """
    has_op = has_op and not angles.per_head
    if has_op and part.start == 0 and part.head_dim % 2 == 0:
        return _rotary_embedding(op, x, angles, part, part.rotary_dim < part.head_dim)
    end = part.start + part.rotary_dim
    whole = part.rotary_dim == part.head_dim
    inner = x if whole else op.Slice(x, [part.start], [end], [-1])
    if has_op:
        inner = _rotary_embedding(op, inner, angles, part, False)
    else:
        inner = _products(op, inner, angles, part.interleaved)
    parts = [] if part.start == 0 else [op.Slice(x, [0], [part.start], [-1])]
    parts.append(inner)
    if end < part.head_dim:
        parts.append(op.Slice(x, [end], [part.head_dim], [-1]))
    return inner if whole else op.Concat(*parts, axis=-1)


def _rotary_embedding(op: Any, x: Any, angles: Angles, part: Part, of_head: bool) -> Any:
    attributes = {"interleaved": int(part.interleaved)}
    if of_head:
        attributes["rotary_embedding_dim"] = part.rotary_dim
        # Not needed for four dimensions, but some runtimes ask for it.
        if part.num_heads is not None:
            attributes["num_heads"] = part.num_heads
    return op.RotaryEmbedding(x, angles.cos, angles.sin, angles.rows, **attributes)


def _products(op: Any, x: Any, angles: Angles, interleaved: bool) -> Any:
    cos, sin = (
        op.Transpose(a, perm=[0, 2, 1, 3]) if angles.per_head else op.Unsqueeze(a, [1])
        for a in (angles.cos, angles.sin)
    )
    if interleaved:
        end = constant(op, [2**31 - 1], numpy.int64)
        first = op.Slice(x, [0], end, [-1], [2])
        second = op.Slice(x, [1], end, [-1], [2])
    else:
        first, second = op.Split(x, axis=-1, num_outputs=2)
    real = op.Sub(op.Mul(first, cos), op.Mul(second, sin))
    imaginary = op.Add(op.Mul(first, sin), op.Mul(second, cos))
    if not interleaved:
        return op.Concat(real, imaginary, axis=-1)
    pairs = op.Concat(op.Unsqueeze(real, [-1]), op.Unsqueeze(imaginary, [-1]), axis=-1)
    return op.Reshape(pairs, op.Shape(x))
