"""Trains the models and writes weights/: python -m study.train, behind make study-train; some 40
minutes on one core. One thread and a seed, so that a second run on the same machine gives the
same weights.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import torch_rope
from study import text, weights
from study.model import POSITIONS, TRAINED_LENGTH, Decoder, losses

SEED = 0
FACTOR = 8  # how many times the trained length the fine-tuned model reads


@dataclass(frozen=True)
class Course:
    """How one model is trained. tokens a step: batch · length."""

    steps: int
    length: int
    batch: int
    peak: float  # learning rate, reached after `warm_up` steps and lowered along a cosine
    warm_up: int = 50


COURSE = Course(steps=1200, length=TRAINED_LENGTH, batch=16, peak=5e-3)
TUNING = Course(steps=240, length=FACTOR * TRAINED_LENGTH, batch=2, peak=3e-3, warm_up=10)


def rate(course: Course, step: int) -> float:
    if step < course.warm_up:
        return course.peak * (step + 1) / course.warm_up
    done = (step - course.warm_up) / max(1, course.steps - course.warm_up)
    return course.peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def batches(course: Course, random: torch.Generator) -> Tensor:
    """Windows from anywhere in the training text, (batch, length + 1)."""
    tokens = text.training()
    starts = torch.randint(len(tokens) - course.length, (course.batch,), generator=random)
    return torch.stack([tokens[start : start + course.length + 1] for start in starts.tolist()])


def train(
    model: Decoder, course: Course, schedule: torch_rope.Schedule | None = None
) -> list[float]:
    """The mean loss of every twentieth of the steps, nats a byte."""
    random = torch.Generator().manual_seed(SEED)
    model.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.1)
    seen: list[float] = []
    for step in range(course.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(course, step)
        loss = losses(model, batches(course, random), schedule).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen.append(loss.item())
    part = max(1, course.steps // 20)
    return [
        round(sum(seen[i : i + part]) / len(seen[i : i + part]), 4)
        for i in range(0, len(seen), part)
    ]


def interpolated() -> torch_rope.Schedule:
    return torch_rope.schedules.linear(32, 10000.0, float(FACTOR))


def trained(name: str, folder: Path, course: Course, tuning: Course) -> dict[str, Any]:
    start = time.monotonic()
    torch.manual_seed(SEED)
    if name == weights.TUNED:
        model = weights.load("rope", folder)
        curve = train(model, tuning, interpolated())
    else:
        model = Decoder(name)
        curve = train(model, course)
    weights.save(model, name, folder)
    seconds = round(time.monotonic() - start)
    print(f" · {name}: {curve[0]:.2f} → {curve[-1]:.3f} nats a byte, {seconds} s", flush=True)
    return {"loss": curve, "seconds": seconds}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m study.train", description=__doc__)
    names = (*POSITIONS, weights.TUNED)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument(
        "--steps",
        type=int,
        default=COURSE.steps,
        help="of each model; the fine-tuning makes a fifth of that",
    )
    parser.add_argument("--folder", type=Path, default=weights.FOLDER)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    course = Course(**{**asdict(COURSE), "steps": chosen.steps})
    tuning = Course(
        **{**asdict(TUNING), "steps": max(1, chosen.steps * TUNING.steps // COURSE.steps)}
    )
    models = {name: trained(name, chosen.folder, course, tuning) for name in chosen.only}
    path = chosen.folder / "training.json"
    kept = weights.log(chosen.folder)["models"] if path.exists() else {}
    log = {
        "seed": SEED,
        "text": text.fingerprint(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "course": asdict(course),
        "tuning": asdict(tuning),
        "models": {**kept, **models},
    }
    path.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
