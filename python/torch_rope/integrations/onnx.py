"""What torch.onnx.export(dynamo=True) makes of the operators: translations in torch's own registry.

Whatever is in the graph is translated: torch.ops.rope.*, the functions and RotaryEmbedding, from a
module or from an exported program. Below opset 23 there is no RotaryEmbedding node, and rotations
become plain products. docs/onnx.md says what the nodes are and how exact.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy

from torch_rope import schedules
from torch_rope._library import ops
from torch_rope.integrations import _onnx_nodes as nodes
from torch_rope.integrations._onnx_nodes import Angles, Part

__all__: list[str] = []

# What torch registers its own translations with; by name, so that mypy does not follow it.
_registry: Any = importlib.import_module(
    "torch.onnx._internal.exporter._torchlib._torchlib_registry"
)
_PLAIN_OPSET, _ROTARY_OPSET = 18, 23
_INT64 = 7  # TensorProto.DataType


def _opset(version: int) -> Any:
    return getattr(importlib.import_module("onnxscript.onnx_opset"), f"opset{version}")


class _Call:
    """One rotating call while it is translated: its arguments, and what several of them decide."""

    def __init__(self, name: str, opset: int, x: Any, pos: Any, keywords: dict[str, Any]) -> None:
        self.op = _opset(opset)
        self.has_op = opset >= _ROTARY_OPSET
        self.name, self.x, self.pos, self.keywords = name, x, pos, keywords
        self.layout = "thd" if len(x.shape) == 3 else keywords.get("layout", "bshd")
        self.inv_freq = keywords.get("inv_freq")
        self.num_axes = 1
        if self.inv_freq is not None and len(self.inv_freq.shape) > 1:
            self.num_axes = self.static(self.inv_freq.shape[0], "the number of axes")

    def static(self, extent: Any, what: str) -> int:
        if not isinstance(extent, int):
            raise RuntimeError(
                f"rope::{self.name}: {what} must be static to be exported to ONNX, got {extent}"
            )
        return extent

    def dim(self, name: str) -> int | None:
        """Which dimension of the tensors is "b", "s" or "h"; None: there is no such one."""
        index = self.layout.replace("t", "s").find(name)
        return None if index < 0 else index

    def tokens(self) -> Any:
        """Returns 0 ... S - 1 as int64."""
        index = self.dim("s")
        assert index is not None
        count = self.op.Squeeze(self.op.Shape(self.x, start=index, end=index + 1), [0])
        zero, one = (nodes.constant(self.op, value, numpy.int64) for value in (0, 1))
        return self.op.Range(zero, count, one)

    def of_all_batches(self, value: Any, rank: int, batches: Any = None) -> Any:
        """Returns (1 or B, ...) as (B, ...); batches: its first extent, where that is known."""
        index = self.dim("b")
        if index is None or (batches is not None and batches == self.x.shape[index]):
            return value
        batch = self.op.Shape(self.x, start=index, end=index + 1)
        ones = nodes.constant(self.op, [1] * (rank - 1), numpy.int64)
        return self.op.Expand(value, self.op.Concat(batch, ones, axis=0))

    def part_of(self, x: Any) -> Part:
        head_dim = self.static(x.shape[-1], "head_dim")
        start = self.keywords.get("rotary_offset", 0)
        start += head_dim if start < 0 else 0
        num_heads = x.shape[self.dim("h")]
        return Part(
            head_dim=head_dim,
            start=start,
            rotary_dim=self._width() or head_dim - start,
            interleaved=self.keywords.get("interleaved", False),
            num_heads=num_heads if isinstance(num_heads, int) else None,
        )

    def _width(self) -> int:
        """The rotated components as the frequencies or the table have them; 0: neither."""
        if self.keywords.get("rotary_dim", 0):
            return int(self.keywords["rotary_dim"])
        for name, components in (("inv_freq", 2), ("cos", 2), ("cos_sin", 1)):
            given = self.keywords.get(name)
            if given is not None:
                return components * self.static(given.shape[-1], f"the width of {name}")
        return 0


class _Positions:
    """The positions of every axis, (1 or B, S) int64, and the first axis's without offsets."""

    def __init__(self, call: _Call) -> None:
        op, pos = call.op, call.pos
        starts, offsets = call.keywords.get("cu_seqlens"), call.keywords.get("offsets")
        tokens = call.tokens() if pos is None or starts is not None else None
        self.rank = 1 if pos is None else len(pos.shape) - (call.num_axes > 1)
        self.batches = 1 if self.rank == 1 else pos.shape[-2]
        if starts is not None:
            starts = op.Cast(starts, to=_INT64)
            # A token's sequence is the last that starts no later; empty ones end before it.
            begun = op.LessOrEqual(starts, op.Unsqueeze(tokens, [-1]))
            count = op.ReduceSum(op.Cast(begun, to=_INT64), [-1], keepdims=0)
            sequence = op.Sub(count, nodes.constant(op, 1, numpy.int64))
            tokens = op.Sub(tokens, op.Gather(starts, sequence, axis=0))
        self.given = self._given(call, tokens)
        self.all = self.given
        if offsets is not None:
            offsets = op.Cast(offsets, to=_INT64)
            if starts is not None:
                offsets = op.Unsqueeze(op.Gather(offsets, sequence, axis=0), [0])
            else:
                offsets = op.Unsqueeze(offsets, [-1])
                self.batches = call.keywords["offsets"].shape[0]
            self.all = [op.Add(given, offsets) for given in self.given]

    def _given(self, call: _Call, tokens: Any) -> list[Any]:
        op, pos = call.op, call.pos
        if pos is None:
            return [op.Unsqueeze(tokens, [0])]
        axes = [op.Cast(pos, to=_INT64)]
        if call.num_axes > 1:
            indices = (nodes.constant(op, axis, numpy.int64) for axis in range(call.num_axes))
            axes = [op.Gather(axes[0], index, axis=0) for index in indices]
        return axes if self.rank == 2 else [op.Unsqueeze(axis, [0]) for axis in axes]


