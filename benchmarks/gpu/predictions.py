"""What a run on a GPU should show, written down before there was one: a small model whose constants
each have an origin, the figures that others published, and the goals. bench.py prints them beside
what it measures; python -m benchmarks.gpu.predictions_page --write makes benchmarks/PREDICTIONS.md
of them, and a test keeps that current. Whoever learns better writes it into the results, not here:
a prediction that follows its measurement is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.gpu.cases import DECODED_TOKENS, Case
from benchmarks.gpu.provider import CEILING, FLOOR, OURS


@dataclass(frozen=True)
class Device:
    """dram, l2: bytes read and written a second. l2_bytes: of the cache. lanes: instructions of
    single threads a second, all multiprocessors together. published: in nvidia-smi's name."""

    name: str
    published: str
    dram: float
    l2: float
    l2_bytes: int
    lanes: float


# 132 multiprocessors of 128 lanes at 1.7 GHz, between the 1.98 GHz that nvidia-smi tells as the
# most and what is left of it under load.
HOPPER_LANES = 132 * 128 * 1.7e9
# 2,048 tokens that lie in L2, 41.9 MB read and written, took SGLang 7.18 µs (PUBLISHED), of which a
# launch without dependent launch and the first wave take 1.75: 7.7 TB/s. Both devices have that
# cache; they differ in their memory.
HOPPER_L2 = 7.7e12
DEVICES = {
    # What an in-place copy was seen to reach on these devices: performance.md of this project's
    # design, "The limit"; 92 and 90 per cent of the memory's 4.8 and 3.35 TB/s.
    "H200": Device("H200", "NVIDIA H200", 4.3e12, HOPPER_L2, 50 << 20, HOPPER_LANES),
    "H100": Device("H100", "NVIDIA H100", 3.0e12, HOPPER_L2, 50 << 20, HOPPER_LANES),
}
# µs a graph node: with programmatic dependent launch, as SGLang's kernel shows for one token, and
# without, 1.4 to 1.5 as FlashInfer's shows.
LAUNCH_DEPENDENT, LAUNCH = 1.05, 1.45
# µs from the first block's load to the last one's, where a grid fills the machine: a latency of L2
# (some 270 cycles) and the start of the blocks.
FIRST_WAVE = 0.3
# µs more, where data comes from memory and not from L2: a latency of some 1,000 cycles.
MEMORY_LATENCY = 0.5
# Below that a grid does not fill the machine, and one latency is part of what a launch takes.
WAVE_TOKENS = 128
# Tokens up to which kernels are dependent launches: four waves of threads that take 5 heads each
# (kernels/plan.cpp), for 40 heads of 128 in 16-byte vectors.
DEPENDENT_TOKENS = 4 * 132 * 2048 // 64
# Instructions that make one phase, and its cosine and sine: 5 times what computed angles need more
# than a table per 64 bytes, over 8 pairs (docs/machine-code.md, sm_90, 5 heads a thread).
ANGLE_INSTRUCTIONS = 60
MOST_HEADS_A_THREAD = 5
TABLE_COMPONENT_BYTES = 4
SECTOR_BYTES = 32  # the least that memory moves


def device_of(name: str | None) -> Device | None:
    """Of torch's name of a device."""
    return next((d for d in DEVICES.values() if d.published in (name or "")), None)


def launch_of(case: Case, dependent: bool) -> float:
    return LAUNCH_DEPENDENT if dependent and case.tokens <= DEPENDENT_TOKENS else LAUNCH


def angle_seconds(case: Case, device: Device) -> float:
    """Of computing the angles, each once for the heads that share a thread."""
    heads = case.heads_q + case.heads_k
    threads = -(-heads // MOST_HEADS_A_THREAD)
    if case.tokens <= DECODED_TOKENS:
        threads = heads
    pairs = case.tokens * threads * case.rotary_dim / 2
    return pairs * ANGLE_INSTRUCTIONS / device.lanes


def moved_bytes(case: Case) -> int:
    """Of q, k and positions, with the sectors that a head's rotated part is in."""
    part = case.rotary_dim * case.dtype.itemsize
    return case.counted_bytes + case.rotated_bytes // part * 2 * (-part % SECTOR_BYTES)


def predicted_us(case: Case, mode: str, provider: str, kind: str, device: Device) -> float | None:
    """Of a graph node; None for what the model says nothing about: others, and the wall clock.

    A launch, a first wave, and the longest of three things that overlap: the bytes, the table's
    rows out of L2, the angles.
    """
    if mode == "wall" or kind not in (OURS, CEILING, FLOOR) or provider.startswith("new"):
        return None
    if kind == FLOOR:
        return LAUNCH_DEPENDENT if provider == "floor-pdl" else LAUNCH
    in_cache = mode in ("hot", "chain")
    fixed = launch_of(case, dependent=kind != CEILING)
    fixed += FIRST_WAVE if case.tokens >= WAVE_TOKENS else 0.0
    fixed += 0.0 if in_cache else MEMORY_LATENCY
    # `repeat` too is all from memory: of a set that does not fit, the lines that come next are
    # those that went.
    rate = device.l2 if in_cache else device.dram
    if kind == CEILING:
        return fixed + case.counted_bytes / rate * 1e6
    data = moved_bytes(case) / rate
    if "computed" in provider:
        return fixed + max(data, angle_seconds(case, device)) * 1e6
    table = case.tokens * case.rotary_dim * TABLE_COMPONENT_BYTES
    return fixed + max(data, (moved_bytes(case) + table) / device.l2) * 1e6


# µs; bfloat16, 32 + 8 heads of 128 (one token: 8 + 1), graph replay on one set of q and k. From
# SGLang's pull request 18844, which names no device: probably an H200.
PUBLISHED = {
    "FlashInfer": {1: 1.47, 128: 1.93, 512: 3.46, 2048: 8.58, 8192: 46.2, 32768: 178.9},
    "SGLang": {1: 1.05, 128: 1.95, 512: 3.95, 2048: 7.18, 8192: 43.5, 32768: 167.0},
    "vLLM": {512: 4.97, 2048: 15.4, 8192: 74.3, 32768: 285.9},
}
# What this library wants to reach there, on an H200.
GOALS = {1: 1.05, 128: 1.75, 512: 2.9, 2048: 6.9, 8192: 41.7, 32768: 164.0}


def goal_case(tokens: int) -> Case:
    return Case(tokens, heads_q=8, heads_k=1) if tokens == 1 else Case(tokens)


def goal_of(case: Case) -> float | None:
    """Of its mode `hot`, or `repeat` where L2 cannot hold it."""
    goal = GOALS.get(case.tokens)
    return goal if goal is not None and goal_case(case.tokens) == case else None


def mode_of_goal(case: Case, cache_bytes: int) -> str:
    return "hot" if 2 * case.rotated_bytes <= cache_bytes else "repeat"
