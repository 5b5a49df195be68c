"""Tensors that torch treats in its own ways: windows that overlap, inference tensors outside
inference mode, and fake tensors that share a storage.
"""

import torch
from cases import random, same_bits
from torch._subclasses.fake_tensor import FakeTensorMode


def test_overlapping_windows_are_read(device):
    """empty_like may lay their copies out with the components of a head apart."""
    samples = random(64, dtype=torch.float32, device=device)
    windows = samples.as_strided((1, 5, 2, 8), (64, 1, 16, 1))
    result = torch.ops.rope.rotate(windows)
    assert same_bits(result, torch.ops.rope.rotate(windows.contiguous()))


def test_an_inference_tensor_beside_an_ordinary_one(device):
    q = random(2, 3, 2, 8, dtype=torch.float32, device=device)
    expected, _ = torch.ops.rope.rotate_qk(q, q)
    with torch.inference_mode():
        inner = q.clone()
    torch.ops.rope.apply(inner, q)
    assert inner.is_inference()
    assert same_bits(inner, expected)
    assert same_bits(q, expected)
    assert q._version == 1


def test_fake_slices_of_one_storage_are_apart(device):
    with FakeTensorMode():
        qkv = torch.empty(2, 3, 4, 8, device=device)
        torch.ops.rope.apply(qkv[:, :, :2], qkv[:, :, 2:3])
