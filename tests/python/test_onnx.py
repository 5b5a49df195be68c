"""torch.onnx.export of the operators: ONNX Runtime and ONNX's reference against the oracle.

All results are held to guarantee 1 of docs/numerics.md, which leaves room for what these runtimes
do instead of the kernels. With u = 2^-24 and a pair of norm 1: cosine and sine are the float64
ones, off by some 2^-51, rounded once (0.71 u for the pair); both products are rounded (1 u
together, as |x c| + |y s| <= 1), and their sum (1 u): 2.8 u, where bounds.py has 3.1 u. A fused sum
is off by less.
"""

import functools

import onnx
import pytest
import torch
from cases import random, same_bits
from fuzz_judge import judge
from onnx_models import CASES, PLAIN, TABLE, TURNS, Calls, D, Exported, inputs
from torch import nn

import torch_rope
from torch_rope import RotaryEmbedding, Schedule

B, S = 3, 6
NAMES = list(CASES)
# Other extents than those of the export; batches and tokens stay different.
OTHER_EXTENTS = {"as-exported": (B, S), "others": (2, 7)}


@functools.cache
def exported(opset):
    tokens = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    # The optimizer's time grows with the square of the graph; test_module has it.
    return Exported(
        Calls(),
        inputs(B, S),
        opset_version=opset,
        optimize=False,
        dynamic_shapes=(tokens, tokens, tokens, {0: torch.export.Dim.DYNAMIC}),
    )


@functools.cache
def results(opset, runtime, extents):
    model = exported(opset)
    run = model.run if runtime == "onnxruntime" else model.evaluate
    return dict(zip(NAMES, run(*inputs(*extents)), strict=True))


def assert_rotated(name, result, extents):
    x, pos, keywords = CASES[name](*inputs(*extents))
    start = keywords.get("rotary_offset", 0) % x.shape[-1]
    width = keywords.get("rotary_dim") or (6 if name == "table-of-a-part" else D)
    if isinstance(keywords.get("offsets"), int):
        keywords["offsets"] = torch.full((len(x),), keywords["offsets"])
    result = result.to(x.dtype)
    judge(result, x, pos, keywords, slice(start, start + width))


@pytest.mark.parametrize("extents", OTHER_EXTENTS.values(), ids=OTHER_EXTENTS)
@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime(name, extents):
    """With RotaryEmbedding nodes, for the extents of the export and for others."""
    assert_rotated(name, results(23, "onnxruntime", extents)[name], extents)


@pytest.mark.parametrize("name", NAMES)
def test_reference_evaluator(name):
    assert_rotated(name, results(23, "reference", (B, S))[name], (B, S))


@pytest.mark.parametrize("name", NAMES)
def test_without_the_node(name):
    """An opset that has no RotaryEmbedding yet: torch's default."""
    assert_rotated(name, results(None, "onnxruntime", (B, S))[name], (B, S))


def count(nodes, op_type):
    return sum(node.op_type == op_type for node in nodes)


@pytest.mark.parametrize("name", NAMES)
def test_nodes(name):
    """One RotaryEmbedding; where it cannot be, and in older opsets, none."""
    index = NAMES.index(name)
    nodes = exported(23).nodes_behind(index)
    assert count(nodes, "RotaryEmbedding") == (0 if name in PLAIN else 1)
    assert count(exported(None).nodes_behind(index), "RotaryEmbedding") == 0


@pytest.mark.parametrize("opset", [23, None], ids=["opset-23", "default-opset"])
def test_no_angle_is_float32(opset):
    """Sines are of float64; positions stay integers until they are phases."""
    model = exported(opset)
    types = model.types()
    sines = [node for node in model.model.graph.node if node.op_type == "Sin"]
    assert sines
    assert {types[node.input[0]] for node in sines} == {onnx.TensorProto.DOUBLE}
    assert not {"Cos", "Pow"} & {node.op_type for node in model.model.graph.node}


class Model(nn.Module):
    """A rotation inside a model, through the module."""

    def __init__(self, rows):
        super().__init__()
        self.projection = nn.Linear(D, D)
        self.rope = RotaryEmbedding(Schedule([1.0, -0.5, 0.01, 3e-4], 1.25), table_rows=rows)

    def forward(self, q, k, pos):
        return self.rope(self.projection(q), k, pos)


@pytest.mark.parametrize("rows", [0, 8], ids=["computed", "table"])
def test_module(rows):
    """One node for q and one for k; frequencies are constants, positions without a row computed."""
    torch.manual_seed(0)
    model = Model(rows).eval()
    x, pos, _, _ = inputs(B, S)
    k = random(B, S, 1, D, dtype=torch.float32, device="cpu", seed=1)
    graph = Exported(model, (x, k, pos), opset_version=23)
    assert count(graph.model.graph.node, "RotaryEmbedding") == 2
    assert len(graph.model.graph.input) == 3
    _, rotated = graph.run(x, k, pos)
    judge(rotated, k, pos, dict(model.rope._keywords()), slice(0, 8))


