"""TorchScript, which torch has deprecated: scripted and traced modules, also from a file."""

import pytest
import torch
from cases import random, same_bits
from torch import nn

B, S, H, K, D = 2, 7, 3, 2, 16

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit")


class Rotated(nn.Module):
    def forward(self, q, k, pos):
        return torch.ops.rope.rotate_qk(q, k, pos, base=500.0, layout="bshd", interleaved=True)


class InPlace(nn.Module):
    def forward(self, q, k, pos):
        q, k = q * 2, k * 2
        torch.ops.rope.apply(q, k, pos, attention_factor=1.5)
        return q, k


class Tables(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("inv_freq", torch.logspace(0, -3, D // 2))

    def forward(self, q, k, pos):
        inv_freq = torch.ops.rope.turns(self.inv_freq)
        cos_sin = torch.ops.rope.cos_sin_table(inv_freq, 9, start=0)
        rotated = torch.ops.rope.rotate(q, pos, cos_sin=cos_sin, inv_freq=inv_freq)
        packed = torch.cat([q, k], dim=2)
        torch.ops.rope.apply_qkv(packed, pos, num_heads_q=2, num_heads_k=1, inverse=True)
        torch.ops.rope.rerotate(packed, pos, pos + 1, new_inv_freq=inv_freq)
        return rotated, packed


MODULES = [Rotated, InPlace, Tables]


def inputs(device, tokens=S):
    q, k = (
        random(B, tokens, heads, D, dtype=torch.float32, device=device, seed=heads)
        for heads in (H, K)
    )
    return q, k, torch.arange(tokens, device=device)


def script(module, given):
    return torch.jit.script(module)


def trace(module, given):
    return torch.jit.trace(module, given)


@pytest.mark.parametrize("make", [script, trace])
@pytest.mark.parametrize("module", MODULES)
def test_as_eager(device, tmp_path, module, make):
    """For other extents than were traced too, as made and as loaded."""
    eager = module().to(device)
    made = make(eager, inputs(device))
    torch.jit.save(made, tmp_path / "model.pt")
    for run in (made, torch.jit.load(tmp_path / "model.pt")):
        for tokens in (S, 12, 1):
            given = inputs(device, tokens)
            for result, expected in zip(run(*given), eager(*given), strict=True):
                assert same_bits(result, expected)


@pytest.mark.parametrize("make", [script, trace])
def test_gradients(device, make):
    def gradients(run):
        q, k, pos = inputs(device)
        results = run(q.requires_grad_(), k.requires_grad_(), pos)
        return torch.autograd.grad(results, (q, k), results)

    made = make(Rotated(), inputs(device))
    expected = gradients(Rotated())
    # TorchScript looks at the first calls, then optimises.
    for _ in range(4):
        for actual, plain in zip(gradients(made), expected, strict=True):
            assert same_bits(actual, plain)
