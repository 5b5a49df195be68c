"""Arguments that are wrong by one: what a check that is a little too weak would let pass."""

import pytest
import torch
from cases import random

B, S, H, D = 3, 4, 2, 8


def call(device, pos=None, **keywords):
    q = random(B, S, H, D, dtype=torch.float32, device=device)
    torch.ops.rope.apply(q, q.clone(), pos, **keywords)


@pytest.mark.parametrize("extents", [(B - 1, S), (B + 1, S), (0, S), (B, S + 1), (B, S - 1)])
def test_rows_of_positions(device, extents):
    """B - 1 rows are neither one for all batches nor one for each."""
    pos = torch.zeros(extents, dtype=torch.int64, device=device)
    with pytest.raises(RuntimeError, match=r"^rope::apply: pos must be "):
        call(device, pos)


@pytest.mark.parametrize("columns", [D - 2, D - 1, D + 1, D + 2])
def test_columns_of_a_table(device, columns):
    """A wider table would be read, with its sines at the wrong place."""
    cos_sin = torch.ones(16, columns, device=device)
    with pytest.raises(RuntimeError, match=rf"^rope::apply: cos_sin must have rotary_dim = {D} "):
        call(device, cos_sin=cos_sin, rotary_dim=D)


@pytest.mark.parametrize("count", [D // 2 - 1, D // 2 + 1])
def test_number_of_frequencies(device, count):
    inv_freq = torch.ones(count, device=device)
    with pytest.raises(RuntimeError, match=r"^rope::apply: inv_freq must have rotary_dim / 2 = 4 "):
        call(device, inv_freq=inv_freq, rotary_dim=D)
