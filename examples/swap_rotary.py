"""The recipe to copy: a transformers Llama whose attention rotates with torch_rope.

Two things are exchanged while the block runs, and both come back after it: the model's rotary
module, which made cos and sin, and the function that its attention layers call with them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM
from transformers.models.llama import modeling_llama

import torch_rope

# (q, k, positions) → (q, k): q (B, S, Hq, D) and k (B, S, Hk, D) of any outer strides, positions
# int64 (B, S) or (1, S). It may rotate in place and return what it was given.
Rotation = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def rotation(rope: torch_rope.RotaryEmbedding) -> Rotation:
    """`rope` in place where nothing needs a gradient, else differentiable on new tensors."""

    def rotate(q: Tensor, k: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():
            return rope(q, k, positions)
        rope.apply(q, k, positions)
        return q, k

    return rotate


class Positions(nn.Module):
    """Stands where LlamaRotaryEmbedding stood: the layers get the positions, not cos and sin."""

    def __init__(self, rotate: Rotation) -> None:
        super().__init__()
        self.rotate = rotate

    def forward(self, hidden_states: Tensor, position_ids: Tensor) -> tuple[Rotation, Tensor]:
        return self.rotate, position_ids


@contextmanager
def swapped_rotary(model: LlamaForCausalLM, rotate: Rotation) -> Iterator[None]:
    """In this block every layer of `model` calls `rotate`; other Llama models stay as they are."""
    stock_module = model.model.rotary_emb
    stock_function = modeling_llama.apply_rotary_pos_emb

    def dispatch(
        q: Tensor, k: Tensor, first: Tensor | Rotation, second: Tensor, **keywords: int
    ) -> tuple[Tensor, Tensor]:
        if isinstance(first, Tensor):  # cos and sin: a layer of another model
            return stock_function(q, k, first, second, **keywords)
        # transformers hands over (B, H, S, D) views; transposing them back copies nothing.
        q, k = first(q.transpose(1, 2), k.transpose(1, 2), second)
        return q.transpose(1, 2), k.transpose(1, 2)

    model.model.rotary_emb = Positions(rotate)
    modeling_llama.apply_rotary_pos_emb = dispatch
    try:
        yield
    finally:
        model.model.rotary_emb = stock_module
        modeling_llama.apply_rotary_pos_emb = stock_function
