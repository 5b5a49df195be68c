"""The tensors of one case, which all its providers share. For providers.py and those below it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import torch_rope
from benchmarks.cpu.cases import BASE, RANDOM_ROWS, TABLE_ROWS, Case

# Values repeat after so many tokens: time does not depend on them, and memory is short.
BLOCK_TOKENS = 2048


@dataclass(frozen=True)
class Pair:
    """Queries and keys, (B, S, H, D)."""

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

    original: the first BLOCK_TOKENS tokens as they were made; the others repeat them. pos: int64,
    (S,) of one sequence, (B, S) of several. table: (rows, 2n) float32. turns: (n,) int64. cos, sin:
    (B, S, 2n) in q's type, the table's rows with doubled halves, as transformers' models hand them
    to their layers.
    """

    def __init__(self, case: Case, threads: int, cache_bytes: int) -> None:
        self.case, self.threads = case, threads
        generator = torch.Generator().manual_seed(0)

        def random(tokens: int, heads: int) -> Tensor:
            extents = (case.batch, tokens, heads, case.head_dim)
            return torch.randn(extents, generator=generator).to(case.dtype)

        block = min(case.tokens, BLOCK_TOKENS)
        self.original = Pair(*(random(block, heads) for heads in (case.heads_q, case.heads_k)))
        self.pos = _positions(case, generator)
        self.sets = [self._empty() for _ in range(case.num_sets(cache_bytes))]
        self.reset()
        self._make_angles()

    def _empty(self) -> Pair:
        case = self.case
        return Pair(
            *(
                torch.empty(case.batch, case.tokens, heads, case.head_dim, dtype=case.dtype)
                for heads in (case.heads_q, case.heads_k)
            )
        )

    def _make_angles(self) -> None:
        case = self.case
        schedule = torch_rope.schedules.default(dim=case.rotary_dim, base=BASE)
        self.inv_freq = schedule.inv_freq
        self.turns = schedule.kwargs()["inv_freq"]
        self.table = schedule.table(case.table_rows)
        rows = self.table[self.pos if self.pos.dim() == 2 else self.pos[None]].to(case.dtype)
        cos, sin = rows.chunk(2, dim=-1)
        self.cos, self.sin = torch.cat((cos, cos), dim=-1), torch.cat((sin, sin), dim=-1)

    def of_whole_heads(self) -> Workload:
        """The same q and k, every component of a head rotated."""
        whole = copy.copy(self)
        whole.case = replace(self.case, rotary_dim=self.case.head_dim, rotary_offset=0)
        whole._make_angles()
        return whole

    def reset(self) -> None:
        """Gives q and k of every set their first values."""
        for pair in self.sets:
            for x, block in zip(pair, self.original, strict=True):
                for part in x.split(block.shape[1], dim=1):
                    part.copy_(block[:, : part.shape[1]])


def _positions(case: Case, generator: torch.Generator) -> Tensor:
    if case.shuffled:
        return torch.randint(RANDOM_ROWS, (case.tokens,), generator=generator)
    steps = torch.arange(case.tokens)
    if case.batch == 1:
        return case.first_position + steps
    firsts = torch.randint(TABLE_ROWS - case.tokens, (case.batch, 1), generator=generator)
    return firsts + steps
