"""Claim: attention decays with the distance. What RoFormer proves is an upper bound, and it rises
and falls; a long base makes it fall later, position interpolation stretches it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torch_rope import Schedule, schedules

HEAD_DIM = 128
SCHEDULES: dict[str, Schedule] = {
    "base 1e4": schedules.default(HEAD_DIM, 1e4),
    "base 1e5": schedules.default(HEAD_DIM, 1e5),
    "base 1e6": schedules.default(HEAD_DIM, 1e6),
    "base 1e7": schedules.default(HEAD_DIM, 1e7),
    "linear, factor 8": schedules.linear(HEAD_DIM, 1e4, 8.0),
    "NTK, α = 8": schedules.ntk(HEAD_DIM, 1e4, 8.0),
}
DISTANCES = 4096


def bound(schedule: Schedule, distances: Tensor) -> Tensor:
    """RoFormer's section 3.4.3: the mean over j of |Σ_{i<j} e^(i·distance·f_i)|, float64, divided
    by its value at distance 0."""
    angles = distances.double()[:, None] * schedule.inv_freq
    sums = torch.polar(torch.ones_like(angles), angles).cumsum(dim=-1).abs()
    return sums.mean(dim=-1) / ((schedule.inv_freq.numel() + 1) / 2)


def score(schedule: Schedule, distances: Tensor) -> Tensor:
    """Of a vector with itself, all pairs equally long: the mean cosine."""
    return (distances.double()[:, None] * schedule.inv_freq).cos().mean(dim=-1)


def curves() -> dict[str, list[float]]:
    """Distance and, for each schedule, the bound there; some 200 distances up to DISTANCES."""
    steps = torch.logspace(0, torch.tensor(float(DISTANCES)).log10().item(), 200)
    distances = steps.round().unique()
    found = {name: bound(schedule, distances).tolist() for name, schedule in SCHEDULES.items()}
    return {"distance": distances.tolist(), **found}


def summary() -> dict[str, dict[str, float]]:
    """For each schedule: the bound at 256 and 4096 tokens, in how many of the steps from one
    distance to the next up to 4096 it rises, and the lowest mean cosine up to there."""
    every = torch.arange(DISTANCES + 1)
    found = {}
    for name, schedule in SCHEDULES.items():
        values = bound(schedule, every)
        found[name] = {
            "at_256": float(values[256]),
            "at_4096": float(values[4096]),
            "rising": float((values.diff() > 0).double().mean()),
            "lowest_score": float(score(schedule, every).min()),
        }
    return found
