"""Calls that hypothesis spoils: whatever is wrong with them, they are refused by name with nothing
written, or they are good calls after all and their result is judged like any other.
"""

import math

import pytest
import torch
from fuzz_calls import calls
from fuzz_judge import judge
from fuzz_tensors import Guarded
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import fuzzed
from torch import Tensor

import torch_rope

FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn]
OTHERS = [torch.int64, torch.int32, torch.int8, torch.bool, torch.complex64]
ANY_DTYPE = st.sampled_from(FLOATS + OTHERS)
ANY_INT = st.sampled_from([0, 1, 2, 3, -1, -2, 63, 1024, 1026, 2**31, 2**63 - 1, -(2**63)])
ANY_FLOAT = st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf, 1e-320, 5e-324, 1e308, 2.0])
NUMBERS = {
    "rotary_dim": ANY_INT,
    "rotary_offset": ANY_INT,
    "base": ANY_FLOAT,
    "attention_factor": ANY_FLOAT,
    "layout": st.sampled_from(["bshd", "bhsd", "sbhd", "thd", "", "hsbd", "bshd\0", "B" * 99]),
}


@st.composite
def other_tensor(draw, tensor):
    """Something else in its place: another type, rank, extent, order, device or overlap."""
    how = draw(st.sampled_from(["dtype", "rank", "less", "more", "order", "device", "expanded"]))
    dim = draw(st.integers(0, max(tensor.dim() - 1, 0)))
    if how == "dtype":
        return tensor.to(draw(ANY_DTYPE))
    if how == "rank" or tensor.dim() == 0:
        return tensor.unsqueeze(dim) if draw(st.booleans()) else tensor.sum(dim, dtype=tensor.dtype)
    if how == "less":
        return tensor.narrow(dim, 0, draw(st.integers(0, tensor.shape[dim])))
    if how == "more":
        return torch.cat((tensor, tensor), dim=dim)
    if how == "order":
        return tensor.transpose(dim, -1)
    if how == "device":
        return tensor.to("meta")
    if tensor.shape[dim] == 0:
        return tensor
    return tensor.narrow(dim, 0, 1).expand_as(tensor)


@st.composite
def spoiled(draw):
    """A good call with one to three things changed; what is drawn may still be good."""
    call = draw(calls())
    arguments = call.named()
    for _ in range(draw(st.integers(1, 3))):
        tensors = [name for name, value in arguments.items() if isinstance(value, Tensor)]
        how = draw(st.sampled_from(["tensor", "tensor", "number", "swap", "extra"]))
        name = draw(st.sampled_from(tensors))
        if how == "tensor":
            arguments[name] = draw(other_tensor(arguments[name]))
        elif how == "number":
            name = draw(st.sampled_from(list(NUMBERS)))
            arguments[name] = draw(NUMBERS[name])
        elif how == "swap":
            arguments[draw(st.sampled_from([*tensors, "offsets", "cu_seqlens", "k"]))] = arguments[
                name
            ]
        else:
            other = draw(calls()).keywords
            arguments |= {key: value for key, value in other.items() if draw(st.booleans())}
    return arguments


def is_ours(message):
    """One line that names the op, or two where the second says what to do."""
    return message.startswith("rope::apply: ") and "INTERNAL ASSERT" not in message


class Memory:
    """The bytes behind all tensors of a call, to be compared and to be seen as they were."""

    def __init__(self, arguments):
        tensors = [value for value in arguments.values() if isinstance(value, Tensor)]
        self._kept = [(t, self._bytes(t).clone()) for t in tensors if t.device.type == "cpu"]

    @staticmethod
    def _bytes(tensor):
        return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())

    def assert_unchanged(self):
        for tensor, before in self._kept:
            assert torch.equal(self._bytes(tensor), before)

    def before(self, tensor):
        old = next(before for kept, before in self._kept if kept is tensor)
        place = (tensor.storage_offset(), tensor.shape, tensor.stride())
        return torch.empty(0, dtype=tensor.dtype).set_(old.untyped_storage(), *place)


def rotated_part(x, keywords):
    """The components that a good call rotates, as api documentation words it."""
    offset = keywords.get("rotary_offset", 0)
    start = offset if offset >= 0 else offset + x.shape[-1]
    width = keywords.get("rotary_dim", 0)
    for name, share in (("inv_freq", 2), ("cos", 2), ("cos_sin", 1)):
        if width == 0 and name in keywords:
            width = share * keywords[name].shape[-1]
    return slice(start, start + width if width else x.shape[-1])


def attempt(arguments):
    """The text of the refusal, or None: any other kind of exception fails the test."""
    try:
        torch.ops.rope.apply(**arguments)
    except RuntimeError as error:
        return str(error)
    return None


@fuzzed
@given(spoiled())
def test_a_spoiled_call_is_refused_or_right(arguments):
    memory = Memory(arguments)
    said = torch_rope.explain(**arguments)["error"]
    text = attempt(arguments)
    assert text == said
    if text is not None:
        assert is_ours(text)
        memory.assert_unchanged()
        return
    keywords = {name: value for name, value in arguments.items() if value is not None}
    heads = [keywords.pop(name) for name in ("q", "k") if name in keywords]
    pos = keywords.pop("pos", None)
    for x in heads:
        if x.device.type == "cpu":
            judge(x, memory.before(x), pos, keywords, rotated_part(x, keywords))


@pytest.mark.parametrize("message", ["rope::apply: x INTERNAL ASSERT", "other", ""])
def test_other_messages_are_noticed(message):
    assert not is_ours(message)


def test_guarded_notices_a_byte():
    block = torch.zeros(9)
    one = Guarded(block[2:6], block)
    before = one.copy()
    block[3] = 1.0
    one.assert_outside_is(before, slice(1, 2))
    block[7] = 1.0
    with pytest.raises(AssertionError):
        one.assert_outside_is(before, slice(1, 2))
