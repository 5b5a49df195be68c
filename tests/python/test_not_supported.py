"""Keywords and ops whose turn comes later raise, instead of being ignored."""

import re

import pytest
import torch
from cases import random, same_bits

B, S, H, D = 2, 3, 2, 8

KEYWORDS = {
    "cos": ("cos", lambda device: {"cos": torch.ones(S, D // 2, device=device)}),
    "sin": ("sin", lambda device: {"sin": torch.ones(S, D // 2, device=device)}),
    "offsets": (
        "offsets",
        lambda device: {"offsets": torch.zeros(B, dtype=torch.int64).to(device)},
    ),
    "cu_seqlens": ("cu_seqlens", lambda device: {"cu_seqlens": torch.tensor([0, S]).to(device)}),
    "skip_negative": ("skip_negative", lambda device: {"skip_negative": True}),
    "rotary_offset": ("rotary_offset", lambda device: {"rotary_offset": 2, "rotary_dim": 4}),
    "bhsd": ("layout", lambda device: {"layout": "bhsd"}),
    "sbhd": ("layout", lambda device: {"layout": "sbhd"}),
    "thd": ("layout", lambda device: {"layout": "thd"}),
    "axes": (
        "inv_freq with several axes",
        lambda device: {"inv_freq": torch.ones(2, D // 2, device=device)},
    ),
    "heads": (
        "inv_freq for each head",
        lambda device: {"inv_freq": torch.ones(1, H, D // 2, device=device)},
    ),
    "table-per-token": (
        "cos_sin with a row per token",
        lambda device: {"cos_sin": torch.ones(B, S, D, device=device)},
    ),
}


def apply(x, **keywords):
    torch.ops.rope.apply(x, **keywords)


def rotate(x, **keywords):
    torch.ops.rope.rotate(x, **keywords)


def rotate_qk(x, **keywords):
    torch.ops.rope.rotate_qk(x, x.clone(), **keywords)


@pytest.mark.parametrize(("name", "keywords"), KEYWORDS.values(), ids=KEYWORDS)
@pytest.mark.parametrize("op", [apply, rotate, rotate_qk], ids=lambda op: op.__name__)
def test_keyword(device, op, name, keywords):
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    before = x.clone()
    text = f"^rope::{op.__name__}: {re.escape(name)} is not supported yet"
    with pytest.raises(NotImplementedError, match=text):
        op(x, **keywords(device))
    assert same_bits(x, before)


def test_apply_qkv(device):
    qkv = random(B, S, 4, D, dtype=torch.float32, device=device)
    before = qkv.clone()
    with pytest.raises(
        NotImplementedError, match=r"^rope::apply_qkv: this op is not supported yet"
    ):
        torch.ops.rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=1)
    assert same_bits(qkv, before)


def test_rerotate(device):
    k = random(B, S, 4, D, dtype=torch.float32, device=device)
    pos = torch.arange(S, device=device)
    before = k.clone()
    with pytest.raises(NotImplementedError, match=r"^rope::rerotate: this op is not supported yet"):
        torch.ops.rope.rerotate(k, pos, pos + 1)
    assert same_bits(k, before)
