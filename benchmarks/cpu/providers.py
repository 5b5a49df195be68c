"""Who rotates: the limit (moving the same bytes without a rotation), torch_rope, and peers.py.

For runner.py and the test. A provider prepares one call for each set of buffers of a workload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch

import torch_rope
from benchmarks.cpu import peers
from benchmarks.cpu.agreement import verify
from benchmarks.cpu.call import Call, Missing, from_pair
from benchmarks.cpu.cases import Case, Pair, Workload


class Kind(Enum):
    LIMIT = "limit"  # leaves q and k as they are
    OURS = "ours"
    PEER = "peer"


@dataclass(frozen=True)
class Provider:
    """name: in result files. about: what one call does. prepare: one call for each set of the
    workload, or Missing with the reason why this provider cannot serve it."""

    name: str
    about: str
    kind: Kind
    prepare: Callable[[Workload], list[Call]]
    serves: Callable[[Case], bool] = lambda case: True


def _rotated(pair: Pair, width: int) -> Pair:
    return Pair(pair.q[..., :width], pair.k[..., :width])


def _limit(work: Workload, width: int) -> list[Call]:
    if work.case.dtype == torch.float32:
        return [_scale(pair, _rotated(pair, width)) for pair in work.sets]
    return [_copy(pair, pair.clone(), width) for pair in work.sets]


def _scale(pair: Pair, part: Pair) -> Call:
    def run() -> None:
        part.q.mul_(1.0)
        part.k.mul_(1.0)

    return Call(run, lambda: pair)


def _copy(source: Pair, target: Pair, width: int) -> Call:
    read, written = _rotated(source, width), _rotated(target, width)

    def run() -> None:
        written.q.copy_(read.q)
        written.k.copy_(read.k)

    return Call(run, lambda: target)


def _apply(work: Workload, **angles: torch.Tensor) -> list[Call]:
    keywords = {"interleaved": work.case.interleaved, **angles}

    def call(pair: Pair) -> Call:
        return Call(lambda: torch_rope.apply(pair.q, pair.k, work.pos, **keywords), lambda: pair)

    return [call(pair) for pair in work.sets]


def _rotate_qk(work: Workload) -> list[Call]:
    keywords = {"interleaved": work.case.interleaved, "cos_sin": work.table}
    return [
        from_pair(lambda pair=pair: torch_rope.rotate_qk(pair.q, pair.k, work.pos, **keywords))
        for pair in work.sets
    ]


LIMIT, APPLY = "limit", "apply_table"

PROVIDERS = [
    Provider(
        LIMIT,
        "what is rotated, moved and not rotated: mul_(1.0) in place in float32, copy_ to other "
        "tensors in the 16-bit types",
        Kind.LIMIT,
        lambda work: _limit(work, work.case.rotary_dim),
    ),
    Provider(
        "limit_whole_heads",
        "the same for all components of the heads, where only some are rotated",
        Kind.LIMIT,
        lambda work: _limit(work, work.case.head_dim),
        lambda case: case.rotary_dim < case.head_dim,
    ),
    Provider(
        APPLY,
        "torch_rope.apply, in place, float32 table",
        Kind.OURS,
        lambda work: _apply(work, cos_sin=work.table),
    ),
    Provider(
        "apply_computed",
        "torch_rope.apply, in place, angles computed from frequencies in turns",
        Kind.OURS,
        lambda work: _apply(work, inv_freq=work.turns),
    ),
    Provider(
        "rotate_qk_table",
        "torch_rope.rotate_qk, new tensors, float32 table",
        Kind.OURS,
        _rotate_qk,
    ),
    Provider(
        "transformers",
        "transformers' apply_rotary_pos_emb (Llama's; GPT-NeoX's where only a part is rotated; "
        "GLM's for interleaved pairs), new tensors, cos and sin of the tokens given in q's type",
        Kind.PEER,
        peers.transformers_eager,
    ),
    Provider(
        "torch_compile",
        "torch.compile of the same function, new tensors",
        Kind.PEER,
        peers.compiled,
    ),
    Provider(
        "torch_compile_in_place",
        "torch.compile of the same function and of copying its results back into q and k",
        Kind.PEER,
        peers.compiled_in_place,
    ),
    Provider(
        "onnxruntime",
        "ONNX Runtime's com.microsoft RotaryEmbedding, q and k in one session, bound to given "
        "outputs, caches of cos and sin in q's type",
        Kind.PEER,
        peers.onnxruntime,
    ),
]


def providers_for(case: Case) -> list[Provider]:
    return [provider for provider in PROVIDERS if provider.serves(case)]


def prepare(provider: Provider, work: Workload) -> list[Call]:
    """The provider's calls, each made once and the first one's result checked. Missing where a peer
    cannot serve this workload or serves it wrongly; the limit and torch_rope have to."""
    try:
        calls = provider.prepare(work)
        for call in calls:
            call.run()
        verify(calls[0], work, exact=provider.kind is Kind.LIMIT)
    except Missing:
        raise
    except Exception as error:
        if provider.kind is not Kind.PEER:
            raise
        reason = str(error).strip().partition("\n")[0][:200]
        raise Missing(f"{type(error).__name__}: {reason}") from error
    return calls


def prepare_all(work: Workload) -> tuple[dict[str, list[Call]], dict[str, str]]:
    """name → calls, and name → why there are none."""
    peers.forget_compiled()
    ready, missing = {}, {}
    for provider in providers_for(work.case):
        try:
            ready[provider.name] = prepare(provider, work)
        except Missing as reason:
            missing[provider.name] = str(reason)
    work.reset()
    return ready, missing
