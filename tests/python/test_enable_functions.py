"""The rotary functions that enabled models call, on tensors as attention modules hand them over."""

import pytest
import torch
from transformers.models.cohere import modeling_cohere
from transformers.models.deepseek_v3 import modeling_deepseek_v3
from transformers.models.glm import modeling_glm
from transformers.models.llama import modeling_llama
from transformers.models.mistral_large4 import modeling_mistral_large4
from transformers.models.phi3 import modeling_phi3

from torch_rope.integrations.transformers.rotations import ours_for

STOCK = {
    "cohere": modeling_cohere.apply_rotary_pos_emb,
    "deepseek_v3": modeling_deepseek_v3.apply_rotary_pos_emb_interleave,
    "glm": modeling_glm.apply_rotary_pos_emb,
    "llama": modeling_llama.apply_rotary_pos_emb,
    "phi3": modeling_phi3.apply_rotary_pos_emb,
}
BATCH, HEADS, TOKENS, DIM = 2, 3, 5, 8
WAYS = {
    "whole": lambda x: x,
    "part of a projection": lambda x: torch.cat((x, x, x), dim=-1)[..., DIM : 2 * DIM],
    "strided components": lambda x: x.mT.contiguous().mT,
    "one head for all": lambda x: x[:, :1].expand(-1, HEADS, -1, -1),
    "one sequence for all": lambda x: x[:1].expand(BATCH, -1, -1, -1),
}


def angles(name, dtype=torch.float32):
    phase = torch.randn(BATCH, TOKENS, DIM // 2)
    columns = phase.repeat_interleave(2, -1) if name == "cohere" else torch.cat((phase, phase), -1)
    return columns.cos().to(dtype), columns.sin().to(dtype)


@pytest.mark.parametrize("grad", [False, True], ids=["in place", "new tensors"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", STOCK)
def test_strides(name, way, grad):
    ours = ours_for(STOCK[name])
    q, k = (WAYS[way](torch.randn(BATCH, HEADS, TOKENS, DIM)) for _ in range(2))
    cos, sin = angles(name)
    expected = STOCK[name](q, k, cos, sin)
    with torch.set_grad_enabled(grad):
        result = ours(q, k, cos, sin)
    for got, stock in zip(result, expected, strict=True):
        # Sums of two products of numbers below 6 and 1: three roundings of 2^-24 each.
        torch.testing.assert_close(got, stock, rtol=0, atol=12 * 3 * 2.0**-24)


@pytest.mark.parametrize("way", ["whole", "part of a projection"])
def test_in_place_without_gradients(way):
    """Into the projection's memory; heads that are shared or strided are copied first."""
    ours = ours_for(STOCK["llama"])
    q, k = (WAYS[way](torch.randn(BATCH, HEADS, TOKENS, DIM)) for _ in range(2))
    with torch.no_grad():
        result = ours(q, k, *angles("llama"))
    assert result[0] is q
    assert result[1] is k


def rotates_q_alone(q, k=None, cos=None, sin=None, unsqueeze_dim=1):
    """As Qwen4's indexer calls it."""
    if k is not None:
        return modeling_llama.apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim)
    return modeling_llama.apply_rotary_pos_emb(q, q, cos, sin, unsqueeze_dim)[0]


def test_q_alone():
    ours = ours_for(rotates_q_alone)
    q, (cos, sin) = torch.randn(BATCH, TOKENS, HEADS, DIM), angles("llama")
    expected = rotates_q_alone(q, cos=cos, sin=sin, unsqueeze_dim=2)
    result = ours(q, cos=cos, sin=sin, unsqueeze_dim=2)
    torch.testing.assert_close(result, expected, rtol=0, atol=12 * 3 * 2.0**-24)


def test_q_alone_of_one_sequence():
    """Tokens, heads and components, as Qwen4's indexer has its blocks' keys."""
    ours = ours_for(rotates_q_alone)
    q, (cos, sin) = torch.randn(TOKENS, 1, DIM), angles("llama")
    expected = rotates_q_alone(q, cos=cos[0], sin=sin[0])
    result = ours(q, cos=cos[0], sin=sin[0])
    torch.testing.assert_close(result, expected, rtol=0, atol=12 * 3 * 2.0**-24)


def test_q_and_no_k():
    """Mistral Large 4's layers that share their keys: None comes back beside q."""
    stock = modeling_mistral_large4.apply_rotary_pos_emb_interleave
    ours = ours_for(stock)
    q, (cos, sin) = torch.randn(BATCH, HEADS, TOKENS, DIM), angles("llama")
    expected, nothing = stock(q, None, cos, sin)
    assert nothing is None
    result, nothing = ours(q, None, cos, sin)
    torch.testing.assert_close(result, expected, rtol=0, atol=12 * 3 * 2.0**-24)
    assert nothing is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("angle_dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_types(dtype, angle_dtype):
    """Angles of any type with q and k of any; the result is theirs, rounded once."""
    ours = ours_for(STOCK["llama"])
    q, k = (torch.randn(BATCH, HEADS, TOKENS, DIM).to(dtype) for _ in range(2))
    cos, sin = angles("llama", angle_dtype)
    expected = STOCK["llama"](q.double(), k.double(), cos.double(), sin.double())
    with torch.no_grad():
        result = ours(q, k, cos, sin)
    for got, exact in zip(result, expected, strict=True):
        assert got.dtype == dtype
        # Half an ulp, and the three roundings in float32.
        allowed = torch.finfo(dtype).eps / 2 * exact.abs() + 36 * 2.0**-24
        assert ((got.double() - exact).abs() <= allowed).all()
