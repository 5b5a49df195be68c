"""DTensors: each rank rotates its own batches or heads, without a word to the others."""

import pytest
import torch
from dtensors import B, D, H, N, S, along, assert_shards, collectives, placed, tensor
from ranks import on_ranks
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_module
from torch.utils._python_dispatch import TorchDispatchMode

import torch_rope

LAYOUTS = ["bshd", "bhsd", "sbhd"]
POS = torch.arange(B * S).view(B, S) * 7


@pytest.mark.parametrize("axis", ["batch", "heads"])
@pytest.mark.parametrize("layout", LAYOUTS)
@on_ranks(4)
def test_rotate(mesh, layout, axis):
    x = tensor(B, S, H, D, layout=layout)
    with collectives(0):
        rotated = torch.ops.rope.rotate(
            placed(x, mesh, along(axis, layout)), POS, layout=layout, base=500.0
        )
    whole = torch.ops.rope.rotate(x, POS, layout=layout, base=500.0)
    assert_shards(rotated, whole, along(axis, layout))


# Where k is, and where it goes with q.
K_WITH = {
    ("batch", "batch"): "batch",
    ("batch", "whole"): "batch",
    ("whole", "batch"): "batch",
    ("heads", "heads"): "heads",
    ("heads", "whole"): "whole",
    ("whole", "heads"): "heads",
}


@pytest.mark.parametrize(("q_axis", "k_axis"), K_WITH)
@on_ranks(2)
def test_rotate_qk(mesh, q_axis, k_axis):
    """A whole k beside sharded heads of q: more ranks than k has heads."""
    q, k = tensor(B, S, H, D), tensor(B, S, 2, D, seed=1)
    with collectives(0):
        own_q, own_k = torch.ops.rope.rotate_qk(
            placed(q, mesh, along(q_axis)), placed(k, mesh, along(k_axis)), POS
        )
    whole_q, whole_k = torch.ops.rope.rotate_qk(q, k, POS)
    k_goes = K_WITH[q_axis, k_axis]
    assert_shards(own_q, whole_q, along("batch" if k_goes == "batch" else q_axis))
    assert_shards(own_k, whole_k, along(k_goes))


@on_ranks(2)
def test_k_follows_q(mesh):
    """What cannot be rotated where it is moves, never q."""
    q, k = tensor(B, S, H, D), tensor(B, S, 2, D, seed=1)
    with collectives(1):
        own_q, own_k = torch.ops.rope.rotate_qk(
            placed(q, mesh, Shard(0)), placed(k, mesh, Shard(2)), POS
        )
    whole_q, whole_k = torch.ops.rope.rotate_qk(q, k, POS)
    assert_shards(own_q, whole_q, Shard(0))
    assert_shards(own_k, whole_k, Shard(0))


UNEVEN = {"batch-5": ("batch", 5, H), "batch-1": ("batch", 1, H), "heads-6": ("heads", B, 6)}


@pytest.mark.parametrize(("axis", "batches", "heads"), UNEVEN.values(), ids=UNEVEN)
@on_ranks(4)
def test_uneven_shards(mesh, axis, batches, heads):
    """Some ranks have less, or nothing."""
    q, k = tensor(batches, S, heads, D), tensor(batches, S, 1, D, seed=1)
    pos = torch.arange(batches * S).view(batches, S)
    offsets = torch.arange(batches) * 10
    with collectives(0):
        own = torch.ops.rope.rotate_qk(
            *(placed(x, mesh, along(axis)) for x in (q, k)), pos, offsets=offsets
        )
    whole = torch.ops.rope.rotate_qk(q, k, pos, offsets=offsets)
    for actual, expected in zip(own, whole, strict=True):
        assert_shards(actual, expected, along(axis))


@pytest.mark.parametrize("k_axis", ["heads", "whole"])
@on_ranks(2, 2)
def test_two_dimensional_mesh(mesh, k_axis):
    """Data parallel in batches, tensor parallel in heads."""
    q, k = tensor(B, S, H, D), tensor(B, S, 2, D, seed=1)
    with collectives(0):
        own_q, own_k = torch.ops.rope.rotate_qk(
            placed(q, mesh, Shard(0), Shard(2)), placed(k, mesh, Shard(0), along(k_axis)), POS
        )
    whole_q, whole_k = torch.ops.rope.rotate_qk(q, k, POS)
    assert_shards(own_q, whole_q, Shard(0), Shard(2))
    assert_shards(own_k, whole_k, Shard(0), along(k_axis))


@on_ranks(2, 2)
def test_both_dimensions_of_a_mesh_shard_batches(mesh):
    x = tensor(B + 1, S, H, D)
    pos = torch.arange((B + 1) * S).view(B + 1, S)
    with collectives(0):
        rotated = torch.ops.rope.rotate(placed(x, mesh, Shard(0), Shard(0)), pos)
    assert_shards(rotated, torch.ops.rope.rotate(x, pos), Shard(0), Shard(0))


@on_ranks(2)
def test_head_dim_is_gathered(mesh):
    x = tensor(B, S, H, D)
    with collectives(1):
        rotated = torch.ops.rope.rotate(placed(x, mesh, Shard(3)), POS)
    assert_shards(rotated, torch.ops.rope.rotate(x, POS), Replicate())


@on_ranks(2)
def test_partial_sums_are_summed_first(mesh):
    """The rotation of the sum has one rounding; a sum of rotations would have more."""
    parts = [tensor(B, S, H, D, seed=seed) for seed in range(2)]
    x = DTensor.from_local(parts[mesh.get_local_rank()], mesh, [Partial()])
    with collectives(1):
        rotated = torch.ops.rope.rotate(x, POS)
    assert_shards(rotated, torch.ops.rope.rotate(parts[0] + parts[1], POS), Replicate())


