"""Whether a provider does what it is timed for. For bench.py."""

from __future__ import annotations

import torch
from torch import Tensor

import torch_rope
from benchmarks.cpu.agreement import SMALLEST_NORM, allowed_error
from benchmarks.gpu.cases import Case, Workload
from benchmarks.gpu.clock import Call
from benchmarks.gpu.provider import FLOOR, OURS, Provider

CHECKED_TOKENS = 16


class Wrong(Exception):
    """A result that rounding cannot explain."""


def verify(provider: Provider, call: Call, work: Workload) -> None:
    """Runs the call once, on the first set, and judges some first and last tokens. Every provider
    gets the same values, whatever the one before has left.

    Rotations are held against torch_rope.reference (float64) with the bound that
    benchmarks/cpu/agreement.py derives; the ceiling against its input negated; and what this
    library makes on a GPU against what it makes on a CPU, bit for bit. Who takes the angles in
    float32 gets them half a unit in the last place off, 2^-24 of the largest position at most
    since no frequency is above 1, and an angle that is off by e turns a pair by e of its norm.
    """
    if provider.kind == FLOOR:
        return
    pair = (work.sets if provider.rotates else work.plain_sets)[0]
    before = pair.clone()
    made = call()
    in_place = provider.in_place and not work.case.backward
    q, k = (pair.q, pair.k) if in_place or not provider.rotates else made
    tokens = torch.arange(work.case.tokens, device=work.device)
    tokens = torch.cat((tokens[:CHECKED_TOKENS], tokens[CHECKED_TOKENS:][-CHECKED_TOKENS:]))
    try:
        for name, given, got in (("q", before.q, q), ("k", before.k, k)):
            if got.shape != given.shape:
                raise Wrong(f"{name} has the shape {tuple(got.shape)}")
            _judge(provider, name, given[:, tokens], got[:, tokens], work, work.pos[tokens])
    finally:
        pair.q.copy_(before.q)
        pair.k.copy_(before.k)


def _judge(
    provider: Provider, name: str, given: Tensor, got: Tensor, work: Workload, pos: Tensor
) -> None:
    if not provider.rotates:
        if not torch.equal(got, -given):
            raise Wrong(f"{name} is not its input negated")
        return
    case = work.case
    keywords = {
        "interleaved": case.interleaved,
        "inverse": case.backward,
        "rotary_offset": case.rotary_offset,
    }
    exact = torch_rope.reference.rotate(given, pos, inv_freq=work.inv_freq, **keywords)
    error = _largest_error(given.double(), got.double(), exact, case)
    allowed = allowed_error(case.dtype) + provider.float_angles * float(pos.max()) * 2.0**-24
    if not error <= allowed:
        raise Wrong(f"{name} is off by {error:.3g} of a norm; rounding explains {allowed:.3g}")
    if provider.kind == OURS:
        same = torch_rope.rotate(given.cpu(), pos.cpu(), inv_freq=work.turns.cpu(), **keywords)
        if not torch.equal(got.cpu(), same):
            raise Wrong(f"{name} has other bits than the CPU's")


def _largest_error(given: Tensor, got: Tensor, exact: Tensor, case: Case) -> float:
    """As a fraction of the pair's norm; of their own size for components outside any pair."""
    if not given.numel():
        return 0.0
    start = case.first_component(given.shape[-1])
    width = case.rotary_dim
    before, rotated, rest = given.split((start, width, given.shape[-1] - start - width), dim=-1)
    pairs = rotated.unflatten(-1, (-1, 2) if case.interleaved else (2, -1))
    dim = -1 if case.interleaved else -2
    norms = torch.linalg.vector_norm(pairs, dim=dim, keepdim=True).expand_as(pairs).flatten(-2)
    scale = torch.cat((before.abs(), norms, rest.abs()), dim=-1).clamp(min=SMALLEST_NORM)
    return float(((got - exact).abs() / scale).nan_to_num(nan=torch.inf).max())
