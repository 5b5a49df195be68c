"""apply_qkv: the query and key heads of a packed projection, as one mutated tensor.

Bit for bit what apply makes of the slices, which other files judge.
"""

import re

import pytest
import torch
from cases import DTYPES, PAIRINGS, random, same_bits
from layouts import LAYOUTS, assert_rotated, sequences_of, view_as, whole_storage

import torch_rope

B, S, D = 2, 5, 12
HEADS = {
    "gqa": (4, 2, 2),
    "mha": (2, 2, 2),
    "no-values": (3, 1, 0),
    "no-keys": (3, 0, 2),
    "no-queries": (0, 2, 2),
    "values-alone": (0, 0, 3),
    "none": (0, 0, 0),
}


def sliced(qkv, heads, pos=None, **keywords):
    """Returns what apply makes of the slices of a copy of (B, S, H, D)."""
    expected = qkv.clone()
    q, k, _ = expected.split(heads, dim=-2)
    torch.ops.rope.apply(q, k, pos, **keywords)
    return expected


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pos", [False, True], ids=["none", "pos"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_is_apply_on_the_slices(device, dtype, pos, layout, heads):
    batches = sequences_of(layout, B)
    qkv = random(batches, S, sum(heads), D, dtype=dtype, device=device)
    pos = torch.tensor([[4, -1, 2**33, 0, 7], [1, 2, 3, 4, 5]], device=device) if pos else None
    pos = pos if pos is None else pos[:batches]
    expected = sliced(qkv, heads, pos)
    own = pos[0] if layout == "thd" and pos is not None else pos
    seen = view_as(layout, qkv)
    counts = {"num_heads_q": heads[0], "num_heads_k": heads[1]}
    assert torch.ops.rope.apply_qkv(seen, own, layout=layout, **counts) is None
    assert same_bits(qkv, expected)


TABLE = torch.rand(9, D, generator=torch.Generator().manual_seed(1))
KEYWORDS = {
    "part": {"rotary_dim": 6, "rotary_offset": -7},
    "interleaved": {"interleaved": True},
    "inverse": {"inverse": True, "attention_factor": 1.5},
    "base": {"base": 5e5},
    "frequencies": {"inv_freq": torch.tensor([1.0, -0.5, 0.1, 0.0])},
    "per-head": {"inv_freq": torch.tensor([[1.0, -0.5], [0.1, 0.0]])[None]},
    "table": {"cos_sin": TABLE},
    "rows-per-token": {"cos": TABLE[None, :S, :4], "sin": TABLE[None, :S, 4:8]},
    "offsets": {"offsets": torch.tensor([3, -9])},
}


@pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_keywords(device, dtype, keywords):
    heads = (2, 2, 1)
    keywords = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in keywords.items()
    }
    qkv = random(B, S, sum(heads), D, dtype=dtype, device=device)
    expected = sliced(qkv, heads, **keywords)
    torch_rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=2, **keywords)
    assert same_bits(qkv, expected)


@pytest.mark.parametrize("counts", [(2, 0), (0, 2)], ids=["no-keys", "no-queries"])
def test_each_head_of_the_rotated_ones_has_its_frequencies(device, counts):
    """Where one of the two has no heads, the frequencies are the other's."""
    inv_freq = torch.tensor([[1.0, -0.5], [0.1, 0.3]], device=device)[None]
    qkv = random(B, S, 5, 4, dtype=torch.float32, device=device)
    expected = torch.cat(
        (torch.ops.rope.rotate(qkv[:, :, :2], inv_freq=inv_freq), qkv[:, :, 2:]), 2
    )
    torch.ops.rope.apply_qkv(qkv, num_heads_q=counts[0], num_heads_k=counts[1], inv_freq=inv_freq)
    assert same_bits(qkv, expected)


def test_ragged_sequences(device):
    qkv = random(S, 4, D, dtype=torch.bfloat16, device=device)
    keywords = {
        "cu_seqlens": torch.tensor([0, 2, 2, S], device=device),
        "offsets": torch.tensor([7, 0, -7], device=device),
    }
    expected = sliced(qkv, (2, 1, 1), **keywords)
    torch.ops.rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=1, **keywords)
    assert same_bits(qkv, expected)


