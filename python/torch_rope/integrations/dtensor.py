"""The rotating operators on DTensors: each rank rotates its own shard.

torch's tables of sharding rules serve operators whose tensors are all DTensors and given by
position: by keyword they would stay where they are, and plain ones be refused. So the operators
are handled here whole. What may be sharded how is in _sharding.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor._dtensor_spec import DTensorSpec, TensorMeta

from torch_rope._library import ops
from torch_rope.integrations._sharding import Axis, Call, Placements, placements_of

__all__: list[str] = []

_ROTATED = {
    ops.apply.default: ("q", "k"),
    ops.rotate.default: ("x",),
    ops.rotate_qk.default: ("q", "k"),
    ops.apply_qkv.default: ("qkv",),
    ops.rerotate.default: ("k",),
}


def _call_of(op: Any, named: Mapping[str, Any]) -> Call:
    return Call(
        rotated=tuple(name for name in _ROTATED[op] if named.get(name) is not None),
        tensors={name: value for name, value in named.items() if isinstance(value, Tensor)},
        layout=named.get("layout", "bshd"),
        has_packed_heads=op is ops.apply_qkv.default,
    )


def _mesh_of(op: Any, call: Call) -> DeviceMesh:
    """The mesh that all DTensors of a call are on, the rotated ones among them."""
    meshes = {
        name: tensor.device_mesh
        for name, tensor in call.tensors.items()
        if isinstance(tensor, DTensor)
    }
    sharded, mesh = next(iter(meshes.items()))
    for name in call.rotated:
        if name not in meshes:
            raise RuntimeError(
                f"{op.name()}: {name} must be a DTensor, as {sharded} is, got a plain tensor; make"
                " it one (DTensor.from_local), or give the local tensors of all DTensors"
            )
    for name, other in meshes.items():
        if other != mesh:
            raise RuntimeError(
                f"{op.name()}: {name} must be on the device mesh of {sharded}, {mesh}, got {other}"
            )
    return mesh


def _check_learned(op: Any, call: Call) -> None:
    """The gradient to frequencies is made of torch's own operators, which want DTensors alone."""
    inv_freq = call.tensors.get("inv_freq")
    if inv_freq is None or not (inv_freq.requires_grad and torch.is_grad_enabled()):
        return
    got = "cu_seqlens" if "cu_seqlens" in call.tensors else None
    for name in ("inv_freq", "pos", *(["offsets"] if "offsets" in call.tensors else [])):
        if not isinstance(call.tensors.get(name), DTensor):
            got = f"a plain {name}" if name in call.tensors else f"no {name}"
    if got is not None:
        raise RuntimeError(
            f"{op.name()}: to learn inv_freq beside DTensors, give it, pos and offsets as DTensors,"
            f" without cu_seqlens, got {got}; or rotate local tensors"
            " (torch.distributed.tensor.experimental.local_map)"
        )


def _check_stays(op: Any, call: Call, required: Mapping[str, Placements]) -> None:
    """What is written must be a tensor's own shards, not copies of them."""
    written = {argument.name for argument in op._schema.arguments if argument.is_write}
    for name in call.rotated:
        tensor: Any = call.tensors[name]
        if name in written and tensor.placements != required[name]:
            raise RuntimeError(
                f"{op.name()}: {name} must be placed as {required[name]} to be written in place,"
                f" got {tensor.placements}; redistribute it before, or call the operator on local"
                " tensors (torch.distributed.tensor.experimental.local_map)"
            )


class _Plan(NamedTuple):
    """What is to be done for calls that differ in values, or in the mesh, alone."""

    mesh: DeviceMesh
    required: Mapping[str, Placements]
    counted: int | None  # how many tokens need to be told their positions
    results: Any  # as the operator returns them, specs instead of tensors


def _placements(call: Call) -> dict[str, Placements]:
    rotated: list[Any] = [call.tensors[name] for name in call.rotated]
    return placements_of(call, [tensor.placements for tensor in rotated])


def _counted_tokens(call: Call, required: Mapping[str, Placements]) -> int | None:
    """The sequence's length where a shard would count its own tokens from 0."""
    first = call.rotated[0]
    dim = call.dims(first)[Axis.TOKENS]
    is_told = "pos" in call.tensors or "old_pos" in call.tensors or call.has_rows_of_tokens
    if is_told or not any(placement.is_shard(dim) for placement in required[first]):
        return None
    return call.tensors[first].shape[dim]


def _whole_results(op: Any, named: Mapping[str, Any]) -> Any:
    """Meta tensors of global extents, after the operator's own checks of the whole arguments."""
    native: Any = torch._C
    with native._DisableTorchDispatch():  # No tracer is to see this.
        return op(
            **{
                name: torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")
                if isinstance(x, Tensor)
                else x
                for name, x in named.items()
            }
        )


