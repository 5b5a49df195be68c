"""ONNX Runtime's RotaryEmbedding, on torch's memory. For providers.py alone.

It gets the same cosines and sines as torch_rope, rounded to q's type as it expects them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.cpu.call import Call, Missing
from benchmarks.cpu.cases import Case
from benchmarks.cpu.peers import installed
from benchmarks.cpu.workload import Pair, Workload


def rotary_embedding(work: Workload) -> list[Call]:
    runtime = installed("onnxruntime")
    if work.case.rotary_offset:
        raise Missing("it rotates the first components of a head only")
    element = _element_type(work.case.dtype)
    session = _session(runtime, work, element)
    # int64 (B, S); (rows, n) each.
    positions = work.pos.reshape(work.case.batch, -1).contiguous()
    cos, sin = (part.contiguous() for part in work.table.to(work.case.dtype).chunk(2, dim=-1))

    def call(pair: Pair) -> Call:
        out = pair.empty_like()
        binding = session.io_binding()
        integer = _element_type(torch.int64)
        inputs = {"q": pair.q, "k": pair.k, "cos": cos, "sin": sin}
        _bind(binding.bind_input, {"position_ids": positions}, integer)
        _bind(binding.bind_input, inputs, element)
        _bind(binding.bind_output, {"q_out": out.q, "k_out": out.k}, element)
        # The binding keeps addresses only: the closure keeps the tensors.
        kept = (pair, out, cos, sin, positions)
        return Call(lambda: session.run_with_iobinding(binding), lambda: kept[1])

    return [call(pair) for pair in work.sets]


def _element_type(dtype: torch.dtype) -> int:
    types = installed("onnx").TensorProto
    return {
        torch.float32: types.FLOAT,
        torch.bfloat16: types.BFLOAT16,
        torch.float16: types.FLOAT16,
        torch.int64: types.INT64,
    }[dtype]


def _bind(bind: Callable[..., None], tensors: dict[str, Tensor], element: int) -> None:
    """Binds memory by address; (B, S, H, D) goes as the (B, S, H * D) that the operator wants."""
    for name, x in tensors.items():
        extents = x.flatten(2).shape if x.dim() == 4 else x.shape
        bind(name, "cpu", 0, element, list(extents), x.data_ptr())


def _session(runtime: Any, work: Workload, element: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = work.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads may wait actively during a run, not after it, when somebody else has his turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return runtime.InferenceSession(
        _onnx_model(work.case, element), options, providers=["CPUExecutionProvider"]
    )


def _onnx_model(case: Case, element: int) -> bytes:
    onnx = installed("onnx")
    helper = onnx.helper

    def value(name: str, extents: list[Any], kind: int = element) -> Any:
        return helper.make_tensor_value_info(name, kind, extents)

    def node(name: str, heads: int) -> Any:
        partial = {"rotary_embedding_dim": case.rotary_dim} if case.is_partial else {}
        return helper.make_node(
            "RotaryEmbedding",
            [name, "position_ids", "cos", "sin"],
            [f"{name}_out"],
            domain="com.microsoft",
            interleaved=int(case.interleaved),
            num_heads=heads,
            **partial,
        )

    heads = {"q": case.heads_q, "k": case.heads_k}
    extents = {
        name: [case.batch, case.tokens, count * case.head_dim] for name, count in heads.items()
    }
    cache = ["rows", case.rotary_dim // 2]
    graph = helper.make_graph(
        [node(name, count) for name, count in heads.items()],
        "rotation",
        [
            *(value(name, extents[name]) for name in heads),
            value("position_ids", [case.batch, case.tokens], onnx.TensorProto.INT64),
            value("cos", cache),
            value("sin", cache),
        ],
        [value(f"{name}_out", extents[name]) for name in heads],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