def test_padding_is_skipped(device):
    qkv = random(B, S, 4, D, dtype=torch.bfloat16, device=device)
    pos = torch.tensor([-1, 4, -7, 0, 2], device=device)
    expected = sliced(qkv, (2, 1, 1), pos)
    expected[:, pos < 0] = qkv[:, pos < 0]
    torch.ops.rope.apply_qkv(qkv, pos, num_heads_q=2, num_heads_k=1, skip_negative=True)
    assert same_bits(qkv, expected)


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_the_oracle(device, dtype, interleaved):
    qkv = random(B, S, 5, D, dtype=dtype, device=device)
    before = qkv.clone()
    pos = torch.arange(S, device=device) * 1000
    torch.ops.rope.apply_qkv(qkv, pos, num_heads_q=3, num_heads_k=1, interleaved=interleaved)
    for heads in (slice(0, 3), slice(3, 4)):
        x = before[:, :, heads]
        keywords = {"largest_position": 1000 * S, "interleaved": interleaved}
        assert_rotated(qkv[:, :, heads], x, pos, **keywords)
    assert same_bits(qkv[:, :, 4:], before[:, :, 4:])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_writes_nothing_beside_the_heads(device, layout):
    """A view with canaries around it; values that are no numbers stay as they are."""
    packed = random(sequences_of(layout, B), S + 2, 6, D + 3, dtype=torch.float16, device=device)
    packed[:, :, 4] = float("nan")
    expected = packed.clone()
    expected[:, 1:-1, :, 2:-1] = sliced(packed[:, 1:-1, :, 2:-1].contiguous(), (3, 1, 2))
    qkv = view_as(layout, packed[:, 1:-1, :, 2:-1])
    torch.ops.rope.apply_qkv(qkv, layout=layout, num_heads_q=3, num_heads_k=1)
    assert same_bits(whole_storage(qkv), whole_storage(expected))


@pytest.mark.parametrize("empty", ["B", "S"])
def test_zero_extents(device, empty):
    extents = {"B": B, "S": S} | {empty: 0}
    qkv = torch.empty(*extents.values(), 4, D, device=device)
    torch.ops.rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=1)
    assert qkv._version == 1


def test_the_version_counter_rises_by_one(device):
    qkv = random(B, S, 4, D, dtype=torch.float32, device=device)
    torch.ops.rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=1)
    assert qkv._version == 1


def test_inference_mode(device):
    qkv = random(B, S, 4, D, dtype=torch.float32, device=device)
    expected = sliced(qkv, (2, 1, 1))
    with torch.inference_mode():
        inner = qkv.clone()
        torch.ops.rope.apply_qkv(inner, num_heads_q=2, num_heads_k=1)
        torch.ops.rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=1)
    assert same_bits(inner, expected)
    assert same_bits(qkv, expected)
    assert qkv._version == 1


@pytest.mark.parametrize("argument", ["qkv", "inv_freq", "cos_sin", "cos"])
def test_grad_mode_refuses(device, argument):
    qkv = random(B, S, 4, D, dtype=torch.float32, device=device)
    before = qkv.clone()
    angles = {
        "qkv": {},
        "inv_freq": {"inv_freq": torch.ones(D // 2, device=device)},
        "cos_sin": {"cos_sin": torch.ones(S, D, device=device)},
        "cos": {name: torch.ones(S, D // 2, device=device) for name in ("cos", "sin")},
    }[argument]
    {"qkv": qkv, **angles}[argument].requires_grad_()
    text = f"rope::apply_qkv: {argument} must not require grad while grad mode is on; "
    with pytest.raises(RuntimeError, match="^" + re.escape(text) + ".*rope::rotate_qk"):
        torch.ops.rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=1, **angles)
    assert same_bits(qkv.detach(), before)
    assert qkv._version == 0
    with torch.no_grad():
        torch.ops.rope.apply_qkv(qkv, num_heads_q=2, num_heads_k=1, **angles)
    assert same_bits(
        qkv.detach(), sliced(before, (2, 1, 1), **{n: t.detach() for n, t in angles.items()})
    )


@pytest.mark.cuda
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda_gives_the_bits_of_the_cpu(dtype, layout):
    qkv = view_as(layout, random(1, S, 4, D, dtype=dtype, device="cpu"))
    on_cuda = qkv.cuda()
    for x in (qkv, on_cuda):
        torch.ops.rope.apply_qkv(x, layout=layout, num_heads_q=2, num_heads_k=1)
    assert same_bits(on_cuda.cpu(), qkv)
