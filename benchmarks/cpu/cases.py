"""What is measured: the cases, each a batch of queries and keys in one dtype and pairing.

For the benchmark and its test; a case's id is its name on the screen and in result files.
workload.py makes a case's tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

BASE = 500000.0
TABLE_ROWS = 4096
# Tables of cases with positions anywhere have so many rows, 64 MiB of 128 components.
RANDOM_ROWS = 131072
DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
# In a cold case the sets of q and k together are at least this many times the last-level cache.
COLD_FACTOR = 2
MOST_COLD_BYTES = 2**30


@dataclass(frozen=True)
class Case:
    """A batch of sequences of `tokens` tokens: q and k are (batch, tokens, heads, head_dim),
    contiguous, and rotary_dim components are rotated, from component rotary_offset on. One
    sequence has positions from first_position on, or, shuffled, random ones below RANDOM_ROWS; of
    several, each starts anywhere.

    cold: calls go round among so many sets of q and k that none is still in a cache.
    label: what tells the case from others of its group. weight: its share of the run's time.
    detailed: each instruction set and the backward pass too. compiled: torch.compile too, which
    takes seconds to get ready and so is not in every case.
    """

    group: str
    dtype: torch.dtype
    interleaved: bool
    tokens: int = 2048
    heads_q: int = 32
    heads_k: int = 8
    head_dim: int = 128
    rotary_dim: int = 128
    rotary_offset: int = 0
    batch: int = 1
    first_position: int = 0
    shuffled: bool = False
    cold: bool = False
    label: str = ""
    weight: float = 1.0
    detailed: bool = False
    compiled: bool = False

    @property
    def pairing(self) -> str:
        return "interleaved" if self.interleaved else "split"

    @property
    def column(self) -> str:
        return self.label or f"{DTYPES[self.dtype]} {self.pairing}"

    @property
    def id(self) -> str:
        offset = f"+{self.rotary_offset}" if self.rotary_offset else ""
        heads = f"h{self.heads_q}:{self.heads_k}-d{self.head_dim}-r{self.rotary_dim}{offset}"
        batch = f"-b{self.batch}" if self.batch > 1 else ""
        extra = "-shuffled" * self.shuffled + "-cold" * self.cold
        return f"{DTYPES[self.dtype]}-{self.pairing}-t{self.tokens}-{heads}{batch}{extra}"

    @property
    def all_tokens(self) -> int:
        return self.batch * self.tokens

    @property
    def is_partial(self) -> bool:
        return self.rotary_dim < self.head_dim

    @property
    def table_rows(self) -> int:
        if self.shuffled:
            return RANDOM_ROWS
        return max(TABLE_ROWS, self.first_position + self.tokens)

    @property
    def data_bytes(self) -> int:
        """What a rotation in place reads and writes of q and k; positions and table not counted."""
        components = self.all_tokens * (self.heads_q + self.heads_k) * self.rotary_dim
        return 2 * components * self.dtype.itemsize

    @property
    def set_bytes(self) -> int:
        """One set of q and k."""
        components = self.all_tokens * (self.heads_q + self.heads_k) * self.head_dim
        return components * self.dtype.itemsize

    def num_sets(self, cache_bytes: int) -> int:
        if not self.cold:
            return 1
        wanted = min(COLD_FACTOR * cache_bytes, MOST_COLD_BYTES)
        return max(2, math.ceil(wanted / self.set_bytes))


Columns = tuple[tuple[torch.dtype, bool], ...]
SPLIT: Columns = tuple((dtype, False) for dtype in DTYPES)
ALL: Columns = tuple((dtype, interleaved) for dtype in DTYPES for interleaved in (False, True))
WIDE_AND_NARROW: Columns = ((torch.float32, False), (torch.bfloat16, False))
MAIN = "2048 tokens, 32 + 8 heads of 128"
PARTIAL = f"{MAIN}, 32 rotated"
ONE_TOKEN = "1 token (decode), 32 + 8 heads of 128"
BY_TOKENS = "bfloat16, half-split, 32 + 8 heads of 128, by tokens"


def _group(title: str, columns: Columns, **shape: Any) -> list[Case]:
    return [Case(title, dtype, interleaved, **shape) for dtype, interleaved in columns]


def _by_tokens(title: str, tokens: tuple[int, ...], **shape: Any) -> list[Case]:
    """1 and 2048 tokens in the caches have groups of their own."""
    return [
        Case(title, torch.bfloat16, False, count, label=f"{count}", **shape) for count in tokens
    ]


def all_cases() -> list[Case]:
    """Llama-3-8B's heads, and what differs from them in one respect each."""
    latent = {"heads_q": 16, "heads_k": 16, "head_dim": 192, "rotary_dim": 64, "rotary_offset": 128}
    interleaved = ((torch.float32, True), (torch.bfloat16, True))
    one = {"tokens": 1, "first_position": 2048, "weight": 0.5}
    cases = [
        *_group(MAIN, ALL, weight=4.0, detailed=True),
        *_group("the same, out of every cache", SPLIT, cold=True, weight=2.0),
        *_group("the same, positions at random below 131072", WIDE_AND_NARROW, shuffled=True),
        *_group(PARTIAL, ALL, rotary_dim=32, weight=2.0),
        *_group("2048 tokens, 32 + 8 heads of 64", ALL, head_dim=64, rotary_dim=64),
        *_group("2048 tokens, 16 + 16 heads of 192, the last 64 rotated", interleaved, **latent),
        *_group(ONE_TOKEN, ALL, **one),
        *_decode((8, 32, 128)),
        *_by_tokens(BY_TOKENS, (16, 128, 512, 8192, 32768, 131072)),
        *_by_tokens(f"{BY_TOKENS}, out of every cache", (512, 8192), cold=True),
    ]
    return [replace(case, compiled=_is_compiled(case)) for case in cases]


def _decode(batches: tuple[int, ...]) -> list[Case]:
    title = "1 token of several sequences, bfloat16, half-split, 32 + 8 heads of 128, by sequences"
    shape = {"tokens": 1, "weight": 0.5}
    return [Case(title, torch.bfloat16, False, batch=n, label=f"{n}", **shape) for n in batches]


def _is_compiled(case: Case) -> bool:
    """Every dtype and pairing once, the curve, and what torch.compile may be good at."""
    if case.group in (MAIN, BY_TOKENS):
        return True
    return case.group in (PARTIAL, ONE_TOKEN) and (case.dtype, case.interleaved) in WIDE_AND_NARROW
