"""What hypothesis draws a call's tensors from: values, and where in guarded memory they lie.

For fuzz_calls.py. Every written tensor is a view of a larger block of random bytes, of any order of
dimensions, with gaps and at any offset; Guarded tells afterwards whether a byte outside the
components that a call may write has changed.
"""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

SMALL = st.integers(-3, 40)
INT64 = st.one_of(
    SMALL,
    st.integers(-(2**20), 2**20),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2**63 - 1, -(2**63), 2**31, -(2**31), 2**53 + 1]),
)
INT32 = st.one_of(SMALL, st.integers(-(2**31), 2**31 - 1))


@dataclass
class Guarded:
    """A view and the block it lies in."""

    view: Tensor
    block: Tensor

    def copy(self) -> "Guarded":
        """The same bytes in the same places of another block."""
        block = self.block.clone()
        view = block.as_strided(self.view.shape, self.view.stride(), self.view.storage_offset())
        return Guarded(view, block)

    def assert_outside_is(self, before: "Guarded", written: slice) -> None:
        """Nothing but components `written` of the view differs from before, in any bit."""
        expected = before.copy()
        expected.view[..., written] = self.view[..., written]
        assert torch.equal(expected.block.view(torch.uint8), self.block.view(torch.uint8))


@st.composite
def guarded(draw, values):
    """values in a guarded block: the last stride is 1, the others are in any order, with gaps."""
    outer = list(range(values.dim() - 1))
    order = draw(st.permutations(outer)) if outer else []
    strides = [0] * len(outer) + [1]
    reach = max(values.shape[-1], 1)
    for dim in order:
        strides[dim] = reach + draw(st.sampled_from([0, 0, 1, 3, 8]))
        reach = strides[dim] * max(values.shape[dim], 1)
    offset = draw(st.integers(0, 16))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    size = (offset + reach + draw(st.integers(0, 9))) * values.element_size()
    block = torch.randint(0, 256, (size,), generator=generator, dtype=torch.uint8)
    block = block.view(values.dtype)
    view = block.as_strided(values.shape, strides, offset)
    view.copy_(values)
    return Guarded(view, block)


@st.composite
def random_values(draw, shape, dtype):
    """Normal values times a power of two that keeps the result finite."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    magnitude = draw(st.sampled_from([0, 0, 0, -12, 8]))
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (values.clamp(-4, 4) * 2.0**magnitude).to(dtype)


@st.composite
def integers(draw, shape, values=INT64):
    """An int32 or int64 tensor, contiguous, in steps of two, or expanded along its first dim."""
    dtype = draw(st.sampled_from([torch.int64, torch.int32]))
    count = 1
    for extent in shape:
        count *= extent
    if dtype == torch.int32:
        values = INT32 if values is INT64 else values
    flat = draw(st.lists(values, min_size=count, max_size=count))
    tensor = torch.tensor(flat, dtype=dtype).reshape(shape)
    how = draw(st.sampled_from(["contiguous", "steps", "expanded"]))
    if how == "steps":
        return torch.stack((tensor, tensor + 1), dim=-1)[..., 0]
    if how == "expanded" and shape and shape[0] > 0:
        return tensor[:1].expand(shape)
    return tensor


def width_of(dtype):
    return 64 if dtype == torch.float64 else 32


@st.composite
def frequencies(draw, shape):
    """float32 or float64 radians, or int64 turns, of any finite size and sign."""
    dtype = draw(st.sampled_from([torch.float64, torch.float32, torch.int64]))
    if dtype == torch.int64:
        one = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -(2**63)]))
    else:
        width = width_of(dtype)
        one = st.one_of(
            st.floats(-4, 4, width=width),
            st.floats(width=width, allow_nan=False, allow_infinity=False),
        )
    count = 1
    for extent in shape:
        count *= extent
    flat = draw(st.lists(one, min_size=count, max_size=count))
    return torch.tensor(flat, dtype=dtype).reshape(shape)


@st.composite
def rows(draw, shape, dtype):
    """A table's values in -1 ... 1, float32 or the data's own type."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    values = torch.rand(shape, generator=generator) * 2 - 1
    return values.to(draw(st.sampled_from([torch.float32, dtype])))
