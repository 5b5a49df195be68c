"""The patch of transformers' Llama by which NTK-aware scaling became known, as it was printed: with
the installed version it raises. In one line of ours it does what it was meant to.
"""

import pytest
import torch
from tiny_models import build, float64_twin, rms, tokens
from transformers.models.llama import modeling_llama

from torch_rope import schedules
from torch_rope.integrations.transformers import disable, enable

ALPHA, DIM, BASE = 8, 16, 10000
TEXT = tokens(2, 48)


def test_as_printed_it_raises(monkeypatch):
    rotary = modeling_llama.LlamaRotaryEmbedding
    old_init = rotary.__init__

    def ntk_scaled_init(self, dim, max_position_embeddings=2048, base=BASE, device=None):
        max_position_embeddings = 16384
        base = base * ALPHA ** (dim / (dim - 2))
        old_init(self, dim, max_position_embeddings, base, device)

    monkeypatch.setattr(rotary, "__init__", ntk_scaled_init)
    with pytest.raises(TypeError):
        build("llama")


def test_ours_is_a_model_of_the_stretched_base():
    stretched = {"rope_type": "default", "rope_theta": BASE * ALPHA ** (DIM / (DIM - 2))}
    model, configured = build("llama"), build("llama", rope_parameters=stretched)
    enable(model, frequencies=schedules.ntk(DIM, BASE, ALPHA))
    with torch.no_grad():
        exact = float64_twin(configured)(TEXT).logits
        stock = configured(TEXT).logits
        ours = model(TEXT).logits
        disable(model)
        unscaled = model(TEXT).logits
    assert rms(ours - exact) < 1.25 * rms(stock - exact)
    assert rms(unscaled - exact) > 0.01 * rms(exact)
