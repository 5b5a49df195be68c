"""The libraries that CMakeLists.txt here makes of others' headers, called through ctypes. For
adapters.py."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu.cases import Pair, Workload
from benchmarks.gpu.clock import Call
from benchmarks.gpu.provider import NotServed, refuse

NOT_SERVED, THREW = -1, -2  # PeerStatus of call.h
POINTERS = ("q", "k", "table", "pos", "stream")
NUMBERS = (
    *("tokens", "rows", "heads_q", "heads_k", "head_dim", "rotary_dim"),
    *("q_token", "q_head", "k_token", "k_head", "is_half", "interleaved"),
)


class PeerCall(ctypes.Structure):
    """As in call.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        *((name, ctypes.c_int64) for name in NUMBERS),
    ]


Function = Callable[[PeerCall], int]


def load(path: Path) -> Function:
    function = ctypes.CDLL(str(path)).rope_peer
    function.argtypes, function.restype = [ctypes.POINTER(PeerCall)], ctypes.c_int
    return lambda call: int(function(ctypes.byref(call)))


def arguments(work: Workload, pair: Pair, *, whole_heads: bool) -> PeerCall:
    """whole_heads: with components that are not rotated, but for those before rotary_offset: as
    engines call it, who keep what is rotated of each head apart."""
    case = work.case
    dim = case.head_dim if whole_heads and not case.rotary_offset else case.rotary_dim
    q, k = (x[..., :dim] for x in work.rotated_views(pair))
    # One key head may be said to be any stride from the next one, which is not there.
    k_head = q.stride(1) if k.shape[1] == 1 else k.stride(1)
    return PeerCall(
        q=q.data_ptr(),
        k=k.data_ptr(),
        table=work.table.data_ptr(),
        pos=work.pos.data_ptr(),
        tokens=case.tokens,
        rows=len(work.table),
        heads_q=q.shape[1],
        heads_k=k.shape[1],
        head_dim=dim,
        rotary_dim=case.rotary_dim,
        q_token=q.stride(0),
        q_head=q.stride(1),
        k_token=k.stride(0),
        k_head=k_head,
        is_half=case.dtype == torch.float16,
        interleaved=case.interleaved,
    )


def rotation(work: Workload, function: Function, *, whole_heads: bool) -> list[Call]:
    refuse(work.case.dtype == torch.float32, "16-bit types only")
    refuse(work.case.backward, "in place, without a gradient")

    def call(prepared: PeerCall) -> None:
        prepared.stream = torch.cuda.current_stream().cuda_stream
        status = function(prepared)
        if status == NOT_SERVED:
            raise NotServed("it has no such size")
        if status:
            what = "an exception" if status == THREW else f"cudaError {status}"
            raise RuntimeError(f"it ended with {what}")

    return [partial(call, arguments(work, pair, whole_heads=whole_heads)) for pair in work.sets]
