"""The models that transformers_llama.py runs, the text that they read and the ways to run them."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GlmConfig,
    GlmForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.models.llama import modeling_llama

import torch_rope
from torch_rope.integrations.transformers import enable

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
    other_hidden_size: int = 512  # of the architectures that are only compared
    num_layers: int = 2
    table_rows: int = 131072
    tokens: int = 384  # what the Llama reads at a time
    few_tokens: int = 96  # what each architecture reads
    new_tokens: int = 12  # and goes on with
    stretch: int = 4  # how many times `tokens` is read under the length-extension schedules
    far: int = 100_000  # where it reads the same text again
    forward_seconds: float = 6.0  # for timing whole forward passes
    rotation_seconds: float = 1.5  # for timing the rotation, in each dtype


def llama(settings: Settings) -> LlamaForCausalLM:
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
    return LlamaForCausalLM(config)


def partly_rotated(settings: Settings, share: float) -> dict[str, Any]:
    """A small model's sizes, of whose heads the first part turns."""
    parameters = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": share}
    return {
        "vocab_size": 256,
        "hidden_size": settings.other_hidden_size,
        "intermediate_size": 2 * settings.other_hidden_size,
        "num_hidden_layers": settings.num_layers,
        "num_attention_heads": 8,
        "max_position_embeddings": settings.table_rows,
        "rope_parameters": parameters,
    }


def glm(settings: Settings) -> GlmForCausalLM:
    sizes = partly_rotated(settings, 0.5)
    return GlmForCausalLM(GlmConfig(**sizes, num_key_value_heads=2, head_dim=64, pad_token_id=0))


def gpt_neox(settings: Settings) -> GPTNeoXForCausalLM:
    return GPTNeoXForCausalLM(GPTNeoXConfig(**partly_rotated(settings, 0.25)))


def small_llama(settings: Settings) -> LlamaForCausalLM:
    width = settings.other_hidden_size
    small = {"hidden_size": width, "intermediate_size": 2 * width, "head_dim": 64}
    return llama(replace(settings, **small, num_heads_q=8, num_heads_k=2))


# How transformers' function for each rotates a head.
ARCHITECTURES: dict[str, Callable[[Settings], Any]] = {
    "Llama, pairs (i, i + 32) of 64": small_llama,
    "GLM, pairs (2i, 2i + 1), 32 of 64": glm,
    "GPT-NeoX, pairs (i, i + 8), 16 of 64": gpt_neox,
}


def build(make: Callable[[Settings], Any], settings: Settings) -> Any:
    """With the same random weights every time, ready to run."""
    torch.manual_seed(0)
    return make(settings).eval().to(settings.device)


def enabled(model: Any, frequencies: str | torch_rope.Schedule = "model") -> Any:
    """The model a second time, with the same weights, on torch_rope's operators."""
    twin = copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})
    enable(twin, frequencies=frequencies)
    return twin


def logits(model: Any, text: Tensor, start: int = 0) -> Tensor:
    """Of the text, (1, S), read at positions start, start + 1, …: (S, 256)."""
    positions = torch.arange(start, start + text.shape[1], device=text.device)[None]
    result: Tensor = model(text, position_ids=positions, use_cache=False).logits[0]
    return result


def continued(model: Any, text: Tensor, new_tokens: int) -> Tensor:
    """The tokens that the model thinks likeliest after the text, (1, new_tokens)."""
    result: Tensor = model.generate(
        text,
        attention_mask=torch.ones_like(text),
        max_new_tokens=new_tokens,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    return result[:, text.shape[1] :]


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
        self.model = build(llama, settings)
        self.enabled = enabled(self.model)
        # transformers' float32 values, taken as exact: what such a model was trained with.
        self.schedule = torch_rope.Schedule(self.model.model.rotary_emb.inv_freq.double().cpu())

    def embedding(self, table_rows: int) -> torch_rope.RotaryEmbedding:
        rope = torch_rope.RotaryEmbedding(self.schedule, table_rows=table_rows)
        return rope.to(self.device)

    def positions(self, start: int, tokens: int) -> Tensor:
        return torch.arange(start, start + tokens, device=self.device)[None]

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

    def cos_and_sin(self, q: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """transformers' own angles, in q's type; once a forward pass."""
        result: tuple[Tensor, Tensor] = self.model.model.rotary_emb(q, positions)
        return result

    def stock_rotation(
        self, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """transformers' function on (B, H, S, D) views, as its layers call it; (B, S, H, D) out."""
        q, k = modeling_llama.apply_rotary_pos_emb(q.transpose(1, 2), k.transpose(1, 2), cos, sin)
        return q.transpose(1, 2), k.transpose(1, 2)
