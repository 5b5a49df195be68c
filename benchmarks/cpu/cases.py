"""What is measured: the cases, and the tensors of one case that all providers share.

For the benchmark and its test; a case's id is its name on the screen and in result files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import torch_rope

BASE = 500000.0
TABLE_ROWS = 4096
DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
# In a cold case the sets of q and k together are at least this many times the last-level cache.
COLD_FACTOR = 2
MOST_COLD_BYTES = 2**30


@dataclass(frozen=True)
class Case:
    """One batch of `tokens` tokens, from position `first_position` on: q and k are
    (1, tokens, heads, head_dim), contiguous, and the first rotary_dim components are rotated.

    cold: calls go round among so many sets of q and k that none is still in a cache.
    weight: this case's share of the run's time.
    """

    group: str
    dtype: torch.dtype
    interleaved: bool
    tokens: int = 2048
    heads_q: int = 32
    heads_k: int = 8
    head_dim: int = 128
    rotary_dim: int = 128
    first_position: int = 0
    cold: bool = False
    weight: float = 1.0

    @property
    def column(self) -> str:
        return f"{DTYPES[self.dtype]} {'interleaved' if self.interleaved else 'split'}"

    @property
    def id(self) -> str:
        heads = f"h{self.heads_q}:{self.heads_k}-d{self.head_dim}-r{self.rotary_dim}"
        cold = "-cold" if self.cold else ""
        return f"{self.column.replace(' ', '-')}-t{self.tokens}-{heads}{cold}"

    @property
    def data_bytes(self) -> int:
        """What a rotation in place reads and writes of q and k; positions and table not counted."""
        components = self.tokens * (self.heads_q + self.heads_k) * self.rotary_dim
        return 2 * components * self.dtype.itemsize

    @property
    def set_bytes(self) -> int:
        """One set of q and k."""
        components = self.tokens * (self.heads_q + self.heads_k) * self.head_dim
        return components * self.dtype.itemsize

    def num_sets(self, cache_bytes: int) -> int:
        if not self.cold:
            return 1
        wanted = min(COLD_FACTOR * cache_bytes, MOST_COLD_BYTES)
        return max(2, math.ceil(wanted / self.set_bytes))


def all_cases() -> list[Case]:
    """Llama-3-8B's heads, and what differs from them in one respect each."""
    shapes = {
        "2048 tokens, 32 + 8 heads of 128": {"weight": 4.0},
        "the same, out of every cache": {"cold": True, "weight": 3.0},
        "2048 tokens, 32 + 8 heads of 128, 32 rotated": {"rotary_dim": 32, "weight": 2.0},
        "2048 tokens, 32 + 8 heads of 64": {"head_dim": 64, "rotary_dim": 64, "weight": 2.0},
        "1 token (decode), 32 + 8 heads of 128": {
            "tokens": 1,
            "first_position": 2048,
            "weight": 0.5,
        },
    }
    return [
        Case(group, dtype, interleaved, **shape)
        for group, shape in shapes.items()
        for dtype in DTYPES
        for interleaved in (False, True)
        if not (interleaved and shape.get("cold"))
    ]


@dataclass(frozen=True)
class Pair:
    """Queries and keys, (1, S, H, D)."""

    q: Tensor
    k: Tensor

    def __iter__(self):
        return iter((self.q, self.k))

    def clone(self) -> Pair:
        return Pair(self.q.clone(), self.k.clone())

    def empty_like(self) -> Pair:
        return Pair(torch.empty_like(self.q), torch.empty_like(self.k))


class Workload:
    """A case's tensors. Providers that work in place write to `sets`; nobody writes to the rest.

    pos: (S,) int64. table: (rows, 2n) float32. turns: (n,) int64. cos, sin: (1, S, 2n) in q's type,
    the table's rows with doubled halves, as transformers' models hand them to their layers.
    """

    def __init__(self, case: Case, threads: int, cache_bytes: int) -> None:
        self.case, self.threads = case, threads
        generator = torch.Generator().manual_seed(0)
        self.original = Pair(
            *(
                torch.randn(1, case.tokens, heads, case.head_dim, generator=generator).to(
                    case.dtype
                )
                for heads in (case.heads_q, case.heads_k)
            )
        )
        self.sets = [self.original.clone() for _ in range(case.num_sets(cache_bytes))]
        schedule = torch_rope.schedules.default(dim=case.rotary_dim, base=BASE)
        self.inv_freq = schedule.inv_freq
        self.turns = schedule.kwargs()["inv_freq"]
        self.pos = torch.arange(case.first_position, case.first_position + case.tokens)
        self.table = schedule.table(TABLE_ROWS)
        cos, sin = self.table[self.pos].to(case.dtype).chunk(2, dim=-1)
        self.cos, self.sin = (
            torch.cat((cos, cos), dim=-1)[None],
            torch.cat((sin, sin), dim=-1)[None],
        )

    def reset(self) -> None:
        """Gives q and k of every set their first values."""
        for pair in self.sets:
            pair.q.copy_(self.original.q)
            pair.k.copy_(self.original.k)
