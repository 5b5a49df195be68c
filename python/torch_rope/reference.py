"""The rotation in float64 complex arithmetic and plain torch: the oracle of tests and of users.

It shares no code with the kernels and nothing but keywords with the operators, and it is slow. It
expects arguments that the operators accept; what they refuse it may answer with anything.

Accuracy: cosines and sines are right to about 1e-15, absolutely, for every int64 position and every
finite frequency. A frequency f is divided by 2 pi in integers, with as many digits of pi as any
float64 needs. The position is cut into three pieces of at most 22 bits, p = sum of p_j * 2^(22 j),
and frac(2^(22 j) * f / 2 pi) into a head of 30 bits and a float64 tail, so that the products p_j *
head are exact in float64 and lose nothing when their whole turns are dropped. What is rounded is
the tail (below 2^-8 turn, relative error 2^-53) and, at the end, the angle of at most pi.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from functools import lru_cache

import torch
from torch import Tensor

_PIECE_BITS = 22
_PIECES = 3
_HEAD_BITS = 30
_TAIL_BITS = 100  # of frac(...) in all, head included
_INVERSE_BITS = 1280  # of 1 / 2 pi: the largest float64 has 1024 bits before the point


def rotate(
    x: Tensor,
    pos: Tensor | None = None,
    *,
    inv_freq: Tensor | None = None,
    cos_sin: Tensor | None = None,
    cos: Tensor | None = None,
    sin: Tensor | None = None,
    base: float = 10000.0,
    attention_factor: float = 1.0,
    rotary_dim: int = 0,
    rotary_offset: int = 0,
    interleaved: bool = False,
    inverse: bool = False,
    layout: str = "bshd",
    offsets: Tensor | int | None = None,
    cu_seqlens: Tensor | None = None,
    skip_negative: bool = False,
) -> Tensor:
    """Returns x rotated, as a float64 tensor of x's shape: what an operator's result is judged by.

    The arguments are those of `torch_rope.rotate`; x may be float64 too. Differentiable in x
    and in a floating-point inv_freq.
    """
    if x.dim() == 3:
        layout = "thd"
    heads = _to_bshd(x, layout).double()
    if cos_sin is not None:
        cos, sin = cos_sin.chunk(2, dim=-1)
    start = rotary_offset if rotary_offset >= 0 else heads.shape[-1] + rotary_offset
    if rotary_dim == 0:
        width = inv_freq if cos is None else cos
        rotary_dim = heads.shape[-1] - start if width is None else 2 * width.shape[-1]
    given, positions = _positions(
        heads, pos, 1 if inv_freq is None else _num_axes(inv_freq), offsets, cu_seqlens
    )

    factors = _factors(positions, rotary_dim, inv_freq, cos, sin, base, attention_factor)
    if inverse:
        factors = factors.conj()

    pairs = heads[..., start : start + rotary_dim]
    real, imaginary = (pairs[..., ::2], pairs[..., 1::2]) if interleaved else pairs.chunk(2, dim=-1)
    turned = torch.complex(real, imaginary) * factors
    rotated = (
        torch.stack((turned.real, turned.imag), dim=-1).flatten(-2)
        if interleaved
        else torch.cat((turned.real, turned.imag), dim=-1)
    )
    result = torch.cat((heads[..., :start], rotated, heads[..., start + rotary_dim :]), dim=-1)
    if skip_negative and pos is not None:
        result = torch.where(given[0, ..., None, None] < 0, heads, result)
    return _from_bshd(result, layout)


def _to_bshd(x: Tensor, layout: str) -> Tensor:
    if layout == "thd":
        return x.unsqueeze(0)
    return {"bshd": x, "bhsd": x.transpose(1, 2), "sbhd": x.transpose(0, 1)}[layout]


def _from_bshd(x: Tensor, layout: str) -> Tensor:
    return x.squeeze(0) if layout == "thd" else _to_bshd(x, layout)


def _num_axes(inv_freq: Tensor) -> int:
    return 1 if inv_freq.dim() == 1 else inv_freq.shape[0]


def _positions(
    heads: Tensor,
    pos: Tensor | None,
    num_axes: int,
    offsets: Tensor | int | None,
    cu_seqlens: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Returns positions as given and with their offsets: int64, (A, B, S), for (B, S, H, D)."""
    num_batches, num_tokens = heads.shape[:2]
    tokens = torch.arange(num_tokens, device=heads.device)
    if cu_seqlens is None:
        sequences = torch.arange(num_batches, device=heads.device)[:, None]
    else:
        starts = cu_seqlens.to(heads.device).long()
        sequence = torch.searchsorted(starts, tokens, right=True) - 1
        tokens = tokens - starts[sequence]
        sequences = sequence[None, :]
    if pos is None:
        given = tokens[None, None, :]
    elif num_axes > 1:
        given = pos.long() if pos.dim() == 3 else pos.long()[:, None, :]
    else:
        given = pos.long()[None, None, :] if pos.dim() == 1 else pos.long()[None]
    given = given.expand(num_axes, num_batches, num_tokens)
    if offsets is None:
        return given, given
    if isinstance(offsets, int):
        return given, given + offsets
    return given, given + offsets.to(heads.device).long()[sequences]


