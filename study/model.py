"""The small decoder over bytes that the study trains: RMSNorm, attention with torch_rope's operator
in it, a KV cache of rotated keys. One class for every kind of positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

import torch_rope
from study import positions as kinds

POSITIONS = ("rope", "learned", "sinusoidal", "t5", "none")
TRAINED_LENGTH = 256


@dataclass(frozen=True)
class Shape:
    width: int = 96
    heads: int = 3
    layers: int = 4
    hidden: int = 192
    trained_length: int = TRAINED_LENGTH

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


@dataclass
class Cache:
    """Rotated keys and values of every layer, each (B, length, heads, head_dim)."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.keys[0].shape[1] if self.keys else 0

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Everything of this layer so far, the new tokens last."""
        if layer == len(self.keys):
            self.keys.append(key)
            self.values.append(value)
        else:
            self.keys[layer] = torch.cat([self.keys[layer], key], dim=1)
            self.values[layer] = torch.cat([self.values[layer], value], dim=1)
        return self.keys[layer], self.values[layer]


def default_schedule(shape: Shape) -> torch_rope.Schedule:
    return torch_rope.schedules.default(shape.head_dim, 10000.0)


def rotated(
    q: Tensor, k: Tensor, offset: int, schedule: torch_rope.Schedule
) -> tuple[Tensor, Tensor]:
    """In place where nobody wants a gradient, as inference does it."""
    if torch.is_grad_enabled():
        return torch_rope.rotate_qk(q, k, offsets=offset, **schedule.kwargs())
    torch_rope.apply(q, k, offsets=offset, **schedule.kwargs())
    return q, k


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.before_attention = nn.RMSNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.before_hidden = nn.RMSNorm(shape.width)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(
        self,
        x: Tensor,
        number: int,
        cache: Cache,
        schedule: torch_rope.Schedule | None,
        bias: Tensor | None,
    ) -> Tensor:
        offset = cache.keys[number].shape[1] if number < len(cache.keys) else 0
        qkv = self.qkv(self.before_attention(x))
        heads = qkv.unflatten(-1, (3, self.shape.heads, self.shape.head_dim))
        q, k, v = heads.unbind(dim=2)
        if schedule is not None:
            q, k = rotated(q, k, offset, schedule)
        k, v = cache.extend(number, k, v)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        if bias is None and q.shape[2] > 1 and offset:
            bias = causal_mask(q.shape[2], k.shape[2])
        alone = bias is None and q.shape[2] > 1
        attended = functional.scaled_dot_product_attention(q, k, v, bias, is_causal=alone)
        x = x + self.out(attended.transpose(1, 2).flatten(-2))
        return x + self.down(functional.gelu(self.up(self.before_hidden(x))))


def causal_mask(queries: int, keys: int) -> Tensor:
    """(Q, K): 0 where a query may look, −∞ where it may not; the queries are the last tokens."""
    ahead = torch.full((queries, keys), float("-inf"))
    return ahead.triu(keys - queries + 1)


class Decoder(nn.Module):
    def __init__(self, positions: str, shape: Shape | None = None) -> None:
        super().__init__()
        shape = shape or Shape()
        self.shape, self.positions = shape, positions
        self.embedding = nn.Parameter(torch.randn(256, shape.width) / shape.width**0.5)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width)
        self.learned = kinds.Learned(shape.trained_length, shape.width)
        self.t5 = kinds.T5Bias(shape.heads)
        if positions != "learned":
            del self.learned
        if positions != "t5":
            del self.t5
        self.schedule = default_schedule(shape) if positions == "rope" else None
        for layer in self.layers:  # so that depth does not make the residual stream grow
            for last in (layer.out, layer.down):
                nn.init.normal_(last.weight, std=0.5 / (last.in_features * shape.layers) ** 0.5)

    def forward(
        self,
        tokens: Tensor,
        cache: Cache | None = None,
        schedule: torch_rope.Schedule | None = None,
    ) -> Tensor:
        """Logits (B, S, 256) of the byte after each of tokens (B, S). A cache is extended; a
        schedule stands in for the trained one."""
        cache = Cache() if cache is None else cache
        keys = torch.arange(cache.length + tokens.shape[1])
        at = keys[cache.length :]
        x = functional.embedding(tokens, self.embedding) * self.shape.width**0.5
        if self.positions == "learned":
            x = x + self.learned(at)
        if self.positions == "sinusoidal":
            x = x + kinds.sinusoidal(at, self.shape.width)
        bias = None
        if self.positions == "t5":
            bias = self.t5(at, keys) + causal_mask(len(at), len(keys))
        for number, layer in enumerate(self.layers):
            x = layer(x, number, cache, schedule or self.schedule, bias)
        return self.norm(x) @ self.embedding.T


def losses(model: Decoder, tokens: Tensor, schedule: torch_rope.Schedule | None = None) -> Tensor:
    """Nats of every byte but the first, (B, S − 1); that at [:, p] has p + 1 bytes before it."""
    logits = model(tokens[:, :-1], schedule=schedule)
    flat = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    return flat.view(tokens.shape[0], -1)
