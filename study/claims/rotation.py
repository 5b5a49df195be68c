"""Claims: rotation keeps lengths, a score depends on the distance alone, words added at the end
change nothing before them. float32 angles, as most implementations make them, stand beside.
"""

from __future__ import annotations

import torch
from torch import Tensor

import torch_rope
from torch_rope import Schedule, schedules

HEAD_DIM = 128
VECTORS = 64
DISTANCE = 64
OCTAVES = 31
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def vectors(count: int = VECTORS, seed: int = 0) -> Tensor:
    return torch.randn(count, HEAD_DIM, generator=torch.Generator().manual_seed(seed))


def norms() -> dict[str, float]:
    """dtype → largest relative change of a vector's length, at positions up to 2^20."""
    pos = 2 ** torch.arange(21)
    changes = {}
    for dtype in DTYPES:
        x = vectors().to(dtype).expand(1, len(pos), -1, -1)
        before, after = (y.double().norm(dim=-1) for y in (x, torch_rope.rotate(x, pos)))
        changes[str(dtype).removeprefix("torch.")] = float((after / before - 1).abs().max())
    return changes


def float32_angles(x: Tensor, pos: Tensor) -> Tensor:
    """The usual way, in float32 throughout: angle = position · frequency, rounded."""
    inv_freq = (1 / 10000.0 ** (torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)).float()
    angle = (pos.float()[:, None] * inv_freq)[None, :, None, :]
    first, second = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return (q.double() * k.double()).sum(dim=-1)


def relative() -> dict[str, list[float]]:
    """Largest change of a score of two vectors DISTANCE apart when both move by 1, 2, 4 … 2^31, in
    units of |q||k|: with the operator and with float32 angles. Products are float64."""
    shifts = 2 ** torch.arange(OCTAVES + 1)
    q, k = vectors(seed=0), vectors(seed=1)
    scale = q.double().norm(dim=-1) * k.double().norm(dim=-1)
    start = torch.tensor([DISTANCE])
    found: dict[str, list[float]] = {"shift": [float(shift) for shift in shifts]}
    for name, rotate in (("ours", torch_rope.rotate), ("float32", float32_angles)):
        here = _scores(rotate(q[None, None], start), rotate(k[None, None], start - DISTANCE))
        moved_q = rotate(q.expand(1, len(shifts), -1, -1), shifts + DISTANCE)
        moved_k = rotate(k.expand(1, len(shifts), -1, -1), shifts)
        changes = (_scores(moved_q, moved_k) - here).abs() / scale
        found[name] = changes[0].amax(dim=-1).tolist()
    return found


def at_length(name: str, length: int) -> Schedule:
    """The schedule of a sequence of so many tokens, trained for 64."""
    if name == "dynamic NTK":
        return schedules.dynamic_ntk(HEAD_DIM, 10000.0, 2.0, 64, length)
    if name == "LongRoPE":
        short, long = [1.0] * (HEAD_DIM // 2), [1.0 + 0.1 * i for i in range(HEAD_DIM // 2)]
        return schedules.longrope(
            HEAD_DIM, 10000.0, short, long, 64, 512, seq_len=length, attention_factor=1.0
        )
    fixed = {
        "none": schedules.default(HEAD_DIM, 10000.0),
        "linear": schedules.linear(HEAD_DIM, 10000.0, 8.0),
        "NTK": schedules.ntk(HEAD_DIM, 10000.0, 8.0),
        "YaRN": schedules.yarn(HEAD_DIM, 10000.0, 8.0, 64),
    }
    return fixed[name]


LONG = 128
SCHEMES = ("none", "linear", "NTK", "YaRN", "dynamic NTK", "LongRoPE")


def prefix() -> dict[str, dict[str, float | bool]]:
    """A sequence of 128 keys grows word by word from 32. For each scheme: whether every key stays
    bit for bit what it was, by how much it changes at most (of its pairs' length), and how much of
    that is left when the first 32 keys are re-rotated."""
    x = vectors(LONG)[None, :, None, :]
    found: dict[str, dict[str, float | bool]] = {}
    for name in SCHEMES:
        start, end = at_length(name, 32), at_length(name, LONG)
        whole = torch_rope.rotate(x, **end.kwargs())
        stable = all(
            torch.equal(torch_rope.rotate(x[:, :n], **at_length(name, n).kwargs()), whole[:, :n])
            for n in range(32, LONG)
        )
        cached = torch_rope.rotate(x[:, :32], **start.kwargs())
        change = _relative_change(cached, whole[:, :32])
        rerotate(cached, start, end)
        left = _relative_change(cached, whole[:, :32])
        found[name] = {"stable": stable, "change": change, "after_rerotate": left}
    return found


def rerotate(keys: Tensor, old: Schedule, new: Schedule) -> None:
    """In place: as if the keys, (B, S, H, D), had been rotated with the new frequencies."""
    pos = torch.arange(keys.shape[1])
    scale = new.attention_factor / old.attention_factor
    frequencies = {"old_inv_freq": old.inv_freq, "new_inv_freq": new.inv_freq}
    torch_rope.rerotate(keys, pos, pos, **frequencies, scale=scale)


def _relative_change(one: Tensor, other: Tensor) -> float:
    """Largest change of a pair, as a share of the pair's length."""
    apart, length = (torch.hypot(*y.double().chunk(2, dim=-1)) for y in (one - other, other))
    return float((apart / length).max())


def token_by_token() -> bool:
    """Whether keys that arrive one at a time get the bits that they get all at once."""
    x = vectors(256)[None, :, None, :]
    one_by_one = [torch_rope.rotate(x[:, n : n + 1], offsets=n) for n in range(256)]
    return torch.equal(torch.cat(one_by_one, dim=1), torch_rope.rotate(x))
