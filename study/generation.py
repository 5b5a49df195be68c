"""The KV cache on the trained model: the same text with and without it, and a context that changes
its frequencies on the way, with its keys re-rotated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from study import extension, text
from study.claims import rotation
from study.model import TRAINED_LENGTH, Cache, Decoder
from torch_rope import Schedule

PROMPT = 128
NEW = 128
SWITCH_AT = 224  # keys in the cache when the frequencies change; the text then goes on to twice 256
READ_ON = 2 * TRAINED_LENGTH - SWITCH_AT
SWITCH_WINDOWS = 16


@dataclass(frozen=True)
class Written:
    tokens: Tensor  # (NEW,), greedy
    logits: Tensor  # (NEW, 256): what each was chosen from

    @property
    def text(self) -> str:
        return bytes(self.tokens.tolist()).decode("ascii", errors="replace")


def prompt() -> Tensor:
    return text.held_out()[:PROMPT][None]


@torch.no_grad()
def write(model: Decoder, start: Tensor, count: int, *, cached: bool) -> Written:
    """Greedy. With a cache: one prefill, then one byte a step; without: all bytes in every step."""
    cache = Cache()
    tokens, chosen = start, []
    for _ in range(count):
        new = tokens[:, cache.length :] if cached else tokens
        logits = model(new, cache=cache if cached else None)[0, -1]
        chosen.append(logits)
        tokens = torch.cat([tokens, logits.argmax()[None, None]], dim=1)
    return Written(tokens[0, start.shape[1] :], torch.stack(chosen))


def with_and_without_cache(model: Decoder) -> dict[str, float | bool | str]:
    """Whether the texts are identical, the largest difference of a logit, and the smallest distance
    of the chosen byte's logit from the next: a difference below half of it changes nothing."""
    on, off = (write(model, prompt(), NEW, cached=cached) for cached in (True, False))
    best = off.logits.topk(2).values
    return {
        "identical": torch.equal(on.tokens, off.tokens),
        "difference": float((on.logits - off.logits).abs().max()),
        "margin": float((best[:, 0] - best[:, 1]).min()),
        "count": NEW,
        "shown": " / ".join(on.text.split("\n")),
    }


@torch.no_grad()
def token_by_token(model: Decoder) -> dict[str, float]:
    """256 bytes one at a time and in one prefill: largest differences of logits and of cached keys
    and values. The rotation adds none; matrix products of one row and of many round differently."""
    tokens = text.held_out()[:TRAINED_LENGTH][None]
    at_once, stepwise = Cache(), Cache()
    prefill = model(tokens, cache=at_once)
    steps = [model(tokens[:, i : i + 1], cache=stepwise) for i in range(tokens.shape[1])]
    pairs = [
        (one, other)
        for side in ("keys", "values")
        for one, other in zip(getattr(at_once, side), getattr(stepwise, side), strict=True)
    ]
    return {
        "logits": float((prefill - torch.cat(steps, dim=1)).abs().max()),
        "cache": max(float((one - other).abs().max()) for one, other in pairs),
    }


def rerotate(cache: Cache, old: Schedule, new: Schedule) -> None:
    """Every layer's keys, in place."""
    for keys in cache.keys:
        rotation.rerotate(keys, old, new)


def _read_on(model: Decoder, tokens: Tensor, cache: Cache, schedule: Schedule) -> float:
    """Nats a byte of the text after the cached part, read in one piece."""
    logits = model(tokens[:, cache.length : -1], cache=cache, schedule=schedule)
    following = tokens[:, -logits.shape[1] :]
    return float(cross_entropy(logits.flatten(0, 1), following.flatten()))


@torch.no_grad()
def switch(model: Decoder) -> dict[str, float]:
    """SWITCH_AT bytes are cached with the trained frequencies, then the context is to grow beyond
    the trained length and the frequencies become those of NTK with α = 8. Nats a byte of what
    follows with a fresh prefill, with re-rotated keys, with keys left as they were, and without a
    switch; and the re-rotated keys of the first and the last layer beside fresh ones (largest
    difference, in units of their root mean square): deeper layers have read with the old
    frequencies."""
    tokens = text.windows(text.held_out(), SWITCH_AT + READ_ON + 1, SWITCH_WINDOWS)
    old, new = extension.FIXED["nothing"], extension.FIXED["NTK, α = 8"]

    def filled(schedule: Schedule) -> Cache:
        cache = Cache()
        model(tokens[:, :SWITCH_AT], cache=cache, schedule=schedule)
        return cache

    fresh, rerotated = filled(new), filled(old)
    rerotate(rerotated, old, new)
    apart = [
        float((one - other).abs().max() / other.square().mean().sqrt())
        for one, other in zip(rerotated.keys, fresh.keys, strict=True)
    ]
    return {
        "first_layer": apart[0],
        "last_layer": apart[-1],
        "fresh": _read_on(model, tokens, fresh, new),
        "rerotated": _read_on(model, tokens, rerotated, new),
        "stale": _read_on(model, tokens, filled(old), new),
        "unswitched": _read_on(model, tokens, filled(old), old),
    }
