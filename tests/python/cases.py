"""Parameters with readable ids, and the tensors of test cases."""

from typing import NamedTuple

import pytest
import torch

DTYPES = [
    pytest.param(torch.float32, id="f32"),
    pytest.param(torch.bfloat16, id="bf16"),
    pytest.param(torch.float16, id="f16"),
]
PAIRINGS = [pytest.param(False, id="split"), pytest.param(True, id="interleaved")]


class Shape(NamedTuple):
    """Extents of q and k: heads of each, width of a head, how much of it is rotated."""

    heads_q: int
    heads_k: int
    head_dim: int
    rotary_dim: int

    @property
    def id(self):
        return f"h{self.heads_q}:{self.heads_k}-d{self.head_dim}-r{self.rotary_dim}"


# Whole vectors of 16 bytes, narrower ones and single pairs, wider and narrower than the head.
SHAPES = [
    Shape(32, 8, 128, 128),
    Shape(32, 8, 128, 64),
    Shape(4, 4, 64, 64),
    Shape(3, 1, 80, 80),
    Shape(2, 5, 96, 24),
    Shape(1, 1, 50, 50),
    Shape(7, 1, 20, 20),
    Shape(2, 2, 66, 6),
    Shape(3, 2, 2, 2),
    Shape(1, 1, 1024, 1024),
]


def shapes(*chosen):
    return [pytest.param(shape, id=shape.id) for shape in chosen or SHAPES]


def random(*extents, dtype, device, seed=0):
    """Returns normally distributed values, made on the CPU so that devices get the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*extents, generator=generator).to(dtype).to(device)


def bits(x):
    """Returns the bits of a floating-point tensor as integers, which equal what they should."""
    return x.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()])


def same_bits(a, b):
    """Whether two tensors agree in every bit, signs of zero and NaN included."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))