def _plan(op: Any, call: Call, named: Mapping[str, Any], mesh: DeviceMesh) -> _Plan:
    whole = _whole_results(op, named)
    required = _placements(call)
    _check_stays(op, call, required)

    def spec_of(meta: Tensor, name: str) -> DTensorSpec:
        metadata = TensorMeta(meta.shape, meta.stride(), meta.dtype)
        return DTensorSpec(mesh, required[name], tensor_meta=metadata)

    results: Any = None
    if isinstance(whole, Tensor):
        results = spec_of(whole, *call.rotated)
    elif whole is not None:
        results = tuple(map(spec_of, whole, call.rotated))
    return _Plan(mesh, required, _counted_tokens(call, required), results)


_plans: dict[Any, _Plan] = {}
_MOST_PLANS = 1024  # a few for each sequence length of a program that serves many


def _key(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    placements = value.placements if isinstance(value, DTensor) else None
    return value.shape, value.stride(), value.dtype, value.device, placements


def _on(mesh: DeviceMesh, plan: _Plan) -> _Plan:
    """A plan for calls that are alike but for their mesh, on this one."""
    results = plan.results
    if isinstance(results, tuple):
        results = tuple(replace(spec, mesh=mesh) for spec in results)
    elif results is not None:
        results = replace(results, mesh=mesh)
    return plan._replace(mesh=mesh, results=results)


def _kept_plan(op: Any, call: Call, named: Mapping[str, Any], mesh: DeviceMesh) -> _Plan:
    key = (op, *((name, _key(value)) for name, value in named.items()))
    try:
        plan = _plans.get(key)
    except TypeError:  # Symbolic extents cannot be hashed.
        return _plan(op, call, named, mesh)
    if plan is not None and plan.mesh is mesh:
        return plan
    plan = _plan(op, call, named, mesh) if plan is None else _on(mesh, plan)
    if len(_plans) >= _MOST_PLANS:
        _plans.clear()
    _plans[key] = plan
    return plan


def _local(tensor: Any, mesh: DeviceMesh, placements: Placements) -> Tensor:
    """This rank's part of a tensor; a plain one is the same on all ranks."""
    if not isinstance(tensor, DTensor):
        if all(placement.is_replicate() for placement in placements):
            return tensor  # type: ignore[no-any-return]
        whole = [Replicate()] * mesh.ndim
        tensor = DTensor.from_local(tensor, mesh, whole, run_check=False)
    if tensor.placements != placements:
        # Detached, because some versions cannot redistribute what requires grad down here.
        tensor = tensor.detach().redistribute(placements=placements)
    return tensor.to_local()  # type: ignore[no-any-return]


def _counted_positions(tokens: int, call: Call, plan: _Plan) -> Tensor:
    """The positions that the operator would count, of this rank's tokens."""
    first = call.rotated[0]
    dim = call.dims(first)[Axis.TOKENS]
    along = [placement.is_shard(dim) for placement in plan.required[first]]
    pos = torch.arange(tokens, device=call.tensors[first].device)
    placements = tuple(Shard(0) if is_sharded else Replicate() for is_sharded in along)
    return _local(pos, plan.mesh, placements)


def _run(op: Any, call: Call, named: Mapping[str, Any], plan: _Plan) -> Any:
    if plan.mesh.get_coordinate() is not None:
        return op(**named)
    # A rank outside the mesh has empty tensors for its parts, and gets them back.
    parts = tuple(named[name] for name in call.rotated)
    return parts if isinstance(plan.results, tuple) else parts[0]


def _rotate(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What torch calls in place of an operator that was given a DTensor."""
    named = dict(zip((argument.name for argument in op._schema.arguments), args, strict=False))
    named.update(kwargs)
    call = _call_of(op, named)
    mesh = _mesh_of(op, call)
    _check_learned(op, call)
    # Autograd has been here already, and is not to see what happens to shards.
    with torch.no_grad():
        plan = _kept_plan(op, call, named, mesh)
        for name, tensor in call.tensors.items():
            named[name] = _local(tensor, mesh, plan.required[name])
        if plan.counted is not None:
            named["pos"] = _counted_positions(plan.counted, call, plan)
        if plan.results is None:
            _run(op, call, named, plan)
            return None
        return DTensor._op_dispatcher.wrap(_run(op, call, named, plan), plan.results)


DTensor._op_dispatcher._custom_op_handlers.update(dict.fromkeys(_ROTATED, _rotate))
