"""Everything that docs/article.md states, measured once: measure() for __main__.py. Results are
plain numbers and names, kept in results.json, from which page.py and figures.py write.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from study import extension, generation, text, weights
from study.claims import additive, decay, heads, matrix, order, rotation
from study.model import POSITIONS, TRAINED_LENGTH

FILE = Path(__file__).parent / "results.json"
Results = dict[str, Any]


def machine() -> dict[str, str]:
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    return {"cpu": cpu, "cores": str(os.cpu_count()), **versions, "text": text.fingerprint()}


def training() -> dict[str, Any]:
    """How the models were trained, what they know of the text, and the bytes that are shipped."""
    log = weights.log()
    held_out = text.windows(text.held_out(), TRAINED_LENGTH + 1, 128)
    shipped = [weights.path(name).stat().st_size for name in log["models"]]
    reads = {
        name: sum(means) / len(means)
        for name in POSITIONS
        for means in [extension.curve(weights.load(name), held_out)]
    }
    return {
        "parameters": sum(p.numel() for p in weights.load("rope").parameters()),
        "minutes": sum(model["seconds"] for model in log["models"].values()) / 60,
        "megabytes": sum(shipped) / 1e6,
        "steps": log["course"]["steps"],
        "tuning_steps": log["tuning"]["steps"],
        "bigram": text.bigram_loss(text.held_out()),
        "held_out": reads,
    }


def on_the_model() -> dict[str, Any]:
    rope = weights.load("rope")
    return {
        "text": generation.with_and_without_cache(rope),
        "stepwise": generation.token_by_token(rope),
        "t5_stepwise": generation.token_by_token(weights.load("t5")),
        "switch": generation.switch(rope),
    }


PARTS: dict[str, Callable[[], Any]] = {
    "machine": machine,
    "order": order.two_sentences,
    "counting": order.counting,
    "learned": lambda: additive.learned_ends(weights.load("learned")),
    "sinusoids": additive.sinusoids_are_rotated,
    "t5": additive.t5_bias_cost,
    "norms": rotation.norms,
    "relative": rotation.relative,
    "prefix": rotation.prefix,
    "token_by_token": rotation.token_by_token,
    "equality": matrix.equality,
    "times": matrix.times,
    "modules": matrix.wrong_modules,
    "cosines": matrix.cosine_matrix_facts,
    "decay": decay.summary,
    "decay_curves": decay.curves,
    "heads": lambda: {name: heads.errors(name) for name in heads.MODELS},
    "training": training,
    "cache": on_the_model,
    "reach": extension.reaches,
    "curves": extension.curves,
}


def measure(say: Callable[[str], None] = print) -> Results:
    found: Results = {}
    for name, part in PARTS.items():
        say(f" · {name}")
        found[name] = part()
    return found


def _rounded(value: Any) -> Any:
    """Five digits: more would be noise in the file."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def write(results: Results, path: Path = FILE) -> None:
    """A line for each part."""
    parts = [f"{json.dumps(name)}: {json.dumps(_rounded(part))}" for name, part in results.items()]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def read(path: Path = FILE) -> Results:
    return dict(json.loads(path.read_text(encoding="utf-8")))
