"""The rotating operators in what torch.onnx.export(dynamo=True) writes: RotaryEmbedding, or less.

The exporter replaces operators that ONNX has not by others; the lines at the end have it replace
these first, called through torch.ops or through a function of torch_rope. Angles are computed from
an exact integer phase, as the kernels do it, so nothing is lost at long range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.onnx import ops as onnx_ops
from torch.onnx._internal.exporter import _fx_passes
from torch.utils._python_dispatch import _disable_current_modes

from torch_rope._library import native, ops

__all__ = ["decompositions"]

# Of one unit of a phase, which counts a turn in 2^64 steps.
_RADIANS = 2 * math.pi * 2.0**-64


class _Call:
    """The keywords of one call, with the tensor that it rotates."""

    def __init__(self, op: str, x: Tensor, pos: Tensor | None, keywords: Mapping[str, Any]) -> None:
        self.op = op
        self.pos = pos
        self.inv_freq: Tensor | None = keywords.get("inv_freq")
        self.base: float = keywords.get("base", 10000.0)
        self.factor: float = keywords.get("attention_factor", 1.0)
        self.interleaved: bool = keywords.get("interleaved", False)
        self.inverse: bool = keywords.get("inverse", False)
        self.layout: str = "thd" if x.dim() == 3 else keywords.get("layout", "bshd")
        self.offsets: Tensor | None = keywords.get("offsets")
        self.skip_negative: bool = keywords.get("skip_negative", False)
        self.cos: Tensor | None = keywords.get("cos")
        self.sin: Tensor | None = keywords.get("sin")
        if keywords.get("cos_sin") is not None:
            self.cos, self.sin = keywords["cos_sin"].chunk(2, dim=-1)
        offset: int = keywords.get("rotary_offset", 0)
        self.start = offset if offset >= 0 else x.shape[-1] + offset
        self.width: int = keywords.get("rotary_dim", 0) or self._width(x)
        self.cu_seqlens: Tensor | None = keywords.get("cu_seqlens")

    def _width(self, x: Tensor) -> int:
        source = self.inv_freq if self.cos is None else self.cos
        return x.shape[-1] - self.start if source is None else 2 * source.shape[-1]

    def refuse(self, rule: str) -> None:
        raise RuntimeError(f"{self.op}: {rule}")

    # Layouts, each to (B, H, S, D) as ONNX has it, and back.
    _TO: Mapping[str, Callable[[Tensor], Tensor]] = {
        "bshd": lambda x: x.transpose(1, 2),
        "bhsd": lambda x: x,
        "sbhd": lambda x: x.permute(1, 2, 0, 3),
        "thd": lambda x: x.transpose(0, 1).unsqueeze(0),
    }
    _FROM: Mapping[str, Callable[[Tensor], Tensor]] = {
        "bshd": lambda x: x.transpose(1, 2),
        "bhsd": lambda x: x,
        "sbhd": lambda x: x.permute(2, 0, 1, 3),
        "thd": lambda x: x.squeeze(0).transpose(0, 1),
    }

    def to_bhsd(self, x: Tensor) -> Tensor:
        return self._TO[self.layout](x)

    def from_bhsd(self, x: Tensor) -> Tensor:
        return self._FROM[self.layout](x)


def _turns(call: _Call) -> Tensor:
    """int64 (A, n), or (A, H, n)."""
    turns = call.inv_freq
    if turns is None:
        with _disable_current_modes():  # Numbers, not something to be traced.
            inv_freq, _ = native.schedules_default(call.width, call.base)
            made = ops.turns(inv_freq)[None]
        constant: Tensor = torch.ops.aten.lift_fresh_copy.default(made)
        return constant
    if turns.dtype != torch.int64:
        call.refuse(
            "inv_freq must be int64 turns to be exported to ONNX, which cannot make them exactly,"
            f" got {str(turns.dtype).removeprefix('torch.')}; keep torch_rope.turns(inv_freq)"
        )
    return turns[None] if turns.dim() == 1 else turns


def _counted(call: _Call, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
    """Positions from the start of each sequence (1, S), and what is added to them."""
    offsets = None if call.offsets is None else call.offsets.to(torch.int64)
    if call.cu_seqlens is None:
        return tokens[None], None if offsets is None else offsets[:, None]
    starts = call.cu_seqlens.to(torch.int64)
    # A token's sequence is the last that starts no later; empty ones start where the next does.
    sequence = (starts[None, :-1] <= tokens[:, None]).to(torch.int64).sum(dim=-1) - 1
    own = None if offsets is None else offsets.index_select(0, sequence)[None]
    return (tokens - starts.index_select(0, sequence))[None], own


def _positions(call: _Call, heads: Tensor) -> tuple[list[Tensor], Tensor | None]:
    """int64 (B or 1, S) on each axis, and which tokens are skipped, in the same shape."""
    counted, offsets = _counted(call, torch.arange(heads.shape[2], device=heads.device))
    axes = [counted]
    if call.pos is not None:
        pos = call.pos.to(torch.int64)
        has_axes = call.inv_freq is not None and call.inv_freq.dim() > 1 and len(call.inv_freq) > 1
        axes = list(pos.unbind(0)) if has_axes else [pos]
        axes = [own if own.dim() == 2 else own[None] for own in axes]
    skipped = axes[0] < 0 if call.skip_negative and call.pos is not None else None
    if offsets is not None:
        axes = [own + offsets for own in axes]
    return axes, skipped


def _computed(call: _Call, axes: list[Tensor]) -> tuple[Tensor, Tensor]:
    """cos and sin, float32 (B or 1, S, n), or (B or 1, S, H, n)."""
    turns = _turns(call).to(axes[0].device)
    phase: Tensor | None = None
    for pos, own in zip(axes, turns.unbind(0), strict=True):
        product = pos.reshape(*pos.shape, *(1,) * own.dim()) * own  # modulo 2^64
        phase = product if phase is None else phase + product
    assert phase is not None
    angle = phase.to(torch.float64) * _RADIANS
    cos, sin = (f(angle).to(torch.float32) * call.factor for f in (torch.cos, torch.sin))
    return cos, sin


def _looked_up(table: Tensor, pos: Tensor, elsewhere: Tensor) -> Tensor:
    """Rows of a table by position (B or 1, S); elsewhere where it has none."""
    rows = table.shape[0]
    found = torch.nn.functional.embedding(pos.clamp(0, rows - 1), table.to(torch.float32))
    return torch.where(((pos >= 0) & (pos < rows))[..., None], found, elsewhere)


def _angles(call: _Call, axes: list[Tensor]) -> tuple[Tensor, Tensor]:
    if call.cos is None or call.sin is None:
        return _computed(call, axes)
    if call.cos.dim() > 2:
        return call.cos.to(torch.float32), call.sin.to(torch.float32)
    if call.inv_freq is None:
        nan = torch.full((), float("nan"), device=axes[0].device)
        cos, sin = nan, nan
    else:
        cos, sin = _computed(call, axes)
    return _looked_up(call.cos, axes[0], cos), _looked_up(call.sin, axes[0], sin)


def _rotated_plainly(call: _Call, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """By products and sums: before opset 23, and where each head has its angles."""
    cos, sin = (t.transpose(1, 2) if t.dim() == 4 else t[:, None] for t in (cos, sin))
    a, b = (x[..., ::2], x[..., 1::2]) if call.interleaved else x.chunk(2, dim=-1)
    pair = (a * cos - b * sin, a * sin + b * cos)
    return torch.stack(pair, dim=-1).flatten(-2) if call.interleaved else torch.cat(pair, dim=-1)


def _for_each_sequence(tensor: Tensor, x: Tensor) -> Tensor:
    return tensor.expand(x.shape[0], *tensor.shape[1:]) if tensor.shape[0] == 1 else tensor


def _rotated(call: _Call, x: Tensor, axes: list[Tensor], has_node: bool) -> Tensor:
    """Of x (B, H, S, rotated components), float32."""
    is_table = call.cos is not None and call.cos.dim() == 2 and call.inv_freq is None
    if has_node and is_table and call.cos is not None and call.sin is not None:
        cos, sin = call.cos.to(torch.float32), call.sin.to(torch.float32)
        position_ids = _for_each_sequence(axes[0], x)
        sin = -sin if call.inverse else sin
        return onnx_ops.rotary_embedding(x, cos, sin, position_ids, interleaved=call.interleaved)
    cos, sin = _angles(call, axes)
    sin = -sin if call.inverse else sin
    if cos.dim() == 4 or not has_node:
        return _rotated_plainly(call, x, cos, sin)
    cos, sin = _for_each_sequence(cos, x), _for_each_sequence(sin, x)
    return onnx_ops.rotary_embedding(x, cos, sin, interleaved=call.interleaved)


def _rotate(call: _Call, x: Tensor, has_node: bool) -> Tensor:
    heads = call.to_bhsd(x)
    axes, skipped = _positions(call, heads)
    end = call.start + call.width
    given = heads[..., call.start : end].to(torch.float32)
    # In float32 and rounded once, as in the kernels; ONNX would take cos and sin in 16 bits.
    part = _rotated(call, given, axes, has_node)
    if skipped is not None:
        part = torch.where(skipped[:, None, :, None], given, part)
    part = part.to(x.dtype)
    parts = [heads[..., : call.start], part, heads[..., end:]]
    whole = torch.cat([p for p in parts if p.shape[-1] > 0], dim=-1)
    return call.from_bhsd(whole)


def decompositions(opset: int = 23) -> dict[Any, Callable[..., Any]]:
    """The operators by what ONNX has in an opset, which has RotaryEmbedding from 23 on.

    For torch.export.ExportedProgram.run_decompositions; torch.onnx.export calls it by itself.
    """
    has_node = opset >= 23

    def rotate(x: Tensor, pos: Tensor | None = None, **keywords: Any) -> Tensor:
        return _rotate(_Call("rope::rotate", x, pos, keywords), x, has_node)

    def rotate_qk(
        q: Tensor, k: Tensor, pos: Tensor | None = None, **keywords: Any
    ) -> tuple[Tensor, Tensor]:
        q_call, k_call = (_Call("rope::rotate_qk", x, pos, keywords) for x in (q, k))
        return _rotate(q_call, q, has_node), _rotate(k_call, k, has_node)

    return {ops.rotate.default: rotate, ops.rotate_qk.default: rotate_qk}


def _refuse_written(target: Any) -> None:
    """ONNX has no operators that write; the exporter would speak of torch's inner ones."""
    if target in (ops.apply.default, ops.apply_qkv.default, ops.rerotate.default):
        raise RuntimeError(
            f"{target.name()}: what writes in place cannot be exported to ONNX; use rope::rotate_qk"
        )


_decompose = _fx_passes.decompose_with_registry


def _decompose_with_ours(program: torch.export.ExportedProgram, registry: Any) -> Any:
    table = decompositions(registry.opset_version)
    targets = {node.target for node in program.graph.nodes}
    for target in targets:
        _refuse_written(target)
    if targets & table.keys():
        program = program.run_decompositions(table)
    return _decompose(program, registry)


_passes: Any = _fx_passes
_passes.decompose_with_registry = _decompose_with_ours
