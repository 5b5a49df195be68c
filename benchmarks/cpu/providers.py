"""Who rotates: the limit, torch_rope, and other implementations where they are installed.

For runner.py and the test. A provider prepares one call for each set of buffers of a workload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from benchmarks.cpu import instruction_sets, onnx_runtime, other_peers, ours, peers
from benchmarks.cpu.agreement import Expected, verify
from benchmarks.cpu.call import Call, Missing, reason_of
from benchmarks.cpu.cases import Case
from benchmarks.cpu.workload import Workload

LIMIT, APPLY, NEW, BACKWARD = "limit", "apply_table", "rotate_qk_table", "rotate_qk_backward"
# Beyond: seconds a call, or gigabytes beside q and k.
MOST_TOKENS, FEWER_TOKENS = 32768, 8192


class Kind(Enum):
    LIMIT = "limit"  # leaves q and k as they are
    OURS = "ours"
    PEER = "peer"


@dataclass(frozen=True)
class Provider:
    """name: in result files. about: what one call does. prepare: one call for each set of the
    workload, or Missing with the reason why this provider cannot serve it. sees: the workload as
    this provider gets it. rivals: what of ours a peer is held against. angle_roundings: as
    agreement.verify takes them. most_tokens: in larger cases it is left out."""

    name: str
    about: str
    kind: Kind
    prepare: Callable[[Workload], list[Call]]
    serves: Callable[[Case], bool] = lambda case: True
    sees: Callable[[Workload], Workload] = lambda work: work
    expected: Expected = Expected.ROTATED
    rivals: tuple[str, ...] = ()
    angle_roundings: int = 0
    most_tokens: int | None = None


def _is_partial(case: Case) -> bool:
    return case.is_partial


def _is_detailed(case: Case) -> bool:
    return case.detailed


def _is_compiled(case: Case) -> bool:
    return case.compiled


def _is_hot(case: Case) -> bool:
    return not case.cold


def _ours_on(name: str) -> list[Provider]:
    kernels = f"with the kernels for {name}"
    return [
        Provider(
            f"apply_{kind}@{name}",
            f"apply_{kind} {kernels}",
            Kind.OURS,
            partial(ours.apply_on, name=name, table=kind == "table"),
            _is_detailed,
        )
        for kind in ("table", "computed")
    ]


LIMITS = [
    Provider(
        LIMIT,
        "what is rotated, moved and not rotated: mul_(1.0) in place in float32, copy_ to other "
        "tensors in the 16-bit types",
        Kind.LIMIT,
        ours.limit,
        expected=Expected.UNCHANGED,
    ),
    Provider(
        "limit_whole_heads",
        "the same for all components of the heads, where only some are rotated",
        Kind.LIMIT,
        ours.limit,
        _is_partial,
        Workload.of_whole_heads,
        Expected.UNCHANGED,
    ),
]

OURS = [
    Provider(
        APPLY,
        "torch_rope.apply, in place, float32 table",
        Kind.OURS,
        partial(ours.apply, table=True),
    ),
    Provider(
        "apply_computed",
        "torch_rope.apply, in place, angles computed from frequencies in turns",
        Kind.OURS,
        partial(ours.apply, table=False),
    ),
    Provider(
        "apply_table_whole",
        "apply_table of all components of the heads, where only some are rotated",
        Kind.OURS,
        partial(ours.apply, table=True),
        _is_partial,
        Workload.of_whole_heads,
    ),
    Provider(
        NEW,
        "torch_rope.rotate_qk, new tensors, float32 table",
        Kind.OURS,
        partial(ours.rotate_qk, table=True),
    ),
    Provider(
        "rotate_qk_computed",
        "torch_rope.rotate_qk, new tensors, angles computed from frequencies in turns",
        Kind.OURS,
        partial(ours.rotate_qk, table=False),
        _is_detailed,
    ),
    Provider(
        BACKWARD,
        "the backward pass of rotate_qk_table alone, by torch.autograd.grad",
        Kind.OURS,
        ours.rotate_qk_backward,
        _is_detailed,
        expected=Expected.ROTATED_BACK,
    ),
    *(provider for name in instruction_sets.NAMES for provider in _ours_on(name)),
]

PEERS = [
    Provider(
        "transformers",
        "transformers' apply_rotary_pos_emb (Llama's; GPT-NeoX's where only a part is rotated; "
        "GLM's for interleaved pairs), new tensors, cos and sin of the tokens given in q's type",
        Kind.PEER,
        peers.eager,
        rivals=(APPLY, NEW),
        most_tokens=MOST_TOKENS,
    ),
    Provider(
        "transformers_backward",
        "the backward pass of the same function alone",
        Kind.PEER,
        peers.eager_backward,
        _is_detailed,
        expected=Expected.ROTATED_BACK,
        rivals=(BACKWARD,),
    ),
    Provider(
        "torch_compile",
        "torch.compile of the same function, new tensors",
        Kind.PEER,
        peers.compiled,
        _is_compiled,
        rivals=(APPLY, NEW),
        most_tokens=MOST_TOKENS,
    ),
    Provider(
        "torch_compile_in_place",
        "torch.compile of the same function and of copying its results back into q and k",
        Kind.PEER,
        peers.compiled_in_place,
        _is_compiled,
        rivals=(APPLY,),
    ),
    Provider(
        "onnxruntime",
        "ONNX Runtime's com.microsoft RotaryEmbedding, q and k in one session, bound to given "
        "outputs, caches of cos and sin in q's type",
        Kind.PEER,
        onnx_runtime.rotary_embedding,
        rivals=(APPLY,),
        most_tokens=MOST_TOKENS,
    ),
    Provider(
        "mlx",
        "mlx's fast.rope on its CPU, of its own arrays (B, H, S, D), new arrays, evaluated; it "
        "makes cos and sin in each call",
        Kind.PEER,
        other_peers.mlx,
        _is_hot,
        rivals=(APPLY, NEW),
        angle_roundings=other_peers.MLX_ANGLE_ROUNDINGS,
        most_tokens=FEWER_TOKENS,
    ),
    Provider(
        "rotary_embedding_torch",
        "rotary-embedding-torch's apply_rotary_emb, new tensors, its float32 angles ready-made; it "
        "makes cos and sin in each call",
        Kind.PEER,
        other_peers.rotary_embedding_torch,
        _is_hot,
        rivals=(APPLY, NEW),
        angle_roundings=other_peers.ROTARY_EMBEDDING_ANGLE_ROUNDINGS,
        most_tokens=MOST_TOKENS,
    ),
]

PROVIDERS = [*LIMITS, *OURS, *PEERS]


def providers_for(case: Case) -> list[Provider]:
    return [provider for provider in PROVIDERS if provider.serves(case)]


def prepare(provider: Provider, work: Workload) -> list[Call]:
    """The provider's calls, each made once and the first one's result checked. Missing where a peer
    cannot serve this workload or serves it wrongly; the limit and torch_rope have to."""
    if provider.most_tokens is not None and work.case.all_tokens > provider.most_tokens:
        raise Missing(f"left out beyond {provider.most_tokens} tokens: its time and memory")
    try:
        work.reset()
        seen = provider.sees(work)
        calls = provider.prepare(seen)
        with calls[0].setting():
            for call in calls:
                call.run()
        verify(calls[0], seen, provider.expected, provider.angle_roundings)
    except Missing:
        raise
    except Exception as error:
        if provider.kind is not Kind.PEER:
            raise
        raise Missing(reason_of(error)) from error
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
