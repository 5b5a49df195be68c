"""Whether a provider does what it is timed for. For bench.py."""

from __future__ import annotations

import torch
from torch import Tensor

import torch_rope
from benchmarks.cpu.agreement import SMALLEST_NORM, allowed_error
from benchmarks.gpu.cases import Workload
from benchmarks.gpu.providers import Call, Provider

CHECKED_TOKENS = 16


class Wrong(Exception):
    """A result that rounding cannot explain."""


def verify(provider: Provider, call: Call, work: Workload) -> None:
    """Runs the call once, on the first set, and judges some first and last tokens.

    Rotations are held against torch_rope.reference (float64) with the bound that
    benchmarks/cpu/agreement.py derives; the ceiling against its input negated; and what this
    library makes on a GPU against what it makes on a CPU, bit for bit.
    """
    pair = (work.sets if provider.rotates else work.plain_sets)[0]
    before = pair.clone()
    made = call()
    q, k = (pair.q, pair.k) if provider.in_place else made
    tokens = torch.arange(work.case.tokens, device=work.device)
    tokens = torch.cat((tokens[:CHECKED_TOKENS], tokens[CHECKED_TOKENS:][-CHECKED_TOKENS:]))
    for name, given, got in (("q", before.q, q), ("k", before.k, k)):
        if got.shape != given.shape:
            raise Wrong(f"{name} has the shape {tuple(got.shape)}")
        _judge(provider, name, given[:, tokens], got[:, tokens], work, work.pos[tokens])
    if provider.in_place:  # every provider gets the same values
        pair.q.copy_(before.q)
        pair.k.copy_(before.k)


def _judge(
    provider: Provider, name: str, given: Tensor, got: Tensor, work: Workload, pos: Tensor
) -> None:
    if not provider.rotates:
        if not torch.equal(got, -given):
            raise Wrong(f"{name} is not its input negated")
        return
    if provider.name in ("table", "computed", "new"):
        same = torch_rope.rotate(
            given.cpu(), pos.cpu(), inv_freq=work.turns.cpu(), interleaved=work.case.interleaved
        )
        if not torch.equal(got.cpu(), same):
            raise Wrong(f"{name} has other bits than the CPU's")
    error, allowed = _largest_error(given, got, work, pos), allowed_error(work.case.dtype)
    if not error <= allowed:
        raise Wrong(f"{name} is off by {error:.3g} of a norm; rounding explains {allowed:.3g}")


def _largest_error(given: Tensor, got: Tensor, work: Workload, pos: Tensor) -> float:
    """As a fraction of the pair's norm; of their own size for components outside any pair."""
    given, got = given.double(), got.double()
    exact = torch_rope.reference.rotate(
        given, pos, inv_freq=work.inv_freq, interleaved=work.case.interleaved
    )
    width = work.case.rotary_dim
    rotated = given[..., :width]
    pairs = rotated.unflatten(-1, (-1, 2) if work.case.interleaved else (2, -1))
    dim = -1 if work.case.interleaved else -2
    norms = torch.linalg.vector_norm(pairs, dim=dim, keepdim=True).expand_as(pairs).flatten(-2)
    scale = torch.cat((norms, given[..., width:].abs()), dim=-1).clamp(min=SMALLEST_NORM)
    return float(((got - exact).abs() / scale).nan_to_num(nan=torch.inf).max())
