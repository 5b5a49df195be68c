"""Claims: without positions a sentence is a bag of words; the first word is turned by θ."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import torch_rope

SENTENCE = ("the", "dog", "chases", "the", "pig")
SWAPPED = ("the", "pig", "chases", "the", "dog")
SWAP = (0, 4, 2, 3, 1)  # SWAPPED[i] is SENTENCE[SWAP[i]]
WIDTH = 64


def _words(sentence: tuple[str, ...]) -> Tensor:
    """A random vector for each word, the same wherever it stands: (1, 1, S, WIDTH)."""
    names = sorted(set(sentence))
    table = torch.randn(len(names), WIDTH, generator=torch.Generator().manual_seed(0))
    return table[[names.index(word) for word in sentence]][None, None]


def _attend(x: Tensor, *, rotate: bool) -> Tensor:
    """Every word looks at every word, with random projections: (S, WIDTH)."""
    random = torch.Generator().manual_seed(1)
    q, k, v = (x @ torch.randn(WIDTH, WIDTH, generator=random) / WIDTH**0.5 for _ in range(3))
    if rotate:
        q, k = torch_rope.rotate_qk(q, k, layout="bhsd")
    return scaled_dot_product_attention(q, k, v)[0, 0]


def two_sentences() -> dict[str, float]:
    """Largest change of a word's result when dog and pig change places, in units of the results'
    root mean square."""
    changes = {}
    for name, rotate in (("without", False), ("with", True)):
        one, other = (
            _attend(_words(SENTENCE), rotate=rotate),
            _attend(_words(SWAPPED), rotate=rotate),
        )
        apart = (other - one[list(SWAP)]).abs().max()
        changes[name] = float(apart / one.square().mean().sqrt())
    return changes


def counting() -> dict[str, bool | float]:
    """The article turns the first word by θ; implementations count from 0."""
    x = torch.randn(1, 16, 2, WIDTH, generator=torch.Generator().manual_seed(2))
    from_one = torch_rope.rotate(x, torch.arange(1, 17))
    by_default = torch_rope.rotate(x)
    return {
        "offsets_is_article": torch.equal(torch_rope.rotate(x, offsets=1), from_one),
        "first_word_stays": torch.equal(by_default[:, 0], x[:, 0]),
        "score_change": _score_change(from_one, by_default),
    }


def _score_change(one: Tensor, other: Tensor) -> float:
    """Largest of all pairs' scores, in units of |x|²."""
    scores = [torch.einsum("bqhd,bkhd->bhqk", y.double(), y.double()) for y in (one, other)]
    return float((scores[0] - scores[1]).abs().max() / one.double().square().sum(-1).max())