def _computed(call: _Call, positions: _Positions, rotary_dim: int) -> Angles:
    op, words = call.op, call.inv_freq
    extents: tuple[int, ...] = (call.num_axes, rotary_dim // 2)
    if words is None:
        schedule = schedules.default(dim=rotary_dim, base=call.keywords.get("base", 10000.0))
        words = nodes.constant(op, schedule.kwargs()["inv_freq"].numpy(), numpy.int64)
    else:
        if len(words.shape) == 3:
            extents = (call.num_axes, -1, rotary_dim // 2)
        words = words if words.dtype == _INT64 else nodes.turns(op, words)
    phases = nodes.phases(op, positions.all, words, extents)
    cos, sin = nodes.sines(op, phases, call.keywords.get("attention_factor", 1.0))
    return Angles(cos, sin, per_head=len(extents) == 3)


def _table(call: _Call) -> tuple[Angles | None, Sequence[Any]]:
    """Returns the given table as float32, or None, and its extents."""
    op, keywords = call.op, call.keywords
    if keywords.get("cos_sin") is not None:
        both, extents = nodes.to_float32(op, keywords["cos_sin"]), keywords["cos_sin"].shape
        half = call.static(extents[-1], "the width of cos_sin") // 2
        # Not Split, which no optimizer folds into constants.
        cos = op.Slice(both, [0], [half], [-1])
        sin = op.Slice(both, [half], [2 * half], [-1])
    elif keywords.get("cos") is not None:
        cos, sin = (nodes.to_float32(op, keywords[name]) for name in ("cos", "sin"))
        extents = keywords["cos"].shape
    else:
        return None, ()
    return Angles(cos, sin, per_head=len(extents) == 4), extents


def _angles(call: _Call, positions: _Positions, rotary_dim: int) -> Angles:
    """Returns the angles as a rotation takes them: of all batches, negated for an inverse."""
    angles, extents = _table(call)
    batches = positions.batches
    if angles is None:
        angles = _computed(call, positions, rotary_dim)
    elif len(extents) > 2:
        batches = extents[0]
    else:
        (angles.rows,) = positions.all
        if call.inv_freq is not None:
            angles = nodes.row_angles(call.op, angles, _computed(call, positions, rotary_dim))
        elif not call.has_op:
            angles = nodes.row_angles(call.op, angles, None)
    if angles.rows is not None:
        angles.rows = call.of_all_batches(angles.rows, 2, batches)
    else:
        rank = 4 if angles.per_head else 3
        angles.cos = call.of_all_batches(angles.cos, rank, batches)
        angles.sin = call.of_all_batches(angles.sin, rank, batches)
    if call.keywords.get("inverse", False):
        angles.sin = call.op.Neg(angles.sin)
    return angles


def _rotate(name: str, opset: int, tensors: list[Any], pos: Any, keywords: Any) -> list[Any]:
    call = _Call(name, opset, tensors[0], pos, keywords)
    op = call.op
    parts = [call.part_of(x) for x in tensors]
    positions = _Positions(call)
    angles = _angles(call, positions, parts[0].rotary_dim)
    results = []
    for x, part in zip(tensors, parts, strict=True):
        heads = nodes.to_float32(op, nodes.to_bhsd(op, x, call.layout))
        result = nodes.rotated(op, heads, angles, part, call.has_op)
        if keywords.get("skip_negative", False) and pos is not None:
            negative = op.Less(positions.given[0], nodes.constant(op, 0, numpy.int64))
            result = op.Where(op.Unsqueeze(negative, [1, -1]), heads, result)
        results.append(nodes.from_bhsd(op, op.Cast(result, to=int(x.dtype)), call.layout))
    return results


def _cos_sin_table(
    opset: int, inv_freq: Any, rows: Any, start: Any = 0, attention_factor: float = 1.0
) -> Any:
    op = _opset(opset)
    zero, one, rows, start = (
        nodes.constant(op, value, numpy.int64) if isinstance(value, int) else value
        for value in (0, 1, rows, start)
    )
    words = inv_freq if inv_freq.dtype == _INT64 else nodes.turns(op, inv_freq)
    positions = op.Unsqueeze(op.Add(op.Range(zero, rows, one), start), [0])
    phases = nodes.phases(op, [positions], words, (1, -1))
    cos, sin = nodes.sines(op, phases, attention_factor)
    return op.Squeeze(op.Concat(cos, sin, axis=-1), [0])


def _register(opset: int) -> None:
    def rotate(x: Any, pos: Any = None, **keywords: Any) -> Any:
        return _rotate("rotate", opset, [x], pos, keywords)[0]

    def rotate_qk(q: Any, k: Any, pos: Any = None, **keywords: Any) -> Any:
        return _rotate("rotate_qk", opset, [q, k], pos, keywords)

    def cos_sin_table(inv_freq: Any, rows: Any, **keywords: Any) -> Any:
        return _cos_sin_table(opset, inv_freq, rows, **keywords)

    def turns(inv_freq: Any) -> Any:
        return nodes.turns(_opset(opset), inv_freq)

    for operator, translation in {
        ops.rotate.default: rotate,
        ops.rotate_qk.default: rotate_qk,
        ops.cos_sin_table.default: cos_sin_table,
        ops.turns.default: turns,
    }.items():
        _registry.onnx_impl(operator, no_compile=True, opset_introduced=opset)(translation)


for _version in (_PLAIN_OPSET, _ROTARY_OPSET):
    _register(_version)
