"""The text that the models read: Milton's Paradise Lost (1667), in the public domain everywhere, as
bytes. Books I to X are for training, XI and XII for every measurement.

The file in text/ is the poem as Project Gutenberg typed it in 1991, without anybody's preface.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

FILE = Path(__file__).parent / "text" / "paradise_lost.txt"
HELD_OUT = b"\nBook XI\n"


def _bytes() -> bytes:
    return FILE.read_bytes().replace(b"\r\n", b"\n")


def fingerprint() -> str:
    return hashlib.sha256(_bytes()).hexdigest()[:16]


def _tokens(text: bytes) -> Tensor:
    return torch.frombuffer(bytearray(text), dtype=torch.uint8).long()


def training() -> Tensor:
    """int64 (T,), values 0 to 255."""
    text = _bytes()
    return _tokens(text[: text.index(HELD_OUT)])


def held_out() -> Tensor:
    text = _bytes()
    return _tokens(text[text.index(HELD_OUT) :])


def windows(tokens: Tensor, length: int, count: int) -> Tensor:
    """(count, length): evenly spread over the tokens, overlapping where they must."""
    starts = torch.linspace(0, len(tokens) - length, count, dtype=torch.float64).long()
    return torch.stack([tokens[start : start + length] for start in starts.tolist()])


def bigram_loss(tokens: Tensor) -> float:
    """Nats a byte on `tokens` of the bigram counts of the training text, each count one more than
    it is: what a model knows that sees the last byte alone."""
    counts = torch.ones(256, 256, dtype=torch.float64)
    pairs = training().unfold(0, 2, 1)
    counts.index_put_((pairs[:, 0], pairs[:, 1]), torch.ones(()).double(), accumulate=True)
    log_probabilities = (counts / counts.sum(dim=1, keepdim=True)).log()
    return float(-log_probabilities[tokens[:-1], tokens[1:]].mean())
