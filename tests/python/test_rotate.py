"""rotate and rotate_qk: results beside untouched inputs, from views of every kind.

What apply computes is judged in test_apply.py; here results are compared with it, bit for bit.
"""

import pytest
import torch
from cases import DTYPES, PAIRINGS, Shape, random, same_bits, shapes

B, S = 2, 5


def applied(x, *args, **keywords):
    """Returns what apply makes of a contiguous copy of x."""
    copy = torch.empty(x.shape, dtype=x.dtype, device=x.device).copy_(x)
    torch.ops.rope.apply(copy, None, *args, **keywords)
    return copy


def view_slice_of_qkv(dtype, device):
    return random(B, S, 8, 32, dtype=dtype, device=device)[:, :, 2:5]


def view_packed_in_the_head(dtype, device):
    return random(B, S, 3, 96, dtype=dtype, device=device)[..., 32:64]


def view_transposed(dtype, device):
    return random(B, 3, S, 32, dtype=dtype, device=device).transpose(1, 2)


def view_sequence_first(dtype, device):
    return random(S, B, 3, 32, dtype=dtype, device=device).transpose(0, 1)


def view_one_element_off(dtype, device):
    flat = random(B * S * 3 * 32 + 1, dtype=dtype, device=device)
    return flat[1:].view(B, S, 3, 32)


def view_odd_token_stride(dtype, device):
    flat = random(B * S * 97, dtype=dtype, device=device)
    return flat.as_strided((B, S, 3, 32), (S * 97, 97, 32, 1))


def view_interlocked_batches(dtype, device):
    """Tokens at 0, 2, 4, 6, 8 and 5, 7, 9, 11, 13: disjoint, though the strides do not nest."""
    flat = random(14 * 96, dtype=dtype, device=device)
    return flat.as_strided((B, S, 3, 32), (5 * 96, 2 * 96, 32, 1))


def view_expanded_heads(dtype, device):
    return random(B, S, 1, 32, dtype=dtype, device=device).expand(B, S, 3, 32)


def view_expanded_batch(dtype, device):
    return random(1, S, 3, 32, dtype=dtype, device=device).expand(B, S, 3, 32)


WRITABLE = [
    view_slice_of_qkv,
    view_packed_in_the_head,
    view_transposed,
    view_sequence_first,
    view_one_element_off,
    view_odd_token_stride,
    view_interlocked_batches,
]
READABLE = [*WRITABLE, view_expanded_heads, view_expanded_batch]


def named(views):
    return [pytest.param(view, id=view.__name__.removeprefix("view_")) for view in views]


@pytest.mark.parametrize("view", named(READABLE))
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_views_are_read_where_they_lie(device, dtype, interleaved, view):
    x = view(dtype, device)
    before = x.clone()
    result = torch.ops.rope.rotate(x, interleaved=interleaved, rotary_dim=20)
    assert same_bits(x, before)
    assert same_bits(result, applied(x, interleaved=interleaved, rotary_dim=20))
    assert result.stride() == torch.empty_like(x).stride()


