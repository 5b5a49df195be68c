"""Calls of the operators that are exported to ONNX together, since one export takes seconds.

A case says what is rotated, its positions and the keywords, all made from the inputs of one module.
Exported runs that module's graph. For test_onnx.py.
"""

import functools
import logging
import warnings

import numpy
import onnx
import onnxruntime
import torch
from cases import random
from onnx.reference import ReferenceEvaluator

import torch_rope
from torch_rope import schedules

D, N, ROWS = 16, 8, 12
TURNS = schedules.default(dim=D, base=1e4).kwargs()["inv_freq"]
FLOATS = torch.logspace(0, -3, N)
DOUBLES = torch.logspace(1, -4, N, dtype=torch.float64)
AXES = torch_rope.turns(torch.stack((FLOATS, FLOATS.flip(0), FLOATS * 0.5)))
HEADS = torch_rope.turns(torch.rand(2, 3, N, generator=torch.Generator().manual_seed(0)))
TABLE = torch_rope.cos_sin_table(TURNS, ROWS)
# Not what frequencies give, so that it shows which of the two is used.
OTHER_TABLE = TABLE.roll(1, 0) * 0.5
CU_SEQLENS = torch.tensor([0, 2, 2, 5])
STARTS = torch.tensor([100, 0, 2**40])


def inputs(batches, tokens):
    """x (B, S, 3, D), positions (B, S) with large ones, rows of TABLE, and offsets (B,)."""
    x = random(batches, tokens, 3, D, dtype=torch.float32, device="cpu")
    pos = torch.arange(batches * tokens).reshape(batches, tokens)
    pos[0, :4] = torch.tensor([1_000_000, 2**40, -7, -(2**62)])
    rows = torch.arange(batches * tokens).reshape(batches, tokens) * 5 % ROWS
    offsets = torch.arange(batches) * 2**33 - 5
    return x, pos, rows, offsets


def _angles_of_tokens(rows):
    return torch.cat((TABLE[rows, :N], TABLE[rows, N:]), dim=-1)


def _rows_of_heads(rows):
    """(B, S, 3, n) cosines and sines, other ones for each head."""
    heads = torch.stack([TABLE[(rows + head) % ROWS] for head in range(3)], dim=2)
    return {"cos": heads[..., :N], "sin": heads[..., N:]}


def _padded(x, before, after):
    return torch.nn.functional.pad(x, (before, after), value=0.75)


