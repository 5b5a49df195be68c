"""torch.profiler: the operators by their names, with the extents of what they get, both ways."""

import pytest
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

import torch_rope

B, S, H, D = 2, 5, 3, 16
Q, K, POS = [B, S, H, D], [B, S, 1, D], [S]


def profiled(device, run):
    """(name, extents of the first three arguments) of every event that is ours on the host.

    On a GPU the profiler lists kernels too, and theirs are names in the namespace rope.
    """
    activities = [ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities, record_shapes=True) as profile:
        run()
    on_host = [e for e in profile.events() if e.device_type == DeviceType.CPU]
    events = [e for e in on_host if e.name.startswith(("rope::", "RotateBackward"))]
    return [(event.name, event.input_shapes[:3]) for event in events]


def tensors(device):
    q, k = (torch.ones(extents, device=device) for extents in (Q, K))
    return q, k, torch.arange(S, device=device)


CALLS = {
    "rotate": (lambda q, k, pos: torch_rope.rotate(q, pos), [Q, POS, []]),
    "rotate_qk": (lambda q, k, pos: torch_rope.rotate_qk(q, k, pos), [Q, K, POS]),
    "apply": (lambda q, k, pos: torch_rope.apply(q, k, pos), [Q, K, POS]),
    "apply_qkv": (
        lambda q, k, pos: torch_rope.apply_qkv(q, pos, num_heads_q=1, num_heads_k=1),
        [Q, POS, []],
    ),
    "rerotate": (lambda q, k, pos: torch_rope.rerotate(q, pos, pos), [Q, POS, POS]),
    "cos_sin_table": (
        lambda q, k, pos: torch_rope.cos_sin_table(torch.ones(8, device=q.device), 4),
        [[8], [], []],
    ),
    "turns": (lambda q, k, pos: torch_rope.turns(torch.ones(8, device=q.device)), [[8]]),
}


@pytest.mark.parametrize("op", CALLS)
def test_operators(device, op):
    call, extents = CALLS[op]
    given = tensors(device)
    assert profiled(device, lambda: call(*given)) == [(f"rope::{op}", extents)]


def test_training(device):
    """Backward is a node of the graph, and in it the operator that turns the gradient back."""
    q, k, pos = tensors(device)
    q.requires_grad_()
    events = profiled(device, lambda: torch_rope.rotate_qk(q, k, pos)[0].sum().backward())
    assert [name for name, _ in events] == ["rope::rotate_qk", "RotateBackward", "rope::rotate"]
    assert events[2] == ("rope::rotate", [Q, POS, []])