@on_ranks(2)
def test_calls_of_equal_extents_are_told_apart(mesh):
    """What was decided for one call is kept for calls that are alike in all that it depends on."""
    x, pos = tensor(S, S, S, D), torch.arange(S) * 5
    for keywords in (
        {"layout": "bshd"},
        {"layout": "bhsd"},
        {"layout": "sbhd"},
        {"rotary_dim": 8},
        {"interleaved": True},
        {"cos_sin": torch.ops.rope.cos_sin_table(torch.ones(N), S)},
        {"cos_sin": torch.ops.rope.cos_sin_table(torch.ones(N), S).expand(S, S, D)},
    ):
        own_pos = None if keywords.get("cos_sin", pos).dim() == 3 else pos
        for placement in (Shard(0), Shard(1), Shard(2)):
            rotated = torch.ops.rope.rotate(placed(x, mesh, placement), own_pos, **keywords)
            assert_shards(rotated, torch.ops.rope.rotate(x, own_pos, **keywords), placement)


@on_ranks(4)
def test_meshes_are_told_apart(mesh):
    """Others, and those that are equal: their process groups need not be the same."""
    x = tensor(B, S, H, D)
    meshes = [DeviceMesh("cpu", mesh.mesh.flip(0)), mesh]
    meshes.append(DeviceMesh("cpu", mesh.mesh, mesh_dim_names=mesh.mesh_dim_names))
    assert meshes[2] == mesh
    for own in (*meshes, mesh):
        q, k = (placed(x, own, Shard(0)) for _ in range(2))
        for rotated in (torch.ops.rope.rotate(q, POS), *torch.ops.rope.rotate_qk(q, k, POS)):
            assert rotated.device_mesh is own
            assert_shards(rotated, torch.ops.rope.rotate(x, POS), Shard(0))


@on_ranks(4)
def test_ranks_outside_the_mesh(world):
    mesh = DeviceMesh("cpu", torch.arange(2))
    x = tensor(B, S, H, D)
    rotated = torch.ops.rope.rotate(placed(x, mesh, Shard(0)), POS)
    assert rotated.shape == x.shape
    if world.get_rank() < 2:
        assert_shards(rotated, torch.ops.rope.rotate(x, POS), Shard(0))
    else:
        assert rotated.to_local().numel() == 0


MODULES = {"computed": {}, "table": {"table_rows": 64}}


@pytest.mark.parametrize("is_distributed", [False, True], ids=["plain", "distribute_module"])
@pytest.mark.parametrize("options", MODULES.values(), ids=MODULES)
@on_ranks(2)
def test_module(mesh, options, is_distributed):
    schedule = torch_rope.schedules.default(D, base=500.0)
    whole, module = (torch_rope.RotaryEmbedding(schedule, **options) for _ in range(2))
    if is_distributed:
        distribute_module(module, mesh)
        assert isinstance(module.turns, DTensor)
    q, k = tensor(B, S, H, D), tensor(B, S, 2, D, seed=1)
    with collectives(0):
        own = module(placed(q, mesh, Shard(2)), placed(k, mesh, Shard(2)), POS)
    for actual, expected in zip(own, whole(q, k, POS), strict=True):
        assert_shards(actual, expected, Shard(2))


@pytest.mark.parametrize("axis", ["batch", "heads", "tokens"])
@on_ranks(2)
def test_offsets_as_an_int(mesh, axis):
    x = tensor(B, S, H, D)
    with collectives(0):
        rotated = torch_rope.rotate(placed(x, mesh, along(axis)), offsets=11)
    assert_shards(rotated, torch_rope.rotate(x, offsets=11), along(axis))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@on_ranks(2)
def test_without_autograd(mesh, mode):
    x = tensor(B, S, H, D)
    with mode():
        rotated = torch.ops.rope.rotate(placed(x, mesh, Shard(2)), POS)
    assert_shards(rotated, torch.ops.rope.rotate(x, POS), Shard(2))


class OperatorsBelow(TorchDispatchMode):
    """Writes down what runs on local tensors."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if DTensor in types:
            return NotImplemented
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


@on_ranks(2)
def test_tools_see_the_local_call_alone(mesh):
    """Profilers and tracers too: the checks of the whole tensors are not for them."""
    x, pos = placed(tensor(B, S, H, D), mesh, Shard(0)), torch.arange(S)
    with OperatorsBelow() as below:
        torch.ops.rope.rotate(x, pos, base=123.0)  # Not decided before.
    assert below.seen == [torch.ops.rope.rotate.default], below.seen


@on_ranks(2)
def test_compile(mesh):
    """One graph for several lengths, in which the shards are rotated; gradients too."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return torch._dynamo.backends.debugging.aot_eager(graph, inputs)

    compiled = torch.compile(torch_rope.rotate, backend=backend, fullgraph=True, dynamic=True)
    for tokens in (6, 8, 10):
        x, incoming = (tensor(B, tokens, H, D, seed=seed) for seed in range(2))
        own = placed(x, mesh, Shard(1)).requires_grad_()
        rotated = compiled(own)
        (gradient,) = torch.autograd.grad(rotated, own, placed(incoming, mesh, Shard(1)))
        assert_shards(rotated.detach(), torch_rope.rotate(x), Shard(1))
        assert_shards(gradient, torch_rope.rotate(incoming, inverse=True), Shard(1))
    assert len(graphs) == 1
    torch._dynamo.reset()


def test_whatever_is_imported_first():
    """torch_rope was first here; on the ranks it is torch.distributed.tensor."""
    handled = DTensor._op_dispatcher._custom_op_handlers
    assert torch.ops.rope.rotate.default in handled
