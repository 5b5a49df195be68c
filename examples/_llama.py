"""The model that transformers_llama.py runs, the text that it reads and the ways to run it.

For that script alone; what a model author would copy is in swap_rotary.py.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from swap_rotary import Rotation, swapped_rotary
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

import torch_rope

# Llama-3.2's rotary parameters.
BASE = 500000.0
LLAMA3 = {
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


@dataclass(frozen=True)
class Settings:
    """The sizes of one run. The defaults: Llama-3.2-1B's layers, a minute on two CPU cores."""

    device: torch.device
    hidden_size: int = 2048
    num_heads_q: int = 32
    num_heads_k: int = 8
    head_dim: int = 64
    intermediate_size: int = 8192
    num_layers: int = 2
    table_rows: int = 131072
    tokens: int = 384  # what the model reads at a time
    stretch: int = 4  # how many times that is read under the length-extension schedules
    far: int = 100_000  # where it reads the same text again
    forward_seconds: float = 6.0  # for timing whole forward passes
    rotation_seconds: float = 1.5  # for timing the rotation, in each dtype


def build_model(settings: Settings) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads_q,
        num_key_value_heads=settings.num_heads_k,
        head_dim=settings.head_dim,
        max_position_embeddings=settings.table_rows,
        rope_parameters={"rope_type": "llama3", "rope_theta": BASE, **LLAMA3},
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval().to(settings.device)


def float64_twin(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The same weights with every operation in float64, but for the rotary function."""
    twin = copy.deepcopy(model).double()
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, modeling_llama.LlamaRMSNorm):  # it casts to float32 inside
                norm = nn.RMSNorm(child.weight.shape[0], eps=child.variance_epsilon)
                norm.weight = child.weight
                setattr(parent, name, norm)
    return twin


def read_text(path: Path, length: int, device: torch.device) -> Tensor:
    """The first `length` bytes as token numbers, (1, length); a shorter text starts again."""
    data = path.read_bytes()
    if not data:
        raise ValueError(f"{path} is empty")
    return torch.tensor(list(data * (length // len(data) + 1))[:length], device=device)[None]


class Llama:
    """The model, its text, and what both rotations get: the same frequencies."""

    def __init__(self, settings: Settings, text: Path) -> None:
        self.settings = settings
        self.device = settings.device
        self.text = read_text(text, settings.stretch * settings.tokens, self.device)
        self.model = build_model(settings)
        # transformers' float32 values, taken as exact: what such a model was trained with.
        self.schedule = torch_rope.Schedule(self.model.model.rotary_emb.inv_freq.double().cpu())

    def embedding(
        self, schedule: torch_rope.Schedule, table_rows: int
    ) -> torch_rope.RotaryEmbedding:
        return torch_rope.RotaryEmbedding(schedule, table_rows=table_rows).to(self.device)

    def positions(self, start: int, tokens: int) -> Tensor:
        return torch.arange(start, start + tokens, device=self.device)[None]

    def logits(
        self,
        rotate: Rotation | None,
        tokens: int,
        start: int = 0,
        model: LlamaForCausalLM | None = None,
    ) -> Tensor:
        """The text's first `tokens` bytes read at positions start, start + 1, …: (tokens, 256).

        `rotate=None` leaves transformers' own rotation; `model` runs in place of the float32 one.
        """
        model = model or self.model
        inputs = self.text[:, :tokens]
        positions = self.positions(start, tokens)
        if rotate is None:
            return model(inputs, position_ids=positions, use_cache=False).logits[0]
        with swapped_rotary(model, rotate):
            return model(inputs, position_ids=positions, use_cache=False).logits[0]

    def first_layer(self, tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The first layer's queries (1, S, Hq, D) and keys (1, S, Hk, D), before the rotation."""
        layer = self.model.model.layers[0]
        hidden = layer.input_layernorm(self.model.model.embed_tokens(self.text[:, :tokens]))
        shape = (1, tokens, -1, self.settings.head_dim)
        q, k = layer.self_attn.q_proj(hidden), layer.self_attn.k_proj(hidden)
        return q.view(shape).to(dtype), k.view(shape).to(dtype)

    def exact(self, x: Tensor, positions: Tensor) -> Tensor:
        """x (B, S, H, D) rotated in float64 by the reference."""
        inv_freq = self.schedule.inv_freq.to(self.device)
        return torch_rope.reference.rotate(x.double(), positions, inv_freq=inv_freq)

    def exact_rotation(self, q: Tensor, k: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        return self.exact(q, positions), self.exact(k, positions)

    def cos_and_sin(self, q: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """transformers' own angles, in q's type; once a forward pass."""
        return self.model.model.rotary_emb(q, positions)

    def stock_rotation(
        self, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """transformers' function on (B, H, S, D) views, as its layers call it; (B, S, H, D) out."""
        q, k = modeling_llama.apply_rotary_pos_emb(q.transpose(1, 2), k.transpose(1, 2), cos, sin)
        return q.transpose(1, 2), k.transpose(1, 2)
