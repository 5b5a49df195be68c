"""Trained weights as they are shipped: float16, a file for each model in weights/, and what the
training said of itself. For train.py, which writes them, and whoever measures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from study.model import Decoder

FOLDER = Path(__file__).parent / "weights"
# The model of rotations, trained a little more on long windows with interpolated positions.
TUNED = "rope-interpolated"


def path(name: str, folder: Path = FOLDER) -> Path:
    return folder / f"{name}.pt"


def save(model: Decoder, name: str, folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    halves = {key: value.half() for key, value in model.state_dict().items()}
    torch.save(halves, path(name, folder))


def load(name: str, folder: Path = FOLDER) -> Decoder:
    """For evaluation, in float32; no parameter wants a gradient."""
    model = Decoder("rope" if name == TUNED else name)
    state = torch.load(path(name, folder), map_location="cpu", weights_only=True)
    model.load_state_dict({key: value.float() for key, value in state.items()})
    return model.eval().requires_grad_(False)


def log(folder: Path = FOLDER) -> dict[str, Any]:
    """What train.py wrote: settings, versions, and the loss of each model as it was trained."""
    return dict(json.loads((folder / "training.json").read_text(encoding="utf-8")))
