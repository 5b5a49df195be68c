"""FLOPs of the operators, counted by torch's FlopCounterMode against the pairs of each call."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from torch_rope import RotaryEmbedding, Schedule

B, S, H, K, D = 2, 5, 3, 1, 16
# Four products and two sums.
PER_PAIR = 6


def counted(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def tensors(device, layout="bshd", **options):
    q, k = (torch.ones(B, S, heads, D, device=device, **options) for heads in (H, K))
    swap = {"bshd": (1, 1), "bhsd": (1, 2), "sbhd": (0, 1)}[layout]
    return q.transpose(*swap), k.transpose(*swap)


FREQUENCIES = torch.ones(3)
KEYWORDS = {
    "plain": ({}, D // 2),
    "rotary_dim": ({"rotary_dim": 6}, 3),
    "offset": ({"rotary_offset": 4}, 6),
    "from-the-end": ({"rotary_offset": -10}, 5),
    "inv_freq": ({"inv_freq": FREQUENCIES}, 3),
    "cos_sin": ({"cos_sin": torch.ones(S, 8)}, 4),
    "cos-sin": ({"cos": torch.ones(S, 2), "sin": torch.ones(S, 2)}, 2),
    "layout": ({"layout": "bhsd"}, D // 2),
    "layout-sbhd": ({"layout": "sbhd"}, D // 2),
}


def on(device, keywords):
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in keywords.items()}


@pytest.mark.parametrize(("keywords", "pairs"), KEYWORDS.values(), ids=KEYWORDS)
def test_rotating_ops(device, keywords, pairs):
    keywords = on(device, keywords)
    q, k = tensors(device, keywords.get("layout", "bshd"))
    of_q, of_k = (PER_PAIR * B * S * heads * pairs for heads in (H, K))
    assert counted(lambda: torch.ops.rope.apply(q, k, **keywords)) == of_q + of_k
    assert counted(lambda: torch.ops.rope.apply(q, **keywords)) == of_q
    assert counted(lambda: torch.ops.rope.rotate(k, **keywords)) == of_k
    assert counted(lambda: torch.ops.rope.rotate_qk(q, k, **keywords)) == of_q + of_k
    assert (
        counted(lambda: torch.ops.rope.apply_qkv(q, num_heads_q=1, num_heads_k=1, **keywords))
        == 2 * of_q // 3
    )


@pytest.mark.parametrize("which", ["old_inv_freq", "new_inv_freq"])
def test_rerotate(device, which):
    _, k = tensors(device)
    pos = torch.arange(S, device=device)
    keywords = {which: FREQUENCIES.to(device)}
    flops = counted(lambda: torch.ops.rope.rerotate(k, pos, pos, **keywords))
    assert flops == PER_PAIR * B * S * K * 3


def test_training_counts_both_ways(device):
    q, k = tensors(device, requires_grad=True)

    def step():
        rotated = torch.ops.rope.rotate_qk(q, k)
        torch.autograd.backward([x.sum() for x in rotated])

    assert counted(step) == 2 * PER_PAIR * B * S * (H + K) * D // 2


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(D, D, bias=False)
        self.rope = RotaryEmbedding(Schedule(torch.ones(3)), table_rows=2)

    def forward(self, q, k):
        return self.rope(self.projection(q), k)


def test_modules_get_their_own(device):
    """The counter tells nested modules apart, the rotation's own among them."""
    q, k = tensors(device)
    model = nn.Sequential()
    model.add_module("attention", Attention())
    model.to(device)
    with FlopCounterMode(display=False) as counter:
        model.attention(q, k)
    flops = {name: sum(by_op.values()) for name, by_op in counter.get_flop_counts().items()}
    rotations = PER_PAIR * B * S * (H + K) * 3
    assert flops["Attention.rope"] == rotations
    assert flops["Attention.projection"] == 2 * B * S * H * D * D
    assert flops["Attention"] == flops["Global"] == rotations + flops["Attention.projection"]
