"""Models with a RotaryEmbedding under FSDP and DDP: the same bits as without, on every rank.

All ranks have the same inputs, so that the mean of their gradients is each one's own, exactly.
"""

import copy

import pytest
import torch
from cases import random, same_bits
from dtensors import B, D, S
from ranks import on_ranks
from torch import nn
from torch.distributed.fsdp import (
    FullyShardedDataParallel,
    MixedPrecision,
    MixedPrecisionPolicy,
    fully_shard,
)
from torch.nn.parallel import DistributedDataParallel

import torch_rope

HEADS, WIDTH, ROWS = 2, 24, 4  # fewer rows than tokens: the others are computed


class Model(nn.Module):
    """Projects, rotates, and weighs what was rotated."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(WIDTH, 2 * HEADS * D)
        schedule = torch_rope.schedules.default(D, base=500.0)
        self.rope = torch_rope.RotaryEmbedding(schedule, table_rows=ROWS)
        self.out = nn.Linear(HEADS * D, WIDTH)

    def forward(self, x, pos):
        q, k = self.project(x).unflatten(-1, (2 * HEADS, D)).chunk(2, dim=2)
        q, k = self.rope(q, k, pos)
        return self.out((q * k.sigmoid()).flatten(2))


def model():
    made = Model()
    with torch.no_grad():
        for seed, weight in enumerate(made.parameters()):
            weight.copy_(random(*weight.shape, dtype=torch.float32, device="cpu", seed=seed) / 4)
    return made


def run(wrapped, dtype=torch.float32):
    x = random(B, S, WIDTH, dtype=dtype, device="cpu", seed=9)
    y = wrapped(x, torch.arange(S) + 10)
    y.float().pow(2).sum().backward()
    return y


def assert_gradients(wrapped, plain):
    own = dict(wrapped.named_parameters())
    for name, weight in plain.named_parameters():
        assert same_bits(own[name].grad.full_tensor(), weight.grad.to(own[name].dtype))


def assert_buffers(rope):
    fresh = torch_rope.RotaryEmbedding(rope.schedule, table_rows=ROWS)
    assert torch.equal(rope.turns, fresh.turns)
    assert same_bits(rope.table, fresh.table)


def shard(module, mesh, dtype=None):
    policy = MixedPrecisionPolicy(param_dtype=dtype)
    for part in (module.project, module.rope, module.out, module):
        fully_shard(part, mesh=mesh, mp_policy=policy)
    return module


@on_ranks(2)
def test_fully_shard(mesh):
    plain, wrapped = model(), shard(model(), mesh)
    assert same_bits(run(wrapped), run(plain))
    assert_gradients(wrapped, plain)
    assert_buffers(wrapped.rope)


@on_ranks(2)
def test_fully_shard_in_bfloat16(mesh):
    """The policy casts weights and inputs, and leaves turns, table and positions alone."""
    plain, wrapped = model().bfloat16(), shard(model(), mesh, dtype=torch.bfloat16)
    assert same_bits(run(wrapped), run(plain, torch.bfloat16))
    assert_gradients(wrapped, plain)
    assert_buffers(wrapped.rope)


@on_ranks(2)
def test_fully_shard_from_meta(mesh):
    with torch.device("meta"):
        wrapped = Model()
    shard(wrapped, mesh).to_empty(device="cpu")
    assert_buffers(wrapped.rope)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["f32", "bf16"])
@on_ranks(2)
def test_fsdp1(mesh, dtype):
    """It casts floating-point buffers as well, from which the table recovers."""
    plain = model().to(dtype)
    wrapped = FullyShardedDataParallel(
        copy.deepcopy(model()),
        process_group=mesh.get_group(),
        device_id=torch.device("cpu"),
        mixed_precision=MixedPrecision(dtype, dtype, dtype, cast_forward_inputs=True),
        use_orig_params=True,
    )
    assert same_bits(run(wrapped), run(plain, dtype))
    assert_buffers(wrapped.rope)


@on_ranks(2)
def test_ddp(mesh):
    """Buffers are sent from the first rank to the others."""
    plain, wrapped = model(), DistributedDataParallel(model(), process_group=mesh.get_group())
    for _ in range(2):
        assert same_bits(run(wrapped), run(plain))
    for own, weight in zip(wrapped.parameters(), plain.parameters(), strict=True):
        assert same_bits(own.grad, weight.grad)
    assert_buffers(wrapped.module.rope)
