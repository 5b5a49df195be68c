"""Tensors in every layout, and the judgement of what an operator made of them.

For the tests of the keywords. The oracle is torch_rope.reference, the tolerance guarantee 1, which
bounds.py derives.
"""

import torch
from bounds import assert_within, error_bound
from cases import random, same_bits

from torch_rope import reference

LAYOUTS = ["bshd", "bhsd", "sbhd", "thd"]
# What (B, S, H, D) becomes; of "thd" only the first sequence is left.
_TO = {
    "bshd": lambda x: x,
    "bhsd": lambda x: x.transpose(1, 2),
    "sbhd": lambda x: x.transpose(0, 1),
    "thd": lambda x: x[0],
}


def view_as(layout, x):
    """Returns (B, S, H, D) seen in a layout: no copy."""
    return _TO[layout](x)


def laid_out(layout, *extents, dtype, device, seed=0):
    """Returns random values, of extents (B, S, H, D), in memory as the layout has them."""
    return _TO[layout](random(*extents, dtype=dtype, device=device, seed=seed)).contiguous()


def sequences_of(layout, batches):
    return 1 if layout == "thd" else batches


def whole_storage(x):
    """Returns the storage of a view as one dimension: what a test compares for canaries."""
    return torch.as_strided(x, (x.untyped_storage().nbytes() // x.element_size(),), (1,), 0)


def assert_rotated(actual, x, pos=None, *, largest_position, rotary_dim=0, **keywords):
    """Judges an operator's result for x: the rotated components by the bound, the rest by bits.

    largest_position: of |p|, offsets included, summed over the axes.
    """
    start = keywords.get("rotary_offset", 0) % x.shape[-1]
    width = rotary_dim or x.shape[-1] - start
    rotated = slice(start, start + width)
    exact = reference.rotate(x, pos, rotary_dim=width, **keywords)
    bound = error_bound(
        x[..., rotated],
        exact[..., rotated],
        rotary_dim=width,
        interleaved=keywords.get("interleaved", False),
        largest_position=largest_position,
        factor=keywords.get("attention_factor", 1.0),
    )
    assert_within(actual[..., rotated], exact[..., rotated], bound)
    for rest in (slice(None, start), slice(start + width, None)):
        assert same_bits(actual[..., rest], x[..., rest])
