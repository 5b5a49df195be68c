"""torch_rope.compat: each function against what its library documents, written out here in float64.

float32 results round by half an ulp of a pair and 3.1 units of 2^-24 more (docs/numerics.md): so
they are within 4.2 units of the pair's norm; tables are the inputs themselves, and angles of
TransformerEngine are turned into float32 cosines, off by one unit more.
"""

import pytest
import torch

from torch_rope import compat

B, S, H, K, D, R = 2, 6, 3, 1, 16, 8  # R: rotated components where not all are
UNITS = 6 * 2**-24


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def angles(rows, width=D):
    inv_freq = 100.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.arange(rows, dtype=torch.float64).outer(inv_freq)


def tables(rows, width=D):
    return angles(rows, width).cos().float(), angles(rows, width).sin().float()


def rotated(x, cos, sin, interleaved):
    """The definition, on the leading components; cos and sin broadcast to a half of them."""
    x, cos, sin = x.double(), cos.double(), sin.double()
    width = 2 * cos.shape[-1]
    turning, rest = x[..., :width], x[..., width:]
    if interleaved:
        a, b = turning[..., ::2], turning[..., 1::2]
    else:
        a, b = turning[..., : width // 2], turning[..., width // 2 :]
    pair = (a * cos - b * sin, b * cos + a * sin)
    turned = torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1)
    return torch.cat((turned, rest), -1)


def assert_near(actual, expected):
    assert actual.dtype == torch.float32
    norm = expected.abs().max() * 2**0.5
    assert (actual - expected).abs().max() <= UNITS * norm


pairings = pytest.mark.parametrize("interleaved", [False, True], ids=["split", "interleaved"])


@pairings
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "heads"])
@pytest.mark.parametrize("has_key", [True, False], ids=["key", "no-key"])
def test_vllm(interleaved, flat, has_key):
    query, key = random(B, S, H, D), random(B, S, K, D)
    positions = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
    cos, sin = tables(10, R)
    expected = [
        rotated(x, cos[positions][:, :, None], sin[positions][:, :, None], interleaved)
        for x in (query, key)
    ]
    if flat:
        query, key = query.flatten(-2), key.flatten(-2)
    given = key if has_key else None
    compat.vllm.rotary_embedding(
        positions, query, given, D, torch.cat((cos, sin), -1), not interleaved
    )
    assert_near(query.view(B, S, H, D), expected[0])
    if has_key:
        assert_near(key.view(B, S, K, D), expected[1])


@pairings
def test_flashinfer(interleaved):
    query, key = random(S, H * D), random(S, K * D)
    positions = torch.tensor([3, 1, 4, 1, 5, 9])
    cos, sin = tables(10, R)
    at = cos[positions][:, None], sin[positions][:, None]
    expected = [rotated(x.view(S, -1, D), *at, interleaved) for x in (query, key)]
    compat.flashinfer.apply_rope_with_cos_sin_cache_inplace(
        positions, query, key, D, torch.cat((cos, sin), -1), is_neox=not interleaved
    )
    for x, exact in zip((query, key), expected, strict=True):
        assert_near(x.view(S, -1, D), exact)


@pairings
@pytest.mark.parametrize("inplace", [False, True], ids=["new", "inplace"])
@pytest.mark.parametrize("offsets", [0, 2, torch.tensor([1, 3])], ids=["zero", "two", "each"])
def test_flash_attn(interleaved, inplace, offsets):
    x = random(B, S, H, D)
    cos, sin = tables(S + 4, R)
    pos = torch.arange(S) + torch.as_tensor(offsets).expand(B)[:, None]
    expected = rotated(x, cos[pos][:, :, None], sin[pos][:, :, None], interleaved)
    result = compat.flash_attn.apply_rotary_emb(x, cos, sin, interleaved, inplace, offsets)
    assert_near(result, expected)
    assert (result is x) == inplace


@pytest.mark.parametrize("offsets", [0, 2, torch.tensor([1, 3])], ids=["zero", "two", "each"])
def test_flash_attn_of_ragged_batches(offsets):
    x = random(S, H, D)
    cos, sin = tables(S + 4, R)
    starts = torch.tensor([0, 2, S])
    each = torch.as_tensor(offsets).expand(2)
    pos = torch.cat([torch.arange(n) + each[i] for i, n in enumerate((2, S - 2))])
    expected = rotated(x, cos[pos][:, None], sin[pos][:, None], False)
    result = compat.flash_attn.apply_rotary_emb(
        x, cos, sin, seqlen_offsets=offsets, cu_seqlens=starts, max_seqlen=S - 2
    )
    assert_near(result, expected)


