"""The typed functions: they forward what they are given, and nothing else."""

import inspect
import typing

import pytest
import torch
from cases import random, same_bits

import torch_rope
from torch_rope import ops

S = 5


def tensors():
    q = random(2, S, 3, 16, dtype=torch.float32, device="cpu")
    k = random(2, S, 1, 16, dtype=torch.float32, device="cpu")
    return q, k


KEYWORDS = {
    "none": {},
    "all": {
        "inv_freq": torch.logspace(0, -2, 4),
        "cos_sin": None,
        "cos": None,
        "sin": None,
        "base": 10000.0,
        "attention_factor": 1.5,
        "rotary_dim": 8,
        "rotary_offset": 0,
        "interleaved": True,
        "inverse": True,
        "layout": "bshd",
        "offsets": None,
        "cu_seqlens": None,
        "skip_negative": False,
    },
}


@pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS)
@pytest.mark.parametrize("pos", [None, torch.arange(S)], ids=["none", "S"])
def test_functions_are_the_operators(keywords, pos):
    q, k = tensors()
    expected = torch.ops.rope.rotate_qk(q, k, pos, **keywords)
    rotated = torch_rope.rotate_qk(q, k, pos, **keywords)
    assert isinstance(rotated, tuple)
    assert same_bits(torch_rope.rotate(q, pos, **keywords), expected[0])
    assert same_bits(rotated[0], expected[0])
    assert same_bits(rotated[1], expected[1])
    assert torch_rope.apply(q, k, pos, **keywords) is None
    assert same_bits(q, expected[0])
    assert same_bits(k, expected[1])


def test_tables_and_turns():
    frequencies = torch.logspace(0, -2, 4)
    assert torch.equal(torch_rope.turns(frequencies), torch.ops.rope.turns(frequencies))
    assert torch.equal(
        torch_rope.cos_sin_table(frequencies, 5, start=-3, attention_factor=0.5),
        torch.ops.rope.cos_sin_table(frequencies, 5, start=-3, attention_factor=0.5),
    )


@pytest.mark.parametrize(
    ("function", "keywords"),
    [
        ("apply", ops.Keywords),
        ("rotate", ops.Keywords),
        ("rotate_qk", ops.Keywords),
        ("apply_qkv", ops.Keywords),
        ("rerotate", ops.ReRotateKeywords),
        ("cos_sin_table", None),
        ("turns", None),
    ],
)
def test_arguments_are_those_of_the_schema(function, keywords):
    parameters = inspect.signature(getattr(torch_rope, function)).parameters
    named = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    if keywords is not None:
        named += typing.get_type_hints(
            keywords, vars(torch_rope.ops) | {"Tensor": torch.Tensor}
        ).keys()
    schema = getattr(torch.ops.rope, function).default._schema
    assert named == [argument.name for argument in schema.arguments]


def test_reference_takes_the_keywords_of_the_operator():
    parameters = inspect.signature(torch_rope.reference.rotate).parameters
    arguments = torch.ops.rope.rotate.default._schema.arguments
    assert list(parameters) == [argument.name for argument in arguments]
    defaults = [p.default for p in parameters.values()][1:]
    assert defaults == [argument.default_value for argument in arguments][1:]


@pytest.mark.parametrize(
    ("extents", "keywords", "count"),
    [
        ((2, 5, 3, 8), {}, 2),
        ((2, 3, 5, 8), {"layout": "bhsd"}, 2),
        ((5, 2, 3, 8), {"layout": "sbhd"}, 2),
        ((5, 3, 8), {}, 1),
        ((5, 3, 8), {"layout": "thd"}, 1),
        ((5, 3, 8), {"cu_seqlens": torch.tensor([0, 1, 3, 5])}, 3),
    ],
    ids=["bshd", "bhsd", "sbhd", "3-d", "thd", "cu_seqlens"],
)
def test_an_int_offset_becomes_one_for_each_sequence(extents, keywords, count):
    keywords = {**keywords, "offsets": -7}
    ops._with_offsets(torch.empty(extents), keywords)
    assert torch.equal(keywords["offsets"], torch.full((count,), -7))


def test_a_tensor_of_offsets_is_passed_on():
    offsets = torch.tensor([1, 2])
    keywords = {"offsets": offsets}
    ops._with_offsets(torch.empty(2, 5, 3, 8), keywords)
    assert keywords["offsets"] is offsets


def test_an_unknown_keyword_is_refused():
    with pytest.raises(RuntimeError, match="theta"):
        torch_rope.rotate(tensors()[0], theta=1.0)


def test_every_public_name_exists():
    assert torch_rope.__all__ == sorted(torch_rope.__all__)
    assert all(hasattr(torch_rope, name) for name in torch_rope.__all__)
