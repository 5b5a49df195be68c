"""torch.export of modules that rotate: dynamic extents, decompositions, files; the bits of eager
mode.
"""

import pytest
import torch
from cases import random, same_bits
from torch import nn
from torch.export import Dim

from torch_rope import RotaryEmbedding, schedules

B, S, H, K, D = 2, 7, 3, 2, 16
DYNAMIC = {0: Dim("batches", max=64), 1: Dim("tokens", max=4096)}


class Model(nn.Module):
    """rotate: one of the operators, on what a product with `scale` has made."""

    def __init__(self, rotate, **options):
        super().__init__()
        self.rotate = rotate
        self.rope = RotaryEmbedding(schedules.yarn(D, 10000.0, 4.0, 2048), **options)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x, pos):
        return self.rotate(self.rope, x * self.scale, pos)


def forward(rope, x, pos):
    return rope(x[:, :, :H], x[:, :, H:], pos)


def apply(rope, x, pos):
    rope.apply(x[:, :, :H], x[:, :, H:], pos)
    return x


def apply_qkv(rope, x, pos):
    torch.ops.rope.apply_qkv(x, pos, num_heads_q=H, num_heads_k=1, inv_freq=rope.turns)
    return x


def rerotate(rope, x, pos):
    torch.ops.rope.rerotate(x, pos, pos * 2, old_inv_freq=rope.turns)
    return x


def counted(rope, x, pos):
    """Positions that the call counts, after the offsets of a cache."""
    return torch.ops.rope.rotate(x, offsets=pos[:, 0], inv_freq=rope.turns)


MODELS = {
    "forward": (forward, {}, "rotate_qk"),
    "forward-table": (forward, {"table_rows": 8}, "rotate_qk"),
    "apply": (apply, {"table_rows": 8, "interleaved": True}, "apply"),
    "apply_qkv": (apply_qkv, {}, "apply_qkv"),
    "rerotate": (rerotate, {}, "rerotate"),
    "offsets": (counted, {}, "rotate"),
}
MODES = pytest.mark.parametrize("strict", [True, False], ids=["strict", "non-strict"])
# The strict mode traces in another way, which does not depend on the operator.
EXPORTS = [
    pytest.param(*model, strict, id=f"{name}-{'strict' if strict else 'non-strict'}")
    for name, model in MODELS.items()
    for strict in (False, True)
    if not strict or name in ("forward-table", "apply")
]


def inputs(device, batches=B, tokens=S):
    x = random(batches, tokens, H + K, D, dtype=torch.float32, device=device)
    return x, torch.arange(batches * tokens, device=device).view(batches, tokens)


def assert_as_eager(exported, model, device):
    for extents in ((B, S), (3, 11), (1, 1)):
        given = inputs(device, *extents)
        own, others = exported(*given), model(*given)
        pairs = zip(own, others, strict=True) if isinstance(own, tuple) else [(own, others)]
        assert all(same_bits(a.detach(), b.detach()) for a, b in pairs)


# Without gradients, for the operators that write in place.
@torch.no_grad()
@pytest.mark.parametrize(("rotate", "options", "op", "strict"), EXPORTS)
def test_export(device, tmp_path, rotate, options, op, strict):
    """As it is exported, with torch's decompositions, and from a file."""
    model = Model(rotate, **options).to(device)
    program = torch.export.export(
        model, inputs(device), dynamic_shapes=(DYNAMIC, DYNAMIC), strict=strict
    )
    assert f"torch.ops.rope.{op}.default(" in program.graph_module.code
    assert_as_eager(program.module(), model, device)
    assert_as_eager(program.run_decompositions().module(), model, device)
    torch.export.save(program, tmp_path / "model.pt2")
    assert_as_eager(torch.export.load(tmp_path / "model.pt2").module(), model, device)


@MODES
def test_gradients(device, strict):
    """A program that was exported in grad mode can be trained."""
    model = Model(forward).to(device)

    def gradient(run):
        results = run(*inputs(device))
        return torch.autograd.grad(results, run.scale, results)[0]

    expected = gradient(model)
    exported = torch.export.export(model, inputs(device), strict=strict).module()
    assert same_bits(gradient(exported), expected)


@MODES
def test_in_place_in_grad_mode(device, strict):
    with pytest.raises(Exception, match=r"rope::apply: q must not require grad while grad mode"):
        torch.export.export(Model(apply).to(device), inputs(device), strict=strict)


@MODES
def test_what_an_operator_refuses_is_refused_by_export(device, strict):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.ops.rope.rotate(x, rotary_dim=5)

    with pytest.raises(Exception, match="rope::rotate: rotary_dim must be even, got 5"):
        torch.export.export(Odd(), inputs(device)[:1], strict=strict)
