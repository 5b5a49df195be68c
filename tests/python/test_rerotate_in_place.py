"""rerotate in memory: views of a cache, skipped tokens, version counters, autograd's refusal."""

import re

import pytest
import torch
from cases import DTYPES, random, same_bits

B, S, H, D = 3, 4, 2, 12


def positions(device):
    old_pos = torch.arange(B * S, device=device).reshape(B, S)
    return old_pos, old_pos * 3 - 7


def dense(k, *pos, **keywords):
    """Returns what rerotate makes of a contiguous copy."""
    copy = torch.empty(k.shape, dtype=k.dtype, device=k.device).copy_(k)
    torch.ops.rope.rerotate(copy, *pos, **keywords)
    return copy


# Caches of blocks, and the view of their keys: (blocks, slots, heads, width) in a layout.
CACHES = {
    "blocks": ("bshd", (B, S, H, D), lambda c: c),
    "keys-beside-values": ("bshd", (B, 2, S, H, D), lambda c: c[:, 0]),
    "keys-before-values": ("bshd", (B, S, H, 2 * D), lambda c: c[..., :D]),
    "heads-first": ("bhsd", (B, H, S, D), lambda c: c),
    "heads-first-beside-values": ("bhsd", (B, 2, H, S, D), lambda c: c[:, 0]),
    "every-second-block": ("bshd", (2 * B, S, H, D), lambda c: c[1::2]),
    "part-of-the-blocks": ("bshd", (B, 2 * S, H, D), lambda c: c[:, 1 : S + 1]),
    "latent": ("bshd", (B, S, 1, 3 * D), lambda c: c[..., -D:]),
}


@pytest.mark.parametrize(("layout", "extents", "keys"), CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_views_of_a_cache(device, dtype, layout, extents, keys):
    cache = random(*extents, dtype=dtype, device=device)
    expected = cache.clone()
    pos = positions(device)
    keys(expected).copy_(dense(keys(cache), *pos, layout=layout))
    torch.ops.rope.rerotate(keys(cache), *pos, layout=layout)
    assert same_bits(cache, expected)


@pytest.mark.parametrize("offset", [4, -8])
def test_a_part_of_the_head(device, offset):
    k = random(B, S, H, D, dtype=torch.bfloat16, device=device)
    expected = k.clone()
    own = slice(4, 10)
    expected[..., own] = dense(k[..., own], *positions(device))
    torch.ops.rope.rerotate(k, *positions(device), rotary_dim=6, rotary_offset=offset)
    assert same_bits(k, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", [1, 2])
def test_either_negative_position_skips(device, axes, dtype):
    k = random(B, S, H, D, dtype=dtype, device=device)
    old_pos, new_pos = (p.abs() + 1 for p in positions(device))
    old_pos[0, 1] = new_pos[1, 2] = old_pos[2, 3] = new_pos[2, 3] = -1
    skipped = (old_pos < 0) | (new_pos < 0)
    inv_freq = torch.logspace(0, -3, D // 2, device=device)
    if axes == 2:
        # What lies on the second axis does not matter.
        inv_freq = torch.stack((inv_freq, inv_freq.flip(0)))
        old_pos, new_pos = (torch.stack((p, p - 3)) for p in (old_pos, new_pos))
    keywords = {"old_inv_freq": inv_freq}
    expected = dense(k, old_pos, new_pos, **keywords)
    expected = torch.where(skipped[..., None, None], k, expected)
    torch.ops.rope.rerotate(k, old_pos, new_pos, skip_negative=True, **keywords)
    assert same_bits(k, expected)


@pytest.mark.parametrize("empty", ["B", "S", "H"])
def test_zero_extents(device, empty):
    extents = {"B": B, "S": S, "H": H} | {empty: 0}
    k = torch.empty(*extents.values(), D, device=device)
    pos = torch.zeros(extents["B"], extents["S"], dtype=torch.int64, device=device)
    torch.ops.rope.rerotate(k, pos, pos)
    assert k._version == 1


def test_the_version_counter_rises_by_one(device):
    k = random(B, S, H, D, dtype=torch.float32, device=device)
    old_pos, new_pos = positions(device)
    torch.ops.rope.rerotate(k, old_pos, new_pos)
    assert (k._version, old_pos._version, new_pos._version) == (1, 0, 0)


def test_inference_mode(device):
    k = random(B, S, H, D, dtype=torch.float32, device=device)
    expected = dense(k, *positions(device))
    with torch.inference_mode():
        inner = k.clone()
        torch.ops.rope.rerotate(inner, *positions(device))
        torch.ops.rope.rerotate(k, *positions(device))
    assert same_bits(inner, expected)
    assert same_bits(k, expected)
    assert k._version == 1


@pytest.mark.parametrize("argument", ["k", "old_inv_freq", "new_inv_freq"])
def test_grad_mode_refuses(device, argument):
    k = random(B, S, H, D, dtype=torch.float32, device=device)
    before = k.clone()
    frequencies = {name: torch.ones(D // 2, device=device) for name in ("old_inv_freq", argument)}
    frequencies.pop("k", None)
    {**frequencies, "k": k}[argument].requires_grad_()
    text = f"rope::rerotate: {argument} must not require grad while grad mode is on; "
    with pytest.raises(RuntimeError, match=re.escape(text) + r"call it under torch\.no_grad\(\)"):
        torch.ops.rope.rerotate(k, *positions(device), **frequencies)
    assert same_bits(k.detach(), before)
    assert k._version == 0
    with torch.no_grad():
        torch.ops.rope.rerotate(k, *positions(device), **frequencies)
    assert k._version == 1


@pytest.mark.cuda
@pytest.mark.parametrize("on", ["cpu", "cuda"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda_gives_the_bits_of_the_cpu(dtype, on):
    k = random(B, S, H, D, dtype=dtype, device="cpu")
    old, new = (torch.logspace(0, -e, D // 2, dtype=torch.float64) for e in (3, 4))
    expected = dense(k, *positions("cpu"), old_inv_freq=old, new_inv_freq=new)
    given = {"old_inv_freq": old.to(on), "new_inv_freq": new.to(on)}
    assert same_bits(dense(k.cuda(), *positions("cuda"), **given).cpu(), expected)


@pytest.mark.cuda
@pytest.mark.parametrize("old", [None, torch.ones(D // 2)], ids=["base", "cpu"])
def test_cuda_refuses_frequencies_in_two_places(old):
    """Moving those on the CPU, where base is too, would wait for the device."""
    k = random(B, S, H, D, dtype=torch.float32, device="cuda")
    before = k.clone()
    new = torch.ones(D // 2, device="cuda")
    text = "rope::rerotate: old_inv_freq and new_inv_freq must both be on cuda:0 or both on the CPU"
    with pytest.raises(RuntimeError, match=f"^{text}"):
        torch.ops.rope.rerotate(k, *positions("cuda"), old_inv_freq=old, new_inv_freq=new)
    assert same_bits(k, before)