@pytest.mark.parametrize("batch", [1, B])
def test_liger(batch):
    q, k = random(B, H, S, D).requires_grad_(), random(B, K, S, D).requires_grad_()
    cos, sin = (t.expand(batch, S, D // 2) for t in tables(S))
    results = compat.liger.liger_rotary_pos_emb(q, k, cos.repeat(1, 1, 2), sin.repeat(1, 1, 2))
    for x, result in zip((q, k), results, strict=True):
        assert_near(result, rotated(x, cos[:, None], sin[:, None], False))
    sum(result.sum() for result in results).backward()
    assert q.grad is not None
    assert k.grad is not None


def test_llama():
    q, k = random(B, S, H, D), random(B, S, K, D)
    freqs_cis = torch.polar(torch.ones(S, D // 2), angles(S).float())
    for x, result in zip((q, k), compat.llama.apply_rotary_emb(q, k, freqs_cis), strict=True):
        as_complex = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)))
        expected = torch.view_as_real(as_complex * freqs_cis[None, :, None]).flatten(-2)
        assert_near(result, expected)


@pairings
@pytest.mark.parametrize("flat", [False, True], ids=["heads", "flat"])
@pytest.mark.parametrize("by_position", [False, True], ids=["by-token", "by-position"])
def test_onnx(interleaved, flat, by_position):
    x = random(B, H, S, D)
    position_ids = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
    cos, sin = tables(10, R)
    expected = rotated(x, cos[position_ids][:, None], sin[position_ids][:, None], interleaved)
    if not by_position:
        cos, sin, position_ids = cos[position_ids], sin[position_ids], None
    result = compat.onnx.rotary_embedding(
        x.transpose(1, 2).flatten(2) if flat else x,
        cos,
        sin,
        position_ids,
        interleaved=int(interleaved),
        num_heads=H if flat else 0,
        rotary_embedding_dim=R,
    )
    assert_near(result.unflatten(-1, (H, D)).transpose(1, 2) if flat else result, expected)


@pairings
@pytest.mark.parametrize("sequence_dim", [1, 2])
def test_diffusers(interleaved, sequence_dim):
    x = random(B, H, S, D)
    cos, sin = tables(S)
    expected = rotated(x, cos, sin, interleaved)
    if interleaved:
        doubled, unbind_dim = [t.repeat_interleave(2, -1) for t in (cos, sin)], -1
    else:
        doubled, unbind_dim = [t.repeat(1, 2) for t in (cos, sin)], -2
    swap = sequence_dim == 1
    result = compat.diffusers.apply_rotary_emb(
        x.transpose(1, 2) if swap else x,
        tuple(doubled),
        use_real_unbind_dim=unbind_dim,
        sequence_dim=sequence_dim,
    )
    assert_near(result.transpose(1, 2) if swap else result, expected)


@pytest.mark.parametrize("batched", [False, True], ids=["shared", "batched"])
def test_diffusers_complex(batched):
    x = random(B, S, H, D)
    freqs_cis = torch.polar(torch.ones(S, D // 2), angles(S).float())
    given = freqs_cis.expand(B, S, D // 2) if batched else freqs_cis
    result = compat.diffusers.apply_rotary_emb(x, given, use_real=False)
    assert_near(result, rotated(x, freqs_cis.real[:, None], freqs_cis.imag[:, None], True))


@pairings
@pytest.mark.parametrize("tensor_format", ["sbhd", "bshd"])
@pytest.mark.parametrize("start", [None, torch.tensor([1, 3])], ids=["from-0", "from-start"])
def test_transformer_engine(interleaved, tensor_format, start):
    t = random(B, S, H, D)
    radians = angles(S + 4, R).float()
    pos = torch.arange(S) + (
        torch.zeros(B, 1, dtype=torch.int64) if start is None else start[:, None]
    )
    at = radians.double()[pos][:, :, None]
    expected = rotated(t, at.cos(), at.sin(), interleaved)
    twice = radians.repeat_interleave(2, -1) if interleaved else radians.repeat(1, 2)
    swap = tensor_format == "sbhd"
    result = compat.transformer_engine.apply_rotary_pos_emb(
        t.transpose(0, 1) if swap else t,
        twice[:, None, None],
        tensor_format,
        start_positions=start,
        interleaved=interleaved,
    )
    assert_near(result.transpose(0, 1) if swap else result, expected)


def test_transformer_engine_of_ragged_batches():
    t = random(S, H, D)
    radians = angles(S).float()
    pos = torch.cat((torch.arange(2), torch.arange(S - 2)))
    at = radians.double()[pos][:, None]
    result = compat.transformer_engine.apply_rotary_pos_emb(
        t, radians.repeat(1, 2)[:, None, None], "thd", cu_seqlens=torch.tensor([0, 2, S])
    )
    assert_near(result, rotated(t, at.cos(), at.sin(), False))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: compat.onnx.rotary_embedding(random(B, S, H * D), *tables(S)), "needs num_heads"),
        (
            lambda: compat.diffusers.apply_rotary_emb(random(B, H, S, D), tables(S), True, 0),
            "use_real_unbind_dim must be -1 or -2, got 0",
        ),
        (
            lambda: compat.diffusers.apply_rotary_emb(
                random(B, H, S, D), tables(S), sequence_dim=0
            ),
            "sequence_dim must be 1 or 2, got 0",
        ),
        (
            lambda: compat.transformer_engine.apply_rotary_pos_emb(
                random(S, B, H, D), random(S, 1, 1, D), cp_size=2
            ),
            "cp_size must be 1, got 2",
        ),
    ],
    ids=["onnx", "unbind_dim", "sequence_dim", "cp_size"],
)
def test_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_refused_type():
    with pytest.raises(TypeError, match="freqs_cis must be a complex tensor without use_real"):
        compat.diffusers.apply_rotary_emb(random(B, S, H, D), tables(S), use_real=False)
