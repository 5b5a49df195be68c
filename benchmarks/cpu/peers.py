"""Other implementations, where they are installed. For providers.py alone.

All get the same cosines and sines as torch_rope, rounded to q's type as each of them expects.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.cpu.call import Call, Missing, from_pair
from benchmarks.cpu.cases import Case, Pair, Workload

Rotation = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(f"{name.split('.')[0]} is not installed") from error


def _model(case: Case) -> str:
    """The transformers model whose function rotates such heads."""
    if case.interleaved:
        return "glm"
    return "llama" if case.rotary_dim == case.head_dim else "gpt_neox"


def _rotation(case: Case) -> Rotation:
    """The function of that model, on (B, S, H, D)."""
    model = _model(case)
    function = _installed(f"transformers.models.{model}.modeling_{model}").apply_rotary_pos_emb
    return lambda q, k, cos, sin: function(q, k, cos, sin, unsqueeze_dim=2)


def transformers_eager(work: Workload) -> list[Call]:
    return _new_tensors(work, _rotation(work.case))


def compiled(work: Workload) -> list[Call]:
    return _new_tensors(work, _compile(_rotation(work.case)))


def compiled_in_place(work: Workload) -> list[Call]:
    rotation = _rotation(work.case)

    def in_place(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> None:
        rotated_q, rotated_k = rotation(q, k, cos, sin)
        q.copy_(rotated_q)
        k.copy_(rotated_k)

    run = _compile(in_place)

    def call(pair: Pair) -> Call:
        return Call(lambda: run(pair.q, pair.k, work.cos, work.sin), lambda: pair)

    return [call(pair) for pair in work.sets]


def _new_tensors(work: Workload, rotation: Rotation) -> list[Call]:
    return [
        from_pair(lambda pair=pair: rotation(pair.q, pair.k, work.cos, work.sin))
        for pair in work.sets
    ]


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    # For these very shapes, which is the best that Inductor can do.
    return torch.compile(function, fullgraph=True, dynamic=False)


def forget_compiled() -> None:
    """Between workloads: Inductor's code for other shapes counts against a limit, past which it
    runs eagerly. What was compiled before must not be called again."""
    torch._dynamo.reset()


def onnxruntime(work: Workload) -> list[Call]:
    runtime = _installed("onnxruntime")
    element = _element_type(work.case.dtype)
    session = _session(runtime, work, element)
    # int64 (1, S); (rows, n) each.
    positions = work.pos[None].contiguous()
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
    types = _installed("onnx").TensorProto
    return {
        torch.float32: types.FLOAT,
        torch.bfloat16: types.BFLOAT16,
        torch.float16: types.FLOAT16,
        torch.int64: types.INT64,
    }[dtype]


def _bind(bind: Callable[..., None], tensors: dict[str, Tensor], element: int) -> None:
    """Binds memory by address; (1, S, H, D) goes as the (1, S, H * D) that the operator wants."""
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
    onnx = _installed("onnx")
    helper = onnx.helper

    def value(name: str, extents: list[Any], kind: int = element) -> Any:
        return helper.make_tensor_value_info(name, kind, extents)

    def node(name: str, heads: int) -> Any:
        partial = {"rotary_embedding_dim": case.rotary_dim} if _is_partial(case) else {}
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
    extents = {name: [1, case.tokens, count * case.head_dim] for name, count in heads.items()}
    cache = ["rows", case.rotary_dim // 2]
    graph = helper.make_graph(
        [node(name, count) for name, count in heads.items()],
        "rotation",
        [
            *(value(name, extents[name]) for name in heads),
            value("position_ids", [1, case.tokens], onnx.TensorProto.INT64),
            value("cos", cache),
            value("sin", cache),
        ],
        [value(f"{name}_out", extents[name]) for name in heads],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def _is_partial(case: Case) -> bool:
    return case.rotary_dim < case.head_dim