class Raw(nn.Module):
    """The operators themselves, and the two that make what the others take."""

    def forward(self, x, inv_freq):
        words = torch.ops.rope.turns(inv_freq)
        table = torch.ops.rope.cos_sin_table(words, 9, start=2**40, attention_factor=1.5)
        return (*torch.ops.rope.rotate_qk(x, x, inv_freq=words), words, table)


def test_an_exported_program_of_the_operators():
    x, _, _, _ = inputs(B, S)
    inv_freq = torch.tensor([1.0, -0.5, 0.01, 3e-4, 1e-9, 0.0, 1e6, -3.0], dtype=torch.float64)
    program = torch.export.export(Raw(), (x, inv_freq))
    q, k, words, table = Exported(program, (), opset_version=23).run(x, inv_freq)
    judge(q, x, None, {"inv_freq": inv_freq}, slice(0, D))
    assert same_bits(q, k)
    assert torch.equal(words, torch_rope.turns(inv_freq))
    # Each is within 0.75 u of the exact value, times 1.5, and rounded once more: 2^-24 below 2.
    expected = torch_rope.cos_sin_table(inv_freq, 9, start=2**40, attention_factor=1.5)
    torch.testing.assert_close(table, expected, rtol=0.0, atol=(2 * 0.75 * 1.5 + 2) * 2.0**-24)


def test_turns_of_any_frequency():
    """In the graph they are made of digits; the same words as the operator's."""

    class Turns(nn.Module):
        def forward(self, inv_freq):
            return torch_rope.turns(inv_freq)

    generator = torch.Generator().manual_seed(0)
    mantissas = torch.randn(4000, generator=generator, dtype=torch.float64)
    exponents = torch.randint(-70, 56, (4000,), generator=generator)
    inv_freq = torch.cat((torch.ldexp(mantissas, exponents), torch.zeros(1), torch.ones(1)))
    (words,) = Exported(Turns(), (inv_freq,), opset_version=23).run(inv_freq)
    assert torch.equal(words, torch_rope.turns(inv_freq))


def test_positions_outside_a_table():
    """NaN where the opset has no node; with the node the runtime refuses them."""

    class Table(nn.Module):
        def forward(self, x, pos):
            return torch_rope.rotate(x, pos, cos_sin=TABLE)

    x = random(1, 3, 1, D, dtype=torch.float32, device="cpu")
    inside, outside = torch.tensor([0, 1, 2]), torch.tensor([0, -1, len(TABLE)])
    (plain,) = Exported(Table(), (x, inside), opset_version=18).run(x, outside)
    assert torch.equal(plain.isnan(), torch_rope.rotate(x, outside, cos_sin=TABLE).isnan())
    with pytest.raises(Exception, match=r"position_ids value -1 .* out of range"):
        Exported(Table(), (x, inside), opset_version=23).run(x, outside)


IN_PLACE = {
    "apply": lambda x, pos: torch_rope.apply(x, x.clone(), pos),
    "apply_qkv": lambda x, pos: torch.ops.rope.apply_qkv(x, pos, num_heads_q=1, num_heads_k=1),
    "rerotate": lambda x, pos: torch_rope.rerotate(x, pos, pos, new_inv_freq=TURNS),
    "module": lambda x, pos: RotaryEmbedding(Schedule([1.0])).apply(x, None, pos),
}


@pytest.mark.parametrize("operator", IN_PLACE)
def test_writing_is_refused(operator):
    class Writing(nn.Module):
        def forward(self, x, pos):
            x = x * 2
            IN_PLACE[operator](x, pos)
            return x

    x, pos, _, _ = inputs(B, S)
    name = {"module": "apply"}.get(operator, operator)
    text = f"rope::{name}: what writes in place cannot be exported to ONNX; rotate and rotate_qk"
    with pytest.raises(torch.onnx.errors.OnnxExporterError, match=text):
        Exported(Writing(), (x, pos))


def test_writing_is_exported_elsewhere():
    """Only ONNX has no place for it."""

    class Writing(nn.Module):
        def forward(self, x):
            x = x * 2
            torch_rope.apply(x)
            return x

    x, _, _, _ = inputs(B, S)
    program = torch.export.export(Writing(), (x,))
    assert same_bits(program.module()(x), torch_rope.rotate(x * 2))


def test_a_dynamic_head_is_refused():
    class Width(nn.Module):
        def forward(self, x):
            return torch_rope.rotate(x, rotary_offset=4)

    x, _, _, _ = inputs(B, S)
    dynamic = ({3: torch.export.Dim.DYNAMIC},)
    with pytest.raises(
        torch.onnx.errors.OnnxExporterError, match="rope::rotate: head_dim must be static"
    ):
        Exported(Width(), (x,), dynamic_shapes=dynamic)
