"""Claims about absolute positions and T5's bias: where they end, what they cost, what they know."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.benchmark import Timer

import torch_rope
from study import positions
from study.model import TRAINED_LENGTH, Decoder

WIDTH = 128
HEADS = 8
TOKENS = 1024
SECONDS = 0.5


def learned_ends(model: Decoder) -> dict[str, str | int]:
    """What a learned table says of the first position that it has no row for."""
    tokens = torch.zeros(1, TRAINED_LENGTH + 1, dtype=torch.int64)
    model(tokens[:, :-1])  # the last row is there
    try:
        model(tokens)
    except IndexError as error:
        return {"rows": model.shape.trained_length, "error": str(error)}
    return {"rows": model.shape.trained_length, "error": ""}


def sinusoids_are_rotated() -> dict[str, float]:
    """Largest difference of PE(m + k) from PE(m) rotated by k, pair by pair, for m below 1024; the
    rotation is this library's, turned back: PE has its sine first."""
    encoded = positions.sinusoidal(torch.arange(2 * TOKENS), WIDTH)
    worst = 0.0
    for k in (1, 10, 100, TOKENS):
        shift = torch.full((TOKENS,), k)
        turned = torch_rope.rotate(encoded[:TOKENS, None], shift, interleaved=True, inverse=True)
        worst = max(worst, float((turned[:, 0] - encoded[k : k + TOKENS]).abs().max()))
    return {"difference": worst}


def t5_bias_cost() -> dict[str, float]:
    """MB of the bias, and ms of causal attention of TOKENS tokens in HEADS heads with it and
    without it, on one thread; and ms to make it."""
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, TOKENS, 64, generator=random) for _ in range(3))
    make = positions.T5Bias(HEADS)
    at = torch.arange(TOKENS)

    def made() -> Tensor:
        ahead = torch.full((TOKENS, TOKENS), float("-inf")).triu(1)
        return make(at, at) + ahead

    with torch.no_grad():
        bias = made()
        calls = {
            "without": lambda: scaled_dot_product_attention(q, k, v, is_causal=True),
            "with": lambda: scaled_dot_product_attention(q, k, v, bias),
            "make": made,
            "rotate": lambda: torch_rope.apply(q, k, at, layout="bhsd"),
        }
        ms = {
            name: 1e3
            * Timer("call()", globals={"call": call}).blocked_autorange(min_run_time=SECONDS).median
            for name, call in calls.items()
        }
    return {"megabytes": bias.numel() * bias.element_size() / 1e6, **ms}
