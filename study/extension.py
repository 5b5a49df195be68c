"""Context extension: loss against position, out to eight times the trained length, for each way to
stretch the rotation and for models with other positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from study import text, weights
from study.model import TRAINED_LENGTH, Decoder, losses
from torch_rope import Schedule, schedules

LENGTHS = 8  # times the trained length
LONGEST = LENGTHS * TRAINED_LENGTH
BUCKET = 64  # positions that share a mean
WINDOWS = 32
HEAD_DIM = 32
BASE = 10000.0

# What is done to a model that was trained with plain rotations. The article has
# linear interpolation for twice the length and NTK with α = 8 for eight times.
FIXED: dict[str, Schedule] = {
    "nothing": schedules.default(HEAD_DIM, BASE),
    "linear, factor 2": schedules.linear(HEAD_DIM, BASE, 2.0),
    "linear, factor 8": schedules.linear(HEAD_DIM, BASE, 8.0),
    "NTK, α = 8": schedules.ntk(HEAD_DIM, BASE, 8.0),
    "NTK, α = 64": schedules.ntk(HEAD_DIM, BASE, 64.0),
    "YaRN, factor 8": schedules.yarn(HEAD_DIM, BASE, 8.0, TRAINED_LENGTH),
}
DYNAMIC = "dynamic NTK, factor 8"
TUNED = "linear, factor 8, fine-tuned"
WINDOWED = "the last 256 bytes only"
BASELINES = ("learned", "sinusoidal", "t5", "none")

Curve = list[float]  # mean loss of each bucket, nats a byte; shorter where a model ends earlier


def dynamic(length: int) -> Schedule:
    """As transformers does it: α = 1 up to the trained length, 8 · 8 − 7 = 57 at eight times it."""
    return schedules.dynamic_ntk(HEAD_DIM, BASE, float(LENGTHS), TRAINED_LENGTH, length)


def evaluation() -> Tensor:
    """(WINDOWS, LONGEST + 1) bytes of the books that no model was trained on."""
    return text.windows(text.held_out(), LONGEST + 1, WINDOWS)


def _each(tokens: Tensor, losses_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Window by window: a bias for 2048 tokens is big enough alone."""
    return torch.cat([losses_of(window[None]) for window in tokens])


def buckets(values: Tensor) -> Curve:
    """(N, S) → means of BUCKET positions over all windows."""
    return [float(part.mean()) for part in values.split(BUCKET, dim=1)]


@torch.no_grad()
def curve(model: Decoder, tokens: Tensor, schedule: Schedule | None = None) -> Curve:
    return buckets(_each(tokens, lambda window: losses(model, window, schedule)))


@torch.no_grad()
def dynamic_curve(model: Decoder, tokens: Tensor) -> Curve:
    """Each bucket is read as the end of a sequence of its own length: all keys get the frequencies
    of that length, as after a fresh prefill."""
    found: Curve = []
    for end in range(BUCKET, tokens.shape[1], BUCKET):
        schedule = dynamic(end)
        read = _each(tokens[:, : end + 1], lambda window, s=schedule: losses(model, window, s))
        found.append(float(read[:, -BUCKET:].mean()))
    return found


@torch.no_grad()
def windowed_curve(model: Decoder, tokens: Tensor) -> Curve:
    """Every byte is read with at most the trained length before it, 192 bytes at least: what a
    model achieves that forgets, so what any extension has to beat."""
    found = buckets(losses(model, tokens[:, : TRAINED_LENGTH + 1]))
    for end in range(TRAINED_LENGTH + BUCKET, tokens.shape[1], BUCKET):
        read = losses(model, tokens[:, end - TRAINED_LENGTH : end + 1])
        found.append(float(read[:, -BUCKET:].mean()))
    return found


def curves() -> dict[str, Curve]:
    """Every curve of the figure. A learned table's ends where the table ends."""
    tokens = evaluation()
    rope = weights.load("rope")
    found = {name: curve(rope, tokens, schedule) for name, schedule in FIXED.items()}
    found[DYNAMIC] = dynamic_curve(rope, tokens)
    tuned = weights.load(weights.TUNED)
    found[TUNED] = curve(tuned, tokens, FIXED["linear, factor 8"])
    found[WINDOWED] = windowed_curve(rope, tokens)
    for name in BASELINES:
        reach = TRAINED_LENGTH if name == "learned" else LONGEST
        found[name] = curve(weights.load(name), tokens[:, : reach + 1])
    return found


def mean_between(values: Curve, first: int, last: int) -> float:
    """Nats a byte at positions first … last − 1, whole buckets; NaN where the curve has ended."""
    part = values[first // BUCKET : last // BUCKET]
    return sum(part) / len(part) if len(part) == (last - first) // BUCKET else math.nan


def rises_at(values: Curve, by: float = 0.25) -> int | None:
    """Where the first bucket beyond the trained length begins whose mean is so many nats above the
    trained length's; None where there is none."""
    trained = mean_between(values, *SPANS[0])
    for number in range(TRAINED_LENGTH // BUCKET, len(values)):
        if values[number] > trained + by:
            return number * BUCKET
    return None


# Where the table's columns begin and end: inside the trained length, then doubling.
SPANS = ((128, 256), (256, 512), (512, 1024), (1024, 2048))


def table(found: dict[str, Curve]) -> dict[str, list[float]]:
    return {name: [mean_between(values, *span) for span in SPANS] for name, values in found.items()}


def reach(trained: Schedule, stretched: Schedule, length: int) -> float:
    """Up to which position no pair leaves the angles that it took while training. Pairs that went
    through a whole turn have taken all of them; of the others the one that is slowed the least
    comes to its largest trained angle first."""
    unfinished = trained.inv_freq * length < 2 * math.pi
    slowed = trained.inv_freq[unfinished] / stretched.inv_freq[unfinished]
    return length * float(slowed.min())


def reaches() -> dict[str, dict[str, float]]:
    """Of the small model, and of heads of 128 trained for 2048 tokens, the article's Llama."""
    found = {
        "small": {name: reach(FIXED["nothing"], s, TRAINED_LENGTH) for name, s in FIXED.items()}
    }
    llama = schedules.default(128, BASE)
    found["llama"] = {
        "linear, factor 2": reach(llama, schedules.linear(128, BASE, 2.0), 2048),
        "NTK, α = 8": reach(llama, schedules.ntk(128, BASE, 8.0), 2048),
        "YaRN, factor 8": reach(llama, schedules.yarn(128, BASE, 8.0, 2048), 2048),
    }
    return found