def _factors(
    positions: Tensor,
    rotary_dim: int,
    inv_freq: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
    base: float,
    attention_factor: float,
) -> Tensor:
    """Returns complex factors, (B, S, 1 or H, n); NaN where there is no row and no frequency."""
    if inv_freq is None and cos is None:
        inv_freq = _default_frequencies(rotary_dim, base)
    if cos is None or sin is None:
        assert inv_freq is not None
        return _unit_factors(positions, inv_freq) * attention_factor
    table = torch.complex(cos.double(), sin.double())
    if table.dim() > 2:
        return table if table.dim() == 4 else table.unsqueeze(2)
    if inv_freq is None:
        nan = complex(math.nan, math.nan)
        computed = table.new_full((*positions.shape[1:], 1, table.shape[-1]), nan)
    else:
        computed = _unit_factors(positions, inv_freq) * attention_factor
    rows = positions[0]
    inside = (rows >= 0) & (rows < len(table))
    if not inside.any():
        return computed
    found = table[rows.clamp(0, len(table) - 1)].unsqueeze(2)
    return torch.where(inside[..., None, None], found, computed)


def _unit_factors(positions: Tensor, inv_freq: Tensor) -> Tensor:
    """Returns exp(i * sum over a of positions[a] * inv_freq[a]): (A, B, S) -> (B, S, 1 or H, n)."""
    words = inv_freq.reshape(_num_axes(inv_freq), -1, inv_freq.shape[-1])  # (A, 1 or H, n)
    heads, tails = _pieces(words, positions.device)
    mask = (1 << _PIECE_BITS) - 1
    angle = torch.zeros((), dtype=torch.float64, device=positions.device)
    rest = angle
    for axis in range(len(words)):
        for piece in range(_PIECES):
            digit = positions[axis] >> (_PIECE_BITS * piece)
            if piece < _PIECES - 1:
                digit = digit & mask
            scale = digit.double()[..., None, None]
            exact = scale * heads[piece, axis]
            angle = angle + (exact - exact.round())
            rest = rest + scale * tails[piece, axis]
    # The heads' sum is a multiple of 2^-30 and exact, so whole turns can be dropped once more.
    angle = 2 * math.pi * ((angle - angle.round()) + rest)
    if inv_freq.is_floating_point():
        # Exactly zero: it only tells autograd how the angle follows the frequencies.
        moved = (words - words.detach()).to(angle.device)
        for axis in range(len(words)):
            angle = angle + positions[axis].double()[..., None, None] * moved[axis]
    return torch.complex(angle.cos(), angle.sin())


def _pieces(words: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns heads and tails of frac(2^(22 j) * frequency in turns), each (3, *words.shape)."""
    heads, tails = [], []
    for word in words.detach().cpu().flatten().tolist():
        turns = _turns(word)
        for piece in range(_PIECES):
            shifted = (turns << (_PIECE_BITS * piece)) >> (_PIECE_BITS * (_PIECES - 1))
            fraction = shifted & ((1 << _TAIL_BITS) - 1)
            head, tail = divmod(fraction, 1 << (_TAIL_BITS - _HEAD_BITS))
            heads.append(math.ldexp(head, -_HEAD_BITS))
            tails.append(math.ldexp(tail, -_TAIL_BITS))

    def tensor(values: list[float]) -> Tensor:
        flat = torch.tensor(values, dtype=torch.float64, device=device)
        return flat.reshape(*words.shape, _PIECES).movedim(-1, 0)

    return tensor(heads), tensor(tails)


def _turns(frequency: float | int) -> int:
    """Returns turns per position in units of 2^-144, from radians or from 64-bit turns."""
    bits = _TAIL_BITS + _PIECE_BITS * (_PIECES - 1)
    if isinstance(frequency, int):
        return frequency << (bits - 64)
    numerator, denominator = frequency.as_integer_ratio()
    return (numerator * _inverse_two_pi() << bits) // (denominator << _INVERSE_BITS)


@lru_cache(maxsize=1)
def _inverse_two_pi() -> int:
    """Returns 2^1280 / 2 pi, from Machin's pi = 16 arctan(1/5) - 4 arctan(1/239)."""
    guard = 64
    unit = 1 << (_INVERSE_BITS + guard)

    def arctan_of_inverse(n: int) -> int:
        power, total, term = unit // n, 0, 0
        while power:
            total += (-1) ** term * (power // (2 * term + 1))
            power //= n * n
            term += 1
        return total

    pi = 16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)
    return (unit * unit // (2 * pi)) >> guard


def _default_frequencies(rotary_dim: int, base: float) -> Tensor:
    """Returns base^(-2i / rotary_dim), each the nearest float64 to its value in 60 digits."""
    context = Context(prec=60)
    logarithm = context.ln(Decimal(base))
    exponents = (
        context.divide(Decimal(-2 * i), Decimal(rotary_dim)) for i in range(rotary_dim // 2)
    )
    values = [float(context.exp(context.multiply(logarithm, exponent))) for exponent in exponents]
    return torch.tensor(values, dtype=torch.float64, device="cpu")
