"""The decoder that export_decoder.py compiles: a small Llama with grouped queries, over bytes.

Its layers take turns at the two ways of rotating: a packed projection in place, and separate
projections by the module. In float64, which the operators do not take, it is the exact model that
rounding is measured by, with the rotation of torch_rope.reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

import torch_rope
from torch_rope import RotaryEmbedding, reference, schedules

VOCABULARY = 256


@dataclass(frozen=True)
class Sizes:
    layers: int
    hidden: int
    heads_q: int
    heads_k: int
    head_dim: int
    capacity: int  # tokens that a cache holds


def weight(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns) / columns**0.5)


class Attention(nn.Module):
    def __init__(self, sizes: Sizes, packed: bool) -> None:
        super().__init__()
        self.heads = (sizes.heads_q, sizes.heads_k, sizes.heads_k)
        self.head_dim = sizes.head_dim
        projections = [sum(self.heads)] if packed else self.heads
        self.norm = nn.RMSNorm(sizes.hidden, eps=1e-5)
        self.projections = nn.ParameterList(
            weight(heads * sizes.head_dim, sizes.hidden) for heads in projections
        )
        self.out = weight(sizes.hidden, sizes.heads_q * sizes.head_dim)

    def forward(
        self, x: Tensor, pos: Tensor, rope: RotaryEmbedding, keys: Tensor, values: Tensor
    ) -> Tensor:
        q, k, v = self.rotated_heads(self.norm(x), pos, rope)
        num_tokens = x.shape[1]
        keys[:, -num_tokens:] = k
        values[:, -num_tokens:] = v
        attended = scaled_dot_product_attention(
            q.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            is_causal=bool(num_tokens > 1),
            enable_gqa=True,
        )
        return x + attended.transpose(1, 2).flatten(2) @ self.out.T

    def rotated_heads(self, x: Tensor, pos: Tensor, rope: RotaryEmbedding) -> tuple[Tensor, ...]:
        parts = [(x @ one.T).unflatten(-1, (-1, self.head_dim)) for one in self.projections]
        if x.dtype == torch.float64:
            q, k, v = torch.cat(parts, dim=2).split(self.heads, dim=2)
            q, k = (reference.rotate(t, pos, inv_freq=rope.schedule.inv_freq) for t in (q, k))
            return q, k, v
        if len(parts) == 1:
            torch_rope.apply_qkv(
                parts[0],
                pos,
                num_heads_q=self.heads[0],
                num_heads_k=self.heads[1],
                inv_freq=rope.turns,
                cos_sin=rope.table,
            )
            return parts[0].split(self.heads, dim=2)
        q, k, v = parts
        return *rope(q, k, pos), v


class FeedForward(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden, eps=1e-5)
        self.gate_up = weight(6 * hidden, hidden)
        self.down = weight(hidden, 3 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = (self.norm(x) @ self.gate_up.T).chunk(2, dim=-1)
        return x + (silu(gate) * up) @ self.down.T


class Decoder(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads_k, self.head_dim = sizes.heads_k, sizes.head_dim
        self.embedding = weight(VOCABULARY, sizes.hidden)
        self.attentions = nn.ModuleList(
            Attention(sizes, packed=layer % 2 == 0) for layer in range(sizes.layers)
        )
        self.feed_forwards = nn.ModuleList(FeedForward(sizes.hidden) for _ in range(sizes.layers))
        self.norm = nn.RMSNorm(sizes.hidden, eps=1e-5)
        self.out = weight(VOCABULARY, sizes.hidden)
        llama3 = schedules.llama3(sizes.head_dim, 500000.0, 8.0, 1.0, 4.0, 8192)
        self.rope = RotaryEmbedding(llama3, table_rows=sizes.capacity)

    def forward(self, tokens: Tensor, *cache: Tensor) -> Tensor:
        """Returns the logits, (1, S, VOCABULARY), of tokens, (1, S).

        cache: keys, then values of each layer, (1, T, heads_k, head_dim): what tokens attend to,
        themselves among it. The last S rows are written. S is T, or 1.
        """
        x = self.embedding[tokens]
        total = cache[0].shape[1]
        pos = torch.arange(total - tokens.shape[1], total, device=x.device)
        for layer, attention in enumerate(self.attentions):
            keys, values = cache[2 * layer : 2 * layer + 2]
            x = attention(x, pos, self.rope, keys, values)
            x = self.feed_forwards[layer](x)
        logits: Tensor = self.norm(x) @ self.out.T
        return logits

    def cache(self, num_tokens: int) -> list[Tensor]:
        weights = self.embedding
        shape = (1, num_tokens, self.heads_k, self.head_dim)
        return [weights.new_zeros(shape) for _ in range(2 * len(self.attentions))]
