"""torch.onnx.export of the operators, run by ONNX Runtime and by onnx's own reference evaluator.

Judged by guarantee 1 against torch_rope.reference, as the operators themselves. An exported model
rounds cos and sin (2^-25 of each component, together at most 0.71·2^-24 of a pair's norm), two
products (as much again) and the result: less than the 3.1·2^-24 and half a unit that bounds.py
allows. Positions are such that float32 angles would be wrong altogether.
"""

import logging
from functools import lru_cache

import onnx.reference
import onnxruntime
import pytest
import torch
from cases import random
from layouts import assert_rotated, view_as

import torch_rope
from torch_rope.integrations import onnx as onnx_integration

B, S, H, D, N = 2, 5, 3, 16, 8
FAR = 2**40
POS = torch.tensor([[0, 1, -3, 10**6, FAR], [7, -1, 2, 3, -(10**9)]])
NEAR = torch.tensor([[0, 1, 2, 6, 3], [6, 0, 0, 4, 5]])
SCHEDULE = torch_rope.schedules.default(dim=2 * N, base=5e5)
TURNS = torch_rope.turns(SCHEDULE.inv_freq)
TABLE = SCHEDULE.table(7)


def axes(count, *heads):
    turns = torch.stack([TURNS // (axis + 2) for axis in range(count)])
    return turns[:, None].expand(-1, *heads, -1) if heads else turns


def halves(table):
    return {"cos": table[..., :N], "sin": table[..., N:]}


# layout, pos, keywords; for the reference the frequencies are turns too.
CALLS = {
    "base": ("bshd", POS, {"base": 5e5}),
    "counted": ("bshd", None, {"rotary_dim": 6}),
    "turns": ("bshd", POS, {"inv_freq": TURNS, "attention_factor": 1.25}),
    "interleaved": (
        "bshd",
        POS,
        {"inv_freq": TURNS[:4], "rotary_dim": 8, "interleaved": True, "inverse": True},
    ),
    "row": ("bhsd", POS[1], {"inv_freq": TURNS[:3], "rotary_dim": 6, "rotary_offset": 4}),
    "from-the-end": ("sbhd", POS[:1], {"rotary_dim": 4, "rotary_offset": -6}),
    "ragged": ("thd", POS[0], {"inv_freq": TURNS, "offsets": torch.tensor([-5])}),
    "sequences": ("thd", None, {"cu_seqlens": torch.tensor([0, 2, 2, 3, S]), "base": 3.0}),
    "offsets-of-sequences": (
        "thd",
        POS[0],
        {
            "cu_seqlens": torch.tensor([0, 4, S], dtype=torch.int32),
            "offsets": torch.tensor([FAR, -2]),
        },
    ),
    "offsets": ("bhsd", POS, {"offsets": torch.tensor([1000, -1], dtype=torch.int32)}),
    "counted-offsets": ("sbhd", None, {"offsets": torch.tensor([FAR, 3])}),
    "skip_negative": ("bshd", POS, {"inv_freq": TURNS, "skip_negative": True}),
    "axes": (
        "bshd",
        torch.stack((POS, POS.flip(1))),
        {"inv_freq": axes(2), "skip_negative": True},
    ),
    "heads": ("bhsd", POS, {"inv_freq": axes(1, H), "interleaved": True}),
    "table": ("bshd", NEAR, {"cos_sin": TABLE}),
    "table-16-bits": ("bshd", NEAR, {**halves(TABLE.half()), "inverse": True}),
    "cos-sin": ("bhsd", NEAR[0], {**halves(TABLE), "interleaved": True}),
    "table-and-turns": ("bshd", POS, {"cos_sin": TABLE, "inv_freq": TURNS}),
    "rows-of-tokens": ("bshd", None, {"cos_sin": TABLE[NEAR]}),
    "shared-rows-of-tokens": ("sbhd", None, halves(TABLE[NEAR[:1]])),
    "rows-of-heads": (
        "bshd",
        None,
        halves(TABLE[NEAR][:, :, None] * torch.tensor([1.0, 0.5, 0.25])[:, None]),
    ),
}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
CASES = [(call, "f32") for call in CALLS if call != "table-16-bits"]
CASES += [(call, "f16") for call in ("turns", "from-the-end", "skip_negative", "table-16-bits")]
CASES += [(call, "bf16") for call in ("turns", "skip_negative", "heads", "table")]


# RotaryEmbedding came with opset 23; before it there are products and sums.
PLAIN = ("counted", "interleaved", "row", "skip_negative", "heads", "table", "rows-of-tokens")
MODELS = {23: CASES, 20: [(call, "f32") for call in PLAIN]}


class Rotating(torch.nn.Module):
    def __init__(self, rotate):
        super().__init__()
        self.rotate = rotate
        self.eval()

    def forward(self, *tensors):
        return self.rotate(*tensors)


def heads():
    return random(B, S, H, D, dtype=torch.float32, device="cpu")


def export(module, tensors, **options):
    """Quietly: the exporter speaks of torchvision and of constants that it does not fold."""
    logging.disable(logging.WARNING)
    try:
        return torch.onnx.export(module, tensors, dynamo=True, verbose=False, **options)
    finally:
        logging.disable(logging.NOTSET)


RUNTIMES = {
    "onnxruntime": lambda model: onnxruntime.InferenceSession(model.SerializeToString()).run,
    "reference": lambda model: onnx.reference.ReferenceEvaluator(model).run,
}


def outputs(model, runtime, *tensors):
    names = [value.name for value in model.graph.input]
    feeds = {name: x.numpy() for name, x in zip(names, tensors, strict=True)}
    return [torch.from_numpy(made) for made in RUNTIMES[runtime](model)(None, feeds)]


def node_types(program):
    return [node.op_type for node in program.model.graph.all_nodes()]


@lru_cache
def made(opset):
    """(runtime, call, dtype) → result, of one model of all cases, whose results are float32."""

    def rotate(x, call, dtype):
        layout, pos, keywords = CALLS[call]
        heads = view_as(layout, x.to(DTYPES[dtype]))
        return torch_rope.rotate(heads, pos, layout=layout, **keywords).float()

    each = Rotating(lambda x: [rotate(x, *case) for case in MODELS[opset]])
    model = export(each, (heads(),), opset_version=opset).model_proto
    onnx.checker.check_model(model, full_check=True)
    return {
        (runtime, *case): result
        for runtime in RUNTIMES
        for case, result in zip(MODELS[opset], outputs(model, runtime, heads()), strict=True)
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("opset", "call", "dtype"), [(opset, *case) for opset in MODELS for case in MODELS[opset]]
)
def test_rotate(runtime, opset, call, dtype):
    layout, pos, keywords = CALLS[call]
    x = view_as(layout, heads().to(DTYPES[dtype]))
    result = made(opset)[runtime, call, dtype].to(x.dtype)
    assert_rotated(result, x, pos, largest_position=4 * FAR, layout=layout, **keywords)


@pytest.mark.parametrize("rows", [0, 7], ids=["computed", "table"])
def test_module_of_any_extents(rows):
    """RotaryEmbedding with a batch and a sequence that the model was not exported with."""
    module = torch_rope.RotaryEmbedding(SCHEDULE, table_rows=rows).eval()
    q, k = heads(), heads()[:, :, :1]
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = export(module, (q, k, POS), opset_version=23, dynamic_shapes=(dynamic,) * 3)
    assert node_types(program).count("RotaryEmbedding") == 2
    q, k = torch.cat((q, q, q), 1)[:1], torch.cat((k, k, k), 1)[:1]
    pos = torch.cat((POS, POS + 3, POS), 1)[:1]
    for result, x in zip(
        outputs(program.model_proto, "onnxruntime", q, k, pos), (q, k), strict=True
    ):
        assert_rotated(result, x, pos, largest_position=2 * FAR, inv_freq=TURNS)


@pytest.mark.parametrize("strict", [False, True], ids=["not-strict", "strict"])
def test_operators_of_an_exported_program(strict):
    """Called through torch.ops, in a program that torch.export made."""
    module = Rotating(lambda x, pos, cos_sin: torch.ops.rope.rotate(x, pos, cos_sin=cos_sin))
    program = torch.export.export(module, (heads(), NEAR, TABLE), strict=strict)
    exported = export(program, None, opset_version=23)
    # The node as other software knows it, which asks the table itself.
    assert sorted(node_types(exported)) == ["RotaryEmbedding", "Split", "Transpose", "Transpose"]
    (result,) = outputs(exported.model_proto, "onnxruntime", heads(), NEAR, TABLE)
    assert_rotated(result, heads(), NEAR, largest_position=7, cos_sin=TABLE)


def test_a_position_without_a_row():
    """With a table alone: NaN as from the operator, and from the node an error of ONNX Runtime."""
    module = Rotating(lambda x, pos: torch_rope.rotate(x, pos, cos_sin=TABLE))
    plain = export(module, (heads(), NEAR), opset_version=20).model_proto
    (result,) = outputs(plain, "onnxruntime", heads(), POS)
    expected = torch_rope.rotate(heads(), POS, cos_sin=TABLE)
    assert torch.equal(result.isnan(), expected.isnan())
    assert expected.isnan().any()
    node = export(module, (heads(), NEAR), opset_version=23).model_proto
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        outputs(node, "onnxruntime", heads(), POS)


def test_without_the_exporter():
    """decompositions is for those who go on from torch.export themselves."""
    program = torch.export.export(Rotating(torch_rope.rotate), (heads(), POS))
    plain = program.run_decompositions(onnx_integration.decompositions(opset=20))
    assert not any(str(node.target).startswith("rope") for node in plain.graph.nodes)
    assert_rotated(plain.module()(heads(), POS), heads(), POS, largest_position=2 * FAR)


REFUSED = {
    "apply": (lambda x, pos: torch_rope.apply(x, None, pos), "rope::apply: what writes in place"),
    "apply_qkv": (
        lambda x, pos: torch_rope.apply_qkv(x, pos, num_heads_q=1, num_heads_k=1),
        "rope::apply_qkv: what writes in place",
    ),
    "rerotate": (
        lambda x, pos: torch_rope.rerotate(x, pos, pos + 1),
        "rope::rerotate: what writes in place",
    ),
    "frequencies": (
        lambda x, pos: torch_rope.rotate(x, pos, inv_freq=pos[0, :4].float()),
        "rope::rotate: inv_freq must be int64 turns to be exported to ONNX",
    ),
}


@pytest.mark.parametrize(("rotate", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(rotate, text):
    def changed(x, pos):
        x = x * 2
        made = rotate(x, pos)
        return x if made is None else made

    with pytest.raises(torch.onnx.OnnxExporterError, match=text):
        export(Rotating(changed), (heads(), POS))


def test_models_without_the_operators_are_left_alone():
    program = export(Rotating(torch.sin), (heads(),))
    assert node_types(program) == ["Sin"]
