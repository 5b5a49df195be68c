"""Errors of what the layers of an enabled Llama get as cos and sin, by the mode of enable and by
position: the tables of docs/transformers.md. For run.py and its test.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

import torch_rope
from accuracy.rotations import Curve
from accuracy.tables import table
from environment.report import ROOT

PAGE = ROOT / "docs" / "transformers.md"
POSITIONS = (4_096, 32_768, 131_072, 1_048_576)
TOKENS = 256  # so many, just below each of these
# Llama 3.1's.
DIM, BASE = 128, 500000.0
LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def _model() -> LlamaModel:
    config = LlamaConfig(
        vocab_size=8,
        hidden_size=DIM,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=DIM,
        max_position_embeddings=131072,
        rope_parameters={"rope_type": "llama3", "rope_theta": BASE, **LLAMA3},
    )
    return LlamaModel(config).eval()


def _modes() -> Iterator[tuple[str, LlamaModel, torch.dtype]]:
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        for mode in ("stock", "model", "exact"):
            model = _model()
            torch_rope.integrations.transformers.enable(model, frequencies=mode)
            yield f'"{mode}", {name}', model, dtype


def _error(model: LlamaModel, dtype: torch.dtype, inv_freq: Tensor, end: int) -> float:
    """The largest of cos and sin of the positions just below `end`, in float64 from inv_freq."""
    positions = torch.arange(end - TOKENS, end)[None]
    cos, sin = model.rotary_emb(torch.zeros(1, 1, 1, dtype=dtype), positions)
    phase = positions.double()[..., None] * inv_freq
    pairs = ((cos, phase.cos()), (sin, phase.sin()))
    return max(float((got[..., : DIM // 2].double() - exact).abs().max()) for got, exact in pairs)


def texts() -> dict[str, str]:
    """Id -> what stands at its place."""
    own = _model().rotary_emb.inv_freq.double()
    exact = torch_rope.schedules.llama3(DIM, BASE, **LLAMA3).inv_freq
    against = {"against-own": own, "against-exact": exact}
    rows: dict[str, dict[str, Curve]] = {name: {} for name in against}
    for name, model, dtype in _modes():
        for reference, inv_freq in against.items():
            rows[reference][name] = {end: _error(model, dtype, inv_freq, end) for end in POSITIONS}
    return {name: table("positions just below", POSITIONS, curves) for name, curves in rows.items()}