@pytest.mark.parametrize("view", named(WRITABLE))
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_apply_writes_nothing_but_the_view(device, dtype, interleaved, view):
    x = view(dtype, device)
    whole = torch.as_strided(x, (x.untyped_storage().nbytes() // x.element_size(),), (1,), 0)
    expected = whole.clone()
    torch.as_strided(expected, x.shape, x.stride(), x.storage_offset()).copy_(
        applied(x, interleaved=interleaved, rotary_dim=20)
    )
    torch.ops.rope.apply(x, interleaved=interleaved, rotary_dim=20)
    assert same_bits(whole, expected)


@pytest.mark.parametrize("offset", range(1, 9))
def test_storage_offsets(device, offset):
    flat = random(B * S * 2 * 64 + offset, dtype=torch.float16, device=device)
    x = flat[offset:].view(B, S, 2, 64)
    assert same_bits(torch.ops.rope.rotate(x), applied(x))


@pytest.mark.parametrize("shape", shapes(Shape(4, 2, 64, 24), Shape(1, 3, 20, 6)))
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_rest_of_the_head_is_copied(device, dtype, interleaved, shape):
    x = random(B, S, shape.heads_q, shape.head_dim, dtype=dtype, device=device)
    # Every bit pattern survives a copy: a signalling NaN, an infinity, a negative zero.
    x[..., -3:] = torch.tensor([float("nan"), float("-inf"), -0.0], dtype=dtype)
    result = torch.ops.rope.rotate(x, rotary_dim=shape.rotary_dim, interleaved=interleaved)
    rest = slice(shape.rotary_dim, None)
    assert same_bits(result[..., rest], x[..., rest])


@pytest.mark.parametrize("shape", shapes(Shape(4, 2, 64, 64), Shape(8, 1, 96, 40)))
@pytest.mark.parametrize("dtype", DTYPES)
def test_rotate_qk(device, dtype, shape):
    pos = torch.tensor([[4, 5, 6, 7, 8], [0, 1, 2, 3, -4]], device=device)
    q = random(B, S, shape.heads_q, shape.head_dim, dtype=dtype, device=device)
    k = random(B, shape.heads_k, S, shape.head_dim, dtype=dtype, device=device).transpose(1, 2)
    before = q.clone(), k.clone()
    rotated_q, rotated_k = torch.ops.rope.rotate_qk(q, k, pos, rotary_dim=shape.rotary_dim)
    assert same_bits(q, before[0])
    assert same_bits(k, before[1])
    assert same_bits(rotated_q, applied(q, pos, rotary_dim=shape.rotary_dim))
    assert same_bits(rotated_k, applied(k, pos, rotary_dim=shape.rotary_dim))
    assert rotated_k.stride() == torch.empty_like(k).stride()


def test_rotate_qk_takes_different_head_dims(device):
    q = random(B, S, 3, 48, dtype=torch.float32, device=device)
    k = random(B, S, 1, 32, dtype=torch.float32, device=device)
    rotated_q, rotated_k = torch.ops.rope.rotate_qk(q, k, rotary_dim=32)
    assert same_bits(rotated_q, applied(q, rotary_dim=32))
    assert same_bits(rotated_k, applied(k, rotary_dim=32))


def test_q_and_k_may_be_the_same_tensor_where_they_are_read(device):
    x = random(B, S, 3, 16, dtype=torch.float32, device=device)
    q, k = torch.ops.rope.rotate_qk(x, x)
    assert same_bits(q, k)
    assert same_bits(q, applied(x))


def test_disjoint_views_of_one_storage_are_written(device):
    qkv = random(B, S, 7, 32, dtype=torch.bfloat16, device=device)
    q, k, v = qkv[:, :, :4], qkv[:, :, 4:6], qkv[:, :, 6:]
    expected_q, expected_k, before_v = applied(q), applied(k), v.clone()
    torch.ops.rope.apply(q, k)
    assert same_bits(q, expected_q)
    assert same_bits(k, expected_k)
    assert same_bits(v, before_v)


def test_channels_last_and_size_one_strides(device):
    x = random(2, 1, 3, 16, dtype=torch.float32, device=device)
    odd = x.as_strided(x.shape, (48, 7, 16, 1))
    assert same_bits(torch.ops.rope.rotate(odd), applied(x))


@pytest.mark.parametrize("extents", [(0, 4, 2, 8), (2, 0, 2, 8), (2, 4, 0, 8)], ids=["B", "S", "H"])
def test_zero_extents(device, extents):
    x = torch.empty(extents, dtype=torch.bfloat16, device=device)
    result = torch.ops.rope.rotate(x)
    assert result.shape == x.shape
    q, k = torch.ops.rope.rotate_qk(x, x)
    assert q.shape == k.shape == x.shape
