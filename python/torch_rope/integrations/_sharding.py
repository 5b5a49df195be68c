"""What a rotation of DTensors may leave where it is: pure rules, without a process group.

Tokens and heads are rotated one by one, so that any shard of batches, tokens or heads is rotated
alone, if what belongs to its tokens and heads is sharded as it is. head_dim is never sharded:
pairs lie across it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from torch import Tensor
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.placement_types import Placement

__all__ = ["Axis", "Call", "placements_of"]

Placements = tuple[Placement, ...]


class Axis(Enum):
    """What one dimension of a mesh shards: nothing, or an axis that all tensors of a call share."""

    NONE = "none"
    BATCH = "batch"
    TOKENS = "tokens"
    HEADS = "heads"


# Which dimension of an argument lies along an axis; those that it lacks it is replicated on.
Dims = Mapping[Axis, int]

_LAYOUTS: dict[str, Dims] = {
    "bshd": {Axis.BATCH: 0, Axis.TOKENS: 1, Axis.HEADS: 2},
    "bhsd": {Axis.BATCH: 0, Axis.TOKENS: 2, Axis.HEADS: 1},
    "sbhd": {Axis.BATCH: 1, Axis.TOKENS: 0, Axis.HEADS: 2},
}
_RAGGED: Dims = {Axis.TOKENS: 0, Axis.HEADS: 1}
# The frequencies that tell how many axes positions have; the first that is given counts.
_FREQUENCIES_OF = {
    "pos": ("inv_freq",),
    "old_pos": ("old_inv_freq",),
    "new_pos": ("new_inv_freq", "old_inv_freq"),
}
_TABLES = ("cos_sin", "cos", "sin")


@dataclass(frozen=True)
class Call:
    """The tensors of a call that passed the operator's checks, by name, with global extents."""

    rotated: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    layout: str
    has_packed_heads: bool = False

    @property
    def is_ragged(self) -> bool:
        return self.tensors[self.rotated[0]].dim() == 3

    @property
    def has_rows_of_tokens(self) -> bool:
        return any(self.tensors[name].dim() > 2 for name in _TABLES if name in self.tensors)

    @property
    def has_angles_of_heads(self) -> bool:
        return any(Axis.HEADS in self.dims(name) for name in self.tensors.keys() - self.rotated)

    def dims(self, name: str) -> Dims:
        """Where the argument's axes are; none for one that is not given."""
        if name not in self.tensors:
            return {}
        tensor = self.tensors[name]
        if name in self.rotated:
            dims = dict(_RAGGED if self.is_ragged else _LAYOUTS[self.layout])
            if self.has_packed_heads:  # A shard would not know whose heads it has.
                del dims[Axis.HEADS]
            return dims
        if name in _FREQUENCIES_OF:
            return self._dims_of_positions(name, tensor)
        if name in _TABLES:
            return self._dims_of_rows(tensor) if tensor.dim() > 2 else {}
        if name == "offsets":
            return {} if self.is_ragged else {Axis.BATCH: 0}
        if name.endswith("inv_freq"):
            return {Axis.HEADS: 1} if tensor.dim() == 3 else {}
        return {}

    def _dims_of_positions(self, name: str, pos: Tensor) -> Dims:
        given = (self.tensors[own] for own in _FREQUENCIES_OF[name] if own in self.tensors)
        inv_freq = next(given, None)
        has_axes = inv_freq is not None and inv_freq.dim() > 1 and inv_freq.shape[0] > 1
        batch = pos.dim() - 2
        if batch < int(has_axes) or pos.shape[batch] == 1:
            return {Axis.TOKENS: pos.dim() - 1}
        return {Axis.BATCH: batch, Axis.TOKENS: pos.dim() - 1}

    def _dims_of_rows(self, rows: Tensor) -> Dims:
        dims = {Axis.TOKENS: 1}
        if rows.shape[0] != 1:
            dims[Axis.BATCH] = 0
        if rows.dim() == 4:
            dims[Axis.HEADS] = 2
        return dims


def _axis_of(placement: Placement, dims: Dims, call: Call) -> Axis:
    """What a rotated tensor's placement shards, if it can stay; else NONE."""
    if type(placement) is not Shard:
        return Axis.NONE
    axis = next((own for own, dim in dims.items() if dim == placement.dim), Axis.NONE)
    # Where a sequence begins is told by cu_seqlens for all tokens together.
    return Axis.NONE if axis is Axis.TOKENS and "cu_seqlens" in call.tensors else axis


def _on_one_mesh_dim(call: Call, own: Sequence[Axis]) -> tuple[Axis, list[Axis]]:
    """What a mesh dimension shards of the call, and of each rotated tensor, from what it does."""
    chosen = next((axis for axis in own if axis is not Axis.NONE), Axis.NONE)
    if chosen is Axis.HEADS and not call.has_angles_of_heads:
        # q's heads and k's have nothing in common: either may be whole.
        return chosen, [axis if axis in (Axis.HEADS, Axis.NONE) else chosen for axis in own]
    return chosen, [chosen] * len(own)


def _placed(axis: Axis, dims: Dims) -> Placement:
    return Shard(dims[axis]) if axis in dims else Replicate()


def placements_of(call: Call, given: Sequence[Placements]) -> dict[str, Placements]:
    """Where each tensor of the call must be, from where the rotated ones are.

    On each dimension of the mesh the first rotated tensor that is sharded along batches, tokens or
    heads stays as it is, and everything else goes along. What cannot stay is replicated: pieces of
    head_dim, partial sums (a sum is rotated with one rounding, its parts with one each), and tokens
    beside cu_seqlens.
    """
    placed: dict[str, list[Placement]] = {name: [] for name in call.tensors}
    for on_dim in zip(*given, strict=True):
        own = [
            _axis_of(placement, call.dims(name), call)
            for name, placement in zip(call.rotated, on_dim, strict=True)
        ]
        chosen, of_rotated = _on_one_mesh_dim(call, own)
        axes = dict(zip(call.rotated, of_rotated, strict=True))
        for name, placements in placed.items():
            placements.append(_placed(axes.get(name, chosen), call.dims(name)))
    return {name: tuple(placements) for name, placements in placed.items()}
