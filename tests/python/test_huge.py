"""Extents and strides past 2^31, in memory that is there only where a call touches it."""

import pytest
import torch
from cases import random, same_bits

FAR = 2**31 + 2**20  # elements


@pytest.mark.parametrize("far", ["token", "head", "batch"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "f32"])
def test_strides_beyond_32_bits(device, dtype, far):
    """Two rows that lie more than 2^31 elements apart; what is between them is never touched."""
    extents = {"batch": (2, 1, 1, 64), "token": (1, 2, 1, 64), "head": (1, 1, 2, 64)}[far]
    block = torch.empty(FAR + 64, dtype=dtype, device=device)
    q = block.as_strided(extents, (FAR, FAR, FAR, 1))
    near = random(*extents, dtype=dtype, device=device)
    q.copy_(near)
    pos = torch.arange(3, 3 + extents[1], device=device)
    torch.ops.rope.apply(q, None, pos)
    torch.ops.rope.apply(near, None, pos)
    assert same_bits(q.contiguous(), near)


@pytest.mark.parametrize("far", ["cos_sin", "pos"])
def test_arguments_beyond_32_bits(device, far):
    """A table whose rows, and positions whose elements, lie more than 2^31 elements apart."""
    q = random(1, 2, 1, 64, dtype=torch.float32, device=device)
    expected = q.clone()
    pos = torch.arange(2, device=device)
    table = torch.ops.rope.cos_sin_table(torch.linspace(1, 2, 32, device=device), 2)
    torch.ops.rope.apply(expected, None, pos, cos_sin=table)
    if far == "pos":
        block = torch.empty(FAR + 1, dtype=torch.int32, device=device)
        pos = block.as_strided((2,), (FAR,)).copy_(pos)
    else:
        block = torch.empty(FAR + 64, device=device)
        table = block.as_strided((2, 64), (FAR, 1)).copy_(table)
    torch.ops.rope.apply(q, None, pos, cos_sin=table)
    assert same_bits(q, expected)


def test_more_than_2_to_the_31_elements(device):
    """Every token's bits are those of the token alone: looked at on both sides of 2^31."""
    tokens = 2**31 // 64 + 70000
    if device == "cuda" and torch.cuda.get_device_properties(0).total_memory < 16e9:
        pytest.fail("needs a GPU with 16 GB")
    q = torch.ones(1, 1, 1, 64, dtype=torch.bfloat16, device=device).repeat(1, tokens, 1, 1)
    torch.ops.rope.apply(q)
    chosen = torch.tensor([0, 1, 2**24, 2**25 - 1, 2**25, 2**25 + 1, tokens - 1], device=device)
    alone = torch.ones(1, len(chosen), 1, 64, dtype=torch.bfloat16, device=device)
    torch.ops.rope.apply(alone, None, chosen)
    assert same_bits(q[:, chosen], alone)


@pytest.mark.parametrize("layout", ["bshd", "sbhd", "bhsd"])
def test_more_batches_than_a_grid_has(device, layout):
    """65,536 and more, each with its own offset: the limit of a CUDA grid's z is 65,535."""
    batches = 70001
    extents = {"bshd": (batches, 2, 1, 4), "sbhd": (2, batches, 1, 4), "bhsd": (batches, 1, 2, 4)}
    q = random(*extents[layout], dtype=torch.float32, device=device)
    offsets = torch.arange(batches, device=device)
    first = q.transpose(0, 1) if layout == "sbhd" else q
    last = first[65530:65545].transpose(0, 1) if layout == "sbhd" else first[65530:65545]
    expected = last.clone()
    torch.ops.rope.apply(expected, offsets=offsets[65530:65545], layout=layout)
    torch.ops.rope.apply(q, offsets=offsets, layout=layout)
    assert same_bits(last, expected)
