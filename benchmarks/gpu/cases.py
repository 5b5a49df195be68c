"""What is measured: the cases, and the tensors of one case that all providers share.
For bench.py, providers.py and the test; a case's id is its name on the screen and in bench.json.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

import torch_rope

BASE = 500000.0
DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
# Cold calls go round among sets of q and k that are together so many times the L2 cache …
COLD_FACTOR = 2
# … or among so many, where q and k are small; the cache is then emptied before each replay.
MOST_SETS = 512
# A replay is some 500 µs of work at 3 TB/s, so that a graph's own start is a small part of it.
REPLAY_BYTES = 1.5e9
FEWEST_CALLS = 4
# The launches of a chain: so many that the start of its graph, some 10 µs, is 5 ns of each.
CHAIN_CALLS = 2048
# Few tokens are decoding, far from position 0, where a rotation is none and shows no mistake.
DECODED_TOKENS, FIRST_DECODED = 64, 4096
# What random positions are drawn from: the longest context that is measured, 64 MB of table.
RANDOM_ROWS = 131072


@dataclass(frozen=True)
class Case:
    """q and k are (1, tokens, heads, head_dim), at positions 0 … tokens − 1, or from FIRST_DECODED
    on; packed: slices of a (1, tokens, heads_q + 2 heads_k, head_dim) projection; shuffled: random
    positions below RANDOM_ROWS. head_dim_k: where k's differs. rotary_offset: as torch_rope's.
    backward: the gradient's way back. chain: many launches on one set in one graph, and nothing
    else. everybody: False for this library and the ceiling alone."""

    tokens: int
    dtype: torch.dtype = torch.bfloat16
    heads_q: int = 32
    heads_k: int = 8
    head_dim: int = 128
    rotary_dim: int = 128
    interleaved: bool = False
    packed: bool = False
    shuffled: bool = False
    head_dim_k: int = 0
    rotary_offset: int = 0
    backward: bool = False
    chain: bool = False
    everybody: bool = True

    @property
    def id(self) -> str:
        pairing = "interleaved" if self.interleaved else "split"
        dims = f"{self.head_dim}" + f":{self.head_dim_k}" * bool(self.head_dim_k)
        offset = f"-o{self.rotary_offset}" * bool(self.rotary_offset)
        heads = f"h{self.heads_q}:{self.heads_k}-d{dims}-r{self.rotary_dim}{offset}"
        flags = ("packed", "shuffled", "backward", "chain")
        extra = "".join(f"-{flag}" for flag in flags if getattr(self, flag))
        return f"{DTYPES[self.dtype]}-{pairing}-t{self.tokens}-{heads}{extra}"

    @property
    def rotated_bytes(self) -> int:
        """Of q and k, once."""
        components = self.tokens * (self.heads_q + self.heads_k) * self.rotary_dim
        return components * self.dtype.itemsize

    @property
    def counted_bytes(self) -> int:
        """What every provider is credited with: the rotated components read and written once, and
        8 bytes of position a token. Tables, and what a provider moves besides, are not counted."""
        return 2 * self.rotated_bytes + 8 * self.tokens

    @property
    def first_position(self) -> int:
        return FIRST_DECODED if self.tokens <= DECODED_TOKENS else 0

    def first_component(self, head_dim: int) -> int:
        """Of those that are rotated."""
        return self.rotary_offset % head_dim if self.rotary_offset else 0

    def num_sets(self, cache_bytes: int) -> int:
        if self.chain:
            return 1
        return min(max(2, math.ceil(COLD_FACTOR * cache_bytes / self.rotated_bytes)), MOST_SETS)

    def num_calls(self, sets: int) -> int:
        """Of one replay: whole rounds of the sets."""
        if self.chain:
            return CHAIN_CALLS
        wanted = math.ceil(REPLAY_BYTES / self.counted_bytes)
        return sets * math.ceil(max(FEWEST_CALLS, min(wanted, MOST_SETS)) / sets)

    def facts(self) -> dict[str, Any]:
        return {**asdict(self), "dtype": DTYPES[self.dtype], "counted_bytes": self.counted_bytes}


LLAMA = {"heads_q": 32, "heads_k": 8}
SHARD = {"heads_q": 8, "heads_k": 1}  # of a Llama-3-70B on eight GPUs
MLA = {"heads_q": 128, "heads_k": 1, "head_dim": 192, "head_dim_k": 64, "rotary_dim": 64}
NEOX = {"heads_q": 64, "heads_k": 64, "head_dim": 96, "rotary_dim": 24}
ANGLE_HEADS = {1: (1, 0), 5: (4, 1), 40: (32, 8)}  # heads in all: those of q, of k


def all_cases() -> list[Case]:
    """The most wanted first, since time may run out: what others have published figures for, the
    rest of the curve over tokens, what differs from Llama-3-8B in one respect, other models."""
    curve = (32768, 512, 1, 32, 8, 64, 131072)
    return [
        *(Case(tokens, **LLAMA) for tokens in (8192, 128, 2048)),
        Case(1, **SHARD),
        Case(1, **SHARD, chain=True),
        *(Case(tokens, **LLAMA) for tokens in curve),
        Case(8192, interleaved=True),
        Case(8192, backward=True),
        Case(8192, shuffled=True),
        Case(8192, rotary_dim=64),
        Case(128, **MLA, rotary_offset=-64, interleaved=True),
        Case(8192, **NEOX),
        *angle_cases(),
        Case(8192, dtype=torch.float32),
        Case(8192, dtype=torch.float16),
        Case(8192, packed=True),
        Case(8192, **SHARD),
        Case(8192, **MLA, rotary_offset=-64, interleaved=True),
        Case(1, **MLA, rotary_offset=-64, interleaved=True),
        Case(1, **NEOX, everybody=False),
        Case(8192, rotary_dim=32, interleaved=True, everybody=False),
        Case(1, interleaved=True, everybody=False),
        Case(64, shuffled=True, everybody=False),
        Case(32768, shuffled=True, everybody=False),
        Case(2048, backward=True),
    ]


def angle_cases() -> list[Case]:
    """The table's rows against angles computed in the kernel: at 1, 5 and 40 heads that share an
    angle, where there are few tokens and where there are many. The Llama cases have the rest."""
    few = {name: heads for name, heads in ANGLE_HEADS.items() if heads != (32, 8)}
    return [
        Case(tokens, heads_q=heads_q, heads_k=heads_k, everybody=False)
        for tokens in (8192, 64, 131072)
        for heads_q, heads_k in few.values()
    ]


def tiny_cases() -> list[Case]:
    """Each kind once, for a CPU to rehearse on."""
    small = {"heads_q": 4, "heads_k": 2, "head_dim": 32, "rotary_dim": 32}
    return [
        Case(16, **small),
        Case(16, **small, dtype=torch.float32, interleaved=True, shuffled=True),
        Case(16, **{**small, "rotary_dim": 16}, dtype=torch.float16),
        Case(1, **small, packed=True),
        Case(1, **small, chain=True),
        Case(16, **small, backward=True),
        Case(3, **{**small, "head_dim": 48, "heads_k": 1}, head_dim_k=32, rotary_offset=-32),
        Case(3, **{**small, "heads_q": 1, "heads_k": 0}, everybody=False),
    ]


@dataclass(frozen=True)
class Pair:
    """Queries and keys, (1, S, H, D)."""

    q: Tensor
    k: Tensor

    def clone(self) -> Pair:
        return Pair(self.q.clone(), self.k.clone())


class Workload:
    """A case's tensors on a device. sets: q and k for providers that write in place. plain_sets:
    the same number of bytes without gaps, rotated ones only; `sets` themselves where they have
    none. pos: (S,) int64. turns: (n,) int64. table: (rows, 2n) float32, a row for each position up
    to the last. cos, sin: (1, S, 2n) in q's type, the table's rows as transformers' models hand
    them to their layers: halves doubled, or elements repeated for interleaved pairs."""

    def __init__(self, case: Case, device: torch.device, num_sets: int) -> None:
        self.case, self.device = case, device
        generator = torch.Generator(device).manual_seed(0)

        def random(*extents: int) -> Tensor:
            return torch.randn(extents, generator=generator, device=device, dtype=case.dtype)

        tokens, dim = case.tokens, case.head_dim
        dim_k = case.head_dim_k or dim
        q_end, k_end = case.heads_q, case.heads_q + case.heads_k
        if case.packed:
            packed = random(num_sets, 1, tokens, k_end + case.heads_k, dim)
            self.sets = [Pair(x[:, :, :q_end], x[:, :, q_end:k_end]) for x in packed]
        else:
            pools = (
                random(num_sets, 1, tokens, q_end, dim),
                random(num_sets, 1, tokens, k_end - q_end, dim_k),
            )
            self.sets = [Pair(q, k) for q, k in zip(*pools, strict=True)]
        self.plain_sets = self.sets
        if case.packed or not case.rotary_dim == dim == dim_k:
            heads, rotated = (q_end, k_end - q_end), case.rotary_dim
            q_pool, k_pool = (random(num_sets, 1, tokens, number, rotated) for number in heads)
            self.plain_sets = [Pair(q, k) for q, k in zip(q_pool, k_pool, strict=True)]
        schedule = torch_rope.schedules.default(dim=case.rotary_dim, base=BASE)
        self.inv_freq = schedule.inv_freq.to(device)
        self.turns = schedule.kwargs(device)["inv_freq"]
        first = case.first_position
        self.table = schedule.table(RANDOM_ROWS if case.shuffled else first + tokens, device)
        self.pos = torch.arange(first, first + tokens, device=device)
        if case.shuffled:
            self.pos = torch.randperm(RANDOM_ROWS, generator=generator, device=device)[:tokens]
        cos, sin = self.table[self.pos].to(case.dtype).chunk(2, dim=-1)
        self.cos, self.sin = self._doubled(cos), self._doubled(sin)

    def rotated_views(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """(tokens, heads, …) views of what a rotary_offset leaves: engines keep it apart."""
        q, k = (x[0, :, :, self.case.first_component(x.shape[-1]) :] for x in (pair.q, pair.k))
        return q, k

    def _doubled(self, rows: Tensor) -> Tensor:
        if self.case.interleaved:
            return rows.repeat_interleave(2, dim=-1)[None]
        return torch.cat((rows, rows), dim=-1)[None]
