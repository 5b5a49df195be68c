"""Lets Inductor rotate in place what nobody reads again, where `rotate` or `rotate_qk` was written.

Inductor's re-inplacing pass decides whether an argument is read again and knows this of its own
operators only. What is registered here makes such a call the kernel of `apply` on the argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, fx
from torch._inductor import ir, lowering
from torch._inductor.fx_passes.reinplace import InplaceableOp, inplaceable_ops
from torch._inductor.fx_utils import get_node_storage
from torch._inductor.virtualized import V
from torch.fx.experimental.symbolic_shapes import statically_known_true, sym_eq
from torch.utils import _pytree as pytree

from torch_rope._library import ops

__all__: list[str] = []

# Where Inductor keeps the arguments' strides as the operator's checks accepted them.
_EAGER = "eager_input_vals"
# AOTInductor of torch 2.11 loses count of integers that are left out: the call fails, and the
# program goes on without it. So none is left out.
_DEFAULTS = {
    one.name: one.default_value for one in ops.apply.default._schema.arguments if one.kwarg_only
}


def _storages(nodes: Sequence[Any]) -> list[int]:
    found = [get_node_storage(node) for node in nodes if isinstance(node, fx.Node)]
    return [storage for storage in found if storage is not None]


def _strides_agree(tensors: Sequence[Tensor]) -> bool:
    first = tensors[0].stride()
    return all(statically_known_true(sym_eq(first, other.stride())) for other in tensors[1:])


def _may_be_overwritten(node: fx.Node, count: int) -> bool:
    """Whether the first `count` arguments of node can hold its results.

    Beside what Inductor's pass asks: whether they are read again, or overlap themselves.
    """
    rotated: Sequence[Any] = node.args[:count]
    if _EAGER not in node.meta or not all(isinstance(x, fx.Node) for x in rotated):
        return False
    own = _storages(rotated)
    others = _storages(pytree.tree_leaves((node.args[count:], node.kwargs)))
    # The pass lets an input be overwritten that is assigned to later, and then returns what was
    # assigned.
    graph_inputs = [n for n in node.graph.nodes if n.op in ("placeholder", "get_attr")]
    if len(set(own)) < count or set(own) & {*others, *_storages(graph_inputs)}:
        return False
    # Results are dense: with their strides an argument is so too.
    results = node.meta["val"] if count > 1 else [node.meta["val"]]
    eager = node.meta[_EAGER][0][:count]
    return all(
        _strides_agree([result, was, x.meta["val"]])
        for result, was, x in zip(results, eager, rotated, strict=True)
    )


def _lower(args: Sequence[Any], keywords: dict[str, Any], count: int) -> list[Any]:
    """Adds the kernel of `apply` to Inductor's program; returns the tensors that it overwrites."""
    constrain: Any = lowering.constrain_to_fake_tensors  # torch leaves it untyped
    args, keywords = constrain(args, keywords, *V.graph.current_node.meta[_EAGER])
    # In memory of their own before the kernel sees them, which otherwise overwrites a copy.
    rotated = [ir.TensorBox(ir.ExternKernel.realize_input(x)) for x in args[:count]]
    q, k = rotated if count > 1 else (rotated[0], None)
    ir.FallbackKernel.create(ops.apply.default, q, k, *args[count:], **{**_DEFAULTS, **keywords})
    return rotated


# Functions and not operators, so that the call keeps its place, arguments and results in the graph.
def _rotate_in_place(*args: Any, **keywords: Any) -> Any:
    return _lower(args, keywords, 1)[0]


def _rotate_qk_in_place(*args: Any, **keywords: Any) -> Any:
    return tuple(_lower(args, keywords, 2))


def _register(functional: Any, in_place: Any, count: int) -> None:
    # Has Inductor call it with its own representation of tensors.
    in_place._inductor_lowering_function = True
    inplaceable_ops[functional] = InplaceableOp(
        in_place, tuple(range(count)), partial(_may_be_overwritten, count=count)
    )


_register(ops.rotate.default, _rotate_in_place, 1)
_register(ops.rotate_qk.default, _rotate_qk_in_place, 2)
