"""What has only a schema so far raises, instead of being ignored: gradients to the angles.

Forward mode is refused in test_gradients.py, and gradients in place in the ops' own tests.
"""

import re

import pytest
import torch
from cases import random

B, S, H, D = 2, 3, 2, 8

ANGLES = {
    "inv_freq": lambda: {"inv_freq": torch.ones(D // 2)},
    "inv_freq-axes": lambda: {"inv_freq": torch.ones(2, D // 2)},
    "inv_freq-heads": lambda: {"inv_freq": torch.ones(1, H, D // 2)},
    "cos_sin": lambda: {"cos_sin": torch.ones(S, D)},
    "cos_sin-tokens": lambda: {"cos_sin": torch.ones(B, S, D)},
    "cos": lambda: {"cos": torch.ones(S, D // 2), "sin": torch.ones(S, D // 2)},
    "sin": lambda: {"sin": torch.ones(S, D // 2), "cos": torch.ones(S, D // 2)},
}


def rotate(x, **keywords):
    torch.ops.rope.rotate(x, **keywords)


def rotate_qk(x, **keywords):
    torch.ops.rope.rotate_qk(x, x, **keywords)


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize("op", [rotate, rotate_qk], ids=lambda op: op.__name__)
def test_gradients_to_the_angles(device, op, angles):
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    name = angles.split("-")[0]
    keywords = {n: t.to(device) for n, t in ANGLES[angles]().items()}
    keywords[name].requires_grad_()
    if angles == "inv_freq-axes":
        keywords["pos"] = torch.zeros(2, S, dtype=torch.int64, device=device)
    text = f"rope::{op.__name__}: a gradient to {name} is not supported yet"
    with pytest.raises(NotImplementedError, match="^" + re.escape(text)):
        op(x, **keywords)


def test_gradients_to_the_frequencies_of_a_table(device):
    frequencies = torch.ones(D // 2, device=device, requires_grad=True)
    text = r"^rope::cos_sin_table: a gradient to inv_freq is not supported yet"
    with pytest.raises(NotImplementedError, match=text):
        torch.ops.rope.cos_sin_table(frequencies, S)


@pytest.mark.parametrize("op", ["apply_qkv", "rerotate"])
def test_forward_mode(device, op):
    x = random(B, S, 4, D, dtype=torch.float32, device=device)
    pos = torch.arange(S, device=device)
    calls = {
        "apply_qkv": lambda t: torch.ops.rope.apply_qkv(t, num_heads_q=2, num_heads_k=1),
        "rerotate": lambda t: torch.ops.rope.rerotate(t, pos, pos),
    }
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        with pytest.raises(NotImplementedError, match=f"^rope::{op}: forward-mode"):
            calls[op](dual)
