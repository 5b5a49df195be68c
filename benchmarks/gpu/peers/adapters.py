"""Others' rotations, called as their users call them: which pairs, which table, in place or not.
For bench.py. Each is looked for where it is installed, then where bring.py puts it; what is not
there is told, with the reason.

All of them get what they need ready-made: tables, angles and views. Those that rotate one tensor
are called twice.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.bring import PEERS, brought
from benchmarks.gpu.cases import Pair, Workload
from benchmarks.gpu.clock import Call
from benchmarks.gpu.facts import package_version
from benchmarks.gpu.peers import built
from benchmarks.gpu.provider import PEER, Provider, forward_or_back, refuse


def tokens_first(pair: Pair) -> tuple[Tensor, Tensor]:
    """(tokens, heads * head_dim) views."""
    return pair.q[0].flatten(1), pair.k[0].flatten(1)


def liger(work: Workload, module: Any) -> list[Call]:
    """In place on contiguous tensors; others are copied. cos and sin as the model's layers get
    them, in q's type; the arithmetic is in that type too."""
    case = work.case
    refuse(case.interleaved or bool(case.rotary_offset), "half-split from the head's start only")

    def rotation(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        q, k = module.LigerRopeFunction.apply(
            q.transpose(1, 2), k.transpose(1, 2), work.cos, work.sin
        )
        return q.transpose(1, 2), k.transpose(1, 2)

    return forward_or_back(work, rotation)


def flash_attn(work: Workload, module: Any) -> list[Call]:
    """In place, one tensor a call; cos and sin (tokens, n) in q's type, row i for token i."""
    case = work.case
    refuse(bool(case.rotary_offset), "from the head's start only")
    refuse(case.backward, "its autograd function is not in this file")
    cos, sin = work.table[work.pos].to(case.dtype).chunk(2, dim=-1)
    cos, sin = cos.contiguous(), sin.contiguous()

    def call(pair: Pair) -> None:
        for x in (pair.q, pair.k):
            module.apply_rotary(x, cos, sin, interleaved=case.interleaved, inplace=True)

    return [partial(call, pair) for pair in work.sets]


def flashinfer(work: Workload, module: Any) -> list[Call]:
    """In place; a float32 table. Its Python face takes flat tensors."""
    case = work.case
    refuse(case.dtype == torch.float32, "16-bit types only")
    refuse(bool(case.rotary_offset), "from the head's start only")
    refuse(case.backward, "in place, without a gradient")

    def call(q: Tensor, k: Tensor) -> None:
        module.apply_rope_with_cos_sin_cache_inplace(
            work.pos, q, k, case.head_dim, work.table, is_neox=not case.interleaved
        )

    return [partial(call, *tokens_first(pair)) for pair in work.sets]


def vllm(work: Workload, module: Any) -> list[Call]:
    """In place; a table in q's type, as its RotaryEmbedding keeps it."""
    case = work.case
    refuse(case.backward, "in place, without a gradient")
    table, dim = work.table.to(case.dtype), case.rotary_dim if case.rotary_offset else case.head_dim

    def call(q: Tensor, k: Tensor) -> None:
        module.rotary_embedding(work.pos, q, k, dim, table, not case.interleaved)

    return [partial(call, *work.rotated_views(pair)) for pair in work.sets]


def sglang(work: Workload, module: Any) -> list[Call]:
    """In place; a float32 table; it is given what is rotated of each head."""
    case = work.case
    refuse(case.dtype == torch.float32, "16-bit types only")
    refuse(case.backward, "in place, without a gradient")

    def call(q: Tensor, k: Tensor) -> None:
        module.apply_rope_inplace(q, k, work.table, work.pos, is_neox=not case.interleaved)

    views = [work.rotated_views(pair) for pair in work.sets]
    return [partial(call, *(x[..., : case.rotary_dim] for x in pair)) for pair in views]


def transformer_engine(work: Workload, module: Any) -> list[Call]:
    """New tensors, one a call; float32 angles (tokens, 1, 1, rotary_dim)."""
    case = work.case
    refuse(bool(case.rotary_offset), "from the head's start only")
    angles = (work.pos.double()[:, None] * work.inv_freq.double()).float()
    doubled = angles.repeat_interleave(2, -1) if case.interleaved else torch.cat((angles,) * 2, -1)
    keywords = {"tensor_format": "bshd", "interleaved": case.interleaved, "fused": True}

    def rotation(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        freqs = doubled[:, None, None]
        q, k = (module.apply_rotary_pos_emb(x, freqs, **keywords) for x in (q, k))
        return q, k

    return forward_or_back(work, rotation)


def apex(work: Workload, module: Any) -> list[Call]:
    """New tensors, one a call, (tokens, 1, heads, head_dim); cos and sin (tokens, 1, 1, R)."""
    case = work.case
    refuse(case.interleaved or bool(case.rotary_offset), "half-split from the head's start only")
    cos, sin = (x[0][:, None, None] for x in (work.cos, work.sin))

    def rotation(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        rotate = module.fused_apply_rotary_pos_emb_cached
        q, k = (rotate(x.transpose(0, 1), cos, sin).transpose(0, 1) for x in (q, k))
        return q, k

    return forward_or_back(work, rotation)


@dataclass(frozen=True)
class Peer:
    """modules: where it is installed, the first one that has `function`. file: of third_party/
    peers/. library: of CMakeLists.txt, which then is called instead of make."""

    make: Callable[[Workload, Any], list[Call]]
    package: str
    function: str
    modules: Sequence[str]
    file: str = ""
    library: str = ""
    in_place: bool = True
    float_angles: bool = False


ALL = {
    "liger": Peer(
        liger,
        "liger-kernel",
        "LigerRopeFunction",
        ["liger_kernel.ops.rope"],
        file="liger/rope.py",
        in_place=False,  # what it returns is judged: in place only where tensors are contiguous
    ),
    "flash_attn": Peer(
        flash_attn,
        "flash-attn",
        "apply_rotary",
        ["flash_attn.ops.triton.rotary"],
        file="flash_attn/rotary.py",
    ),
    "flashinfer": Peer(
        flashinfer,
        "flashinfer-python",
        "apply_rope_with_cos_sin_cache_inplace",
        ["flashinfer.rope"],
        library="rope_peer_flashinfer",
    ),
    "sglang": Peer(
        sglang,
        "sglang",
        "apply_rope_inplace",
        ["sglang.kernels.ops.attention.rope", "sglang.jit_kernel.rope"],
        library="rope_peer_sglang",
    ),
    "vllm": Peer(vllm, "vllm", "rotary_embedding", ["vllm._custom_ops"]),
    "transformer_engine": Peer(
        transformer_engine,
        "transformer-engine",
        "apply_rotary_pos_emb",
        ["transformer_engine.pytorch.attention.rope", "transformer_engine.pytorch.attention"],
        in_place=False,
        float_angles=True,
    ),
    "apex": Peer(
        apex,
        "apex",
        "fused_apply_rotary_pos_emb_cached",
        ["apex.transformer.functional"],
        in_place=False,
    ),
}


def from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"rope_peer_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find(name: str, libraries: Path, peers: Path = PEERS) -> tuple[Provider | None, str]:
    """(the peer, which one it is) or (None, why it is not there). Whatever an import of somebody
    else's code raises is a reason."""
    peer, reasons = ALL[name], []
    provider = partial(
        Provider, name, in_place=peer.in_place, kind=PEER, float_angles=peer.float_angles
    )
    told = brought(peers).get(name, {}).get("version")
    library = libraries / f"lib{peer.library}.so"
    places: list[tuple[str, Callable[[], Any]]] = [
        (f"installed, {package_version(peer.package)}", partial(importlib.import_module, module))
        for module in peer.modules
    ]
    if peer.file and (peers / peer.file).exists():
        places.append((f"brought along, {told}", partial(from_file, peers / peer.file)))
    for how, load in places:
        try:
            module = load()
            getattr(module, peer.function)
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}"[:150])
            continue
        return provider(make=partial(peer.make, module=module), about=how), how
    if peer.library and library.exists():
        try:
            function = built.load(library)
        except (OSError, AttributeError) as error:
            return None, f"{library.name}: {error}"[:300]
        how = f"brought along and compiled, {told}; its kernel, without its Python face"
        make = partial(built.rotation, function=function, whole_heads=name == "flashinfer")
        return provider(make=make, about=how), how
    if peer.library:
        reasons.append(f"{library.name} was not built")
    return None, "; ".join(dict.fromkeys(reasons))


def find_all(libraries: Path) -> tuple[list[Provider], dict[str, str]]:
    """(those that are there, name → which one it is, or why there is none)"""
    found = {name: find(name, libraries) for name in ALL}
    there = [provider for provider, _ in found.values() if provider is not None]
    return there, {name: text for name, (_, text) in found.items()}