# name: (x, pos, rows, offsets) -> (tensor, positions, keywords)
CASES = {
    "base": lambda x, p, r, o: (x, p, {}),
    "other-base": lambda x, p, r, o: (x, p, {"base": 5e5}),
    "counted": lambda x, p, r, o: (x, None, {}),
    "int32": lambda x, p, r, o: (x, r.int(), {}),
    "one-row-of-positions": lambda x, p, r, o: (x, p[0], {}),
    "interleaved": lambda x, p, r, o: (x, p, {"interleaved": True}),
    "turns": lambda x, p, r, o: (x, p, {"inv_freq": TURNS}),
    "float32": lambda x, p, r, o: (x, p, {"inv_freq": FLOATS}),
    "float64": lambda x, p, r, o: (x, p, {"inv_freq": DOUBLES}),
    "negative": lambda x, p, r, o: (x, p, {"inv_freq": -DOUBLES}),
    "inverse": lambda x, p, r, o: (x, p, {"inverse": True}),
    "factor": lambda x, p, r, o: (x, p, {"attention_factor": 1.25}),
    "part": lambda x, p, r, o: (x, p, {"rotary_dim": 6}),
    "part-interleaved": lambda x, p, r, o: (x, p, {"rotary_dim": 6, "interleaved": True}),
    "offset": lambda x, p, r, o: (_padded(x, 3, 2), p, {"rotary_dim": D, "rotary_offset": 3}),
    "from-the-end": lambda x, p, r, o: (_padded(x, 5, 0), p, {"rotary_offset": -D}),
    "odd-head": lambda x, p, r, o: (_padded(x, 0, 1), p, {"inv_freq": TURNS}),
    "skipped": lambda x, p, r, o: (x, p, {"skip_negative": True}),
    "offsets": lambda x, p, r, o: (x, p, {"offsets": o}),
    "counted-offsets": lambda x, p, r, o: (x, None, {"offsets": o}),
    "an-int-offset": lambda x, p, r, o: (x, r, {"offsets": 2**41}),
    "axes": lambda x, p, r, o: (x, torch.stack((p, r, p - r)), {"inv_freq": AXES}),
    "axes-of-one-row": lambda x, p, r, o: (x, torch.stack((p, r, -p))[:, 0], {"inv_freq": AXES}),
    "heads": lambda x, p, r, o: (x, torch.stack((p, r)), {"inv_freq": HEADS}),
    "bhsd": lambda x, p, r, o: (x.transpose(1, 2), p, {"layout": "bhsd"}),
    "sbhd": lambda x, p, r, o: (x.transpose(0, 1), p, {"layout": "sbhd"}),
    "thd": lambda x, p, r, o: (x[0], p[0], {}),
    "ragged": lambda x, p, r, o: (x.flatten(0, 1)[:5], None, {"cu_seqlens": CU_SEQLENS}),
    "ragged-offsets": lambda x, p, r, o: (
        x.flatten(0, 1)[:5],
        None,
        {"cu_seqlens": CU_SEQLENS.int(), "offsets": STARTS},
    ),
    "bf16": lambda x, p, r, o: (x.bfloat16(), p, {"inv_freq": TURNS}),
    "f16": lambda x, p, r, o: (x.half(), p, {"skip_negative": True}),
    "table": lambda x, p, r, o: (x, r, {"cos_sin": TABLE}),
    "table-of-bf16": lambda x, p, r, o: (x.bfloat16(), r, {"cos_sin": TABLE.bfloat16()}),
    "cos-and-sin": lambda x, p, r, o: (x, r, {"cos": TABLE[:, :N], "sin": TABLE[:, N:]}),
    "table-inverse": lambda x, p, r, o: (x, r, {"cos_sin": TABLE, "inverse": True}),
    "table-counted": lambda x, p, r, o: (x, None, {"cos_sin": TABLE}),
    "table-of-a-part": lambda x, p, r, o: (x, r, {"cos_sin": TABLE[:, N - 3 : N + 3]}),
    "table-beside": lambda x, p, r, o: (
        x,
        torch.cat((p[:, :3], r[:, 3:]), dim=1),
        {"cos_sin": OTHER_TABLE, "inv_freq": TURNS},
    ),
    "rows-of-tokens": lambda x, p, r, o: (x, None, {"cos_sin": _angles_of_tokens(r)}),
    "one-row-of-tokens": lambda x, p, r, o: (x, None, {"cos_sin": _angles_of_tokens(r[:1])}),
    "rows-of-heads": lambda x, p, r, o: (x, None, _rows_of_heads(r)),
    "rows-of-heads-bhsd": lambda x, p, r, o: (
        x.transpose(1, 2),
        None,
        {"layout": "bhsd", "interleaved": True, **_rows_of_heads(r)},
    ),
}
# What RotaryEmbedding of ONNX cannot: angles of their own for each head.
PLAIN = ["heads", "rows-of-heads", "rows-of-heads-bhsd"]


class Calls(torch.nn.Module):
    """All cases at once, what is 16 bits wide widened exactly: numpy has no bfloat16."""

    def forward(self, x, pos, rows, offsets):
        results = []
        for case in CASES.values():
            tensor, positions, keywords = case(x, pos, rows, offsets)
            results.append(torch_rope.rotate(tensor, positions, **keywords).float())
        return tuple(results)


class Exported:
    """An ONNX model of a module, and what runs it."""

    def __init__(self, module, arguments, **options):
        # What torch says of torchvision, which is not there, is of no interest.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(module, arguments, dynamo=True, verbose=False, **options)
        self.model = program.model_proto
        onnx.checker.check_model(self.model, full_check=True)
        self.inferred = onnx.shape_inference.infer_shapes(self.model, strict_mode=True)
        self.made_by = {out: node for node in self.model.graph.node for out in node.output}

    def feeds(self, arguments):
        names = [given.name for given in self.model.graph.input]
        return dict(zip(names, (argument.numpy() for argument in arguments), strict=True))

    @functools.cached_property
    def session(self):
        return onnxruntime.InferenceSession(
            self.model.SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def run(self, *arguments):
        results = self.session.run(None, self.feeds(arguments))
        return [torch.from_numpy(numpy.ascontiguousarray(result)) for result in results]

    def evaluate(self, *arguments):
        """The same by ONNX's own reference."""
        results = ReferenceEvaluator(self.model).run(None, self.feeds(arguments))
        return [torch.from_numpy(numpy.ascontiguousarray(result)) for result in results]

    def nodes_behind(self, index):
        """The nodes that output number `index` depends on."""
        found, names = {}, [self.model.graph.output[index].name]
        while names:
            node = self.made_by.get(names.pop())
            if node is not None and node.output[0] not in found:
                found[node.output[0]] = node
                names.extend(node.input)
        return list(found.values())

    def types(self):
        """The element type of every value."""
        graph = self.inferred.graph
        typed = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
        return typed | {tensor.name: tensor.data_type for tensor in graph.initializer}
