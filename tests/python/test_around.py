"""The operators under what torch puts around any of them: profiler, autocast, deterministic mode,
dispatch modes, module tools.
"""

import io

import pytest
import torch
from cases import random, same_bits
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

import torch_rope

B, S, H, K, D = 2, 5, 4, 2, 16
SCHEDULE = torch_rope.schedules.default(dim=D, base=5e5)


def heads(device, count=H, dtype=torch.float32, seed=0):
    return random(B, S, count, D, dtype=dtype, device=device, seed=seed)


def positions(device):
    return torch.arange(S, device=device)


OPS = {
    "apply": lambda q, k, pos: torch.ops.rope.apply(q, k, pos),
    "rotate": lambda q, k, pos: torch.ops.rope.rotate(q, pos),
    "rotate_qk": lambda q, k, pos: torch.ops.rope.rotate_qk(q, k, pos),
    "apply_qkv": lambda q, k, pos: torch.ops.rope.apply_qkv(q, pos, num_heads_q=1, num_heads_k=1),
    "rerotate": lambda q, k, pos: torch.ops.rope.rerotate(q, pos, pos),
    "cos_sin_table": lambda q, k, pos: torch.ops.rope.cos_sin_table(q[0, 0, 0], 7),
    "turns": lambda q, k, pos: torch.ops.rope.turns(q),
}


@pytest.mark.parametrize("op", OPS)
def test_the_profiler_names_the_op_and_its_extents(device, op):
    q, k, pos = heads(device), heads(device, K), positions(device)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        OPS[op](q, k, pos)
    (event,) = [e for e in profiler.events() if e.name == f"rope::{op}"]
    first = [D] if op == "cos_sin_table" else list(q.shape)
    assert event.input_shapes[0] == first


def test_the_profiler_shows_the_backward_pass(device):
    q, k = (heads(device, count).requires_grad_() for count in (H, K))
    rotated = torch.ops.rope.rotate_qk(q, k, positions(device))
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        torch.autograd.backward([x.sum() for x in rotated])
    names = [event.name for event in profiler.events()]
    assert "RotateBackward" in names
    assert names.count("rope::rotate_qk") == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_autocast_leaves_types_alone(device, dtype):
    q, k, pos = heads(device, dtype=dtype), heads(device, K, dtype), positions(device)
    cos_sin = SCHEDULE.table(S, device)
    expected = torch.ops.rope.rotate_qk(q, k, pos, cos_sin=cos_sin)
    with torch.autocast(device, dtype=torch.bfloat16):
        rotated = torch.ops.rope.rotate_qk(q, k, pos, cos_sin=cos_sin)
        torch.ops.rope.apply(q, k, pos, cos_sin=cos_sin)
    for result, in_place, wanted in zip(rotated, (q, k), expected, strict=True):
        assert same_bits(result, wanted)
        assert same_bits(in_place, wanted)


def test_autocast_in_training(device):
    """Projections give bfloat16, which stays; gradients come back as the weights are."""
    project = nn.Linear(8, H * D, device=device)
    x = torch.ones(B, S, 8, device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        q = project(x).view(B, S, H, D)
        rotated = torch_rope.rotate(q, positions(device))
        attended = nn.functional.scaled_dot_product_attention(rotated, rotated, rotated)
    assert q.dtype == rotated.dtype == attended.dtype == torch.bfloat16
    attended.float().sum().backward()
    assert project.weight.grad.dtype == torch.float32


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def trained(device):
    q, k = (heads(device, count).requires_grad_() for count in (H, K))
    inv_freq = SCHEDULE.inv_freq.to(device).requires_grad_()
    q_out, k_out = torch.ops.rope.rotate_qk(q, k, positions(device), inv_freq=inv_freq)
    (q_out.pow(2).sum() + (k_out * heads(device, K, seed=1)).sum()).backward()
    return [q_out.detach(), k_out.detach(), q.grad, k.grad, inv_freq.grad]


def test_deterministic_mode_changes_nothing(device, deterministic):
    strict = trained(device)
    torch.use_deterministic_algorithms(False)
    for a, b in zip(strict, trained(device), strict=True):
        assert same_bits(a, b)


@pytest.mark.parametrize("op", OPS)
def test_dispatch_modes_see_the_op(device, op):
    class Seen(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.append(func.name())
            return func(*args, **(kwargs or {}))

    q, k, pos = heads(device), heads(device, K), positions(device)
    with Seen() as seen:
        OPS[op](q, k, pos)
    assert f"rope::{op}" in seen.names


class Block(nn.Module):
    """A projection and its rotation."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(8, H * D, bias=False)
        self.rope = torch_rope.RotaryEmbedding(SCHEDULE, table_rows=3)

    def forward(self, x):
        q = self.project(x).view(B, S, H, D)
        return self.rope(q, q[:, :, :K])[0]


def test_functional_call_and_meta_construction(device):
    """Made without memory, filled by load_state_dict(assign=True), called with other weights."""
    real = Block().to(device)
    with torch.device("meta"):
        empty = Block()
    empty.load_state_dict(real.state_dict(), assign=True)
    empty.rope.to_empty(device=device)
    x = torch.ones(B, S, 8, device=device)
    assert same_bits(empty(x).detach(), real(x).detach())
    doubled = {"project.weight": real.project.weight * 2}
    called = torch.func.functional_call(real, doubled, (x,))
    real.project.weight.data *= 2
    assert same_bits(called.detach(), real(x).detach())


@pytest.mark.parametrize("kept", [SCHEDULE, torch_rope.RotaryEmbedding(SCHEDULE)], ids=repr)
def test_loading_without_trust(kept):
    """weights_only=True takes what the caller has named, as for any class that is not torch's."""
    file = io.BytesIO()
    torch.save({"kept": kept}, file)
    file.seek(0)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        torch.load(file, weights_only=True)
    file.seek(0)
    assert repr(torch.load(file, weights_only=False)["kept"]) == repr(kept)


def test_parameters_and_subclasses(device):
    """Results of a parameter are tensors; those of a subclass are of that class."""

    class Named(torch.Tensor):
        pass

    x = heads(device)
    rotated = torch_rope.rotate(nn.Parameter(x))
    assert type(rotated) is torch.Tensor
    assert rotated.requires_grad
    assert type(torch_rope.rotate(x.as_subclass(Named))) is Named
