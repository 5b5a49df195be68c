"""In place and autograd: version counters, inference mode, and the refusal to lose a gradient."""

import pytest
import torch
from cases import random, same_bits


def tensors(device):
    q = random(2, 3, 2, 8, dtype=torch.float32, device=device)
    k = random(2, 3, 1, 8, dtype=torch.float32, device=device)
    return q, k


def test_version_counters_rise_by_one(device):
    q, k = tensors(device)
    pos = torch.arange(3, device=device)
    torch.ops.rope.apply(q, k, pos)
    assert (q._version, k._version, pos._version) == (1, 1, 0)
    torch.ops.rope.apply(q)
    assert (q._version, k._version) == (2, 1)


def test_views_share_the_counter(device):
    qkv = random(2, 3, 4, 8, dtype=torch.float32, device=device)
    torch.ops.rope.apply(qkv[:, :, :2], qkv[:, :, 2:3])
    assert qkv._version == 2


def test_out_of_place_leaves_the_counters(device):
    q, k = tensors(device)
    torch.ops.rope.rotate_qk(q, k)
    assert (q._version, k._version) == (0, 0)


def test_a_saved_tensor_that_is_rotated_is_noticed(device):
    q, _ = tensors(device)
    weight = torch.ones_like(q).requires_grad_()
    product = q * weight
    torch.ops.rope.apply(q)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_inference_mode(device):
    q, k = tensors(device)
    expected = torch.ops.rope.rotate_qk(q, k)
    with torch.inference_mode():
        inner_q, inner_k = q.clone(), k.clone()
        torch.ops.rope.apply(inner_q, inner_k)
        outer = torch.ops.rope.rotate_qk(q, k)
        torch.ops.rope.apply(q, k)
    # Inference tensors outside the mode, too: they have no version counter to raise.
    again = inner_q.clone()
    assert inner_q.is_inference()
    for result in ((inner_q, inner_k), (q, k), outer):
        assert same_bits(result[0], expected[0])
        assert same_bits(result[1], expected[1])
    torch.ops.rope.apply(again)


@pytest.mark.parametrize("argument", ["q", "k", "inv_freq", "cos_sin"])
def test_grad_mode_refuses(device, argument):
    q, k = tensors(device)
    keywords = {}
    if argument == "inv_freq":
        keywords["inv_freq"] = torch.ones(4, device=device)
    elif argument == "cos_sin":
        keywords["cos_sin"] = torch.ones(3, 8, device=device)
    {"q": q, "k": k, **keywords}[argument].requires_grad_()
    before = q.detach().clone()
    with pytest.raises(RuntimeError, match=rf"^rope::apply: .*{argument}.*rotate_qk"):
        torch.ops.rope.apply(q, k, **keywords)
    assert same_bits(q.detach(), before)
    assert q._version == 0


@pytest.mark.parametrize("argument", ["q", "k"])
def test_without_grad_mode_it_works(device, argument):
    q, k = tensors(device)
    expected = torch.ops.rope.rotate_qk(q, k)
    {"q": q, "k": k}[argument].requires_grad_()
    with torch.no_grad():
        torch.ops.rope.apply(q, k)
    assert same_bits(q.detach(), expected[0])
    assert same_bits(k.detach(), expected[1])
    assert q._version == 1


def test_a_leaf_of_no_graph_works_in_grad_mode(device):
    q, k = tensors(device)
    torch.ops.rope.apply(q, k)
    assert not q.requires_grad
