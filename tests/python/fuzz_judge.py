"""Whether a call did what it should: against torch_rope.reference, which is exact for every int64
position and every finite frequency, by guarantee 1 of docs/numerics.md. For test_fuzz.py.
"""

import torch
from bounds import assert_within, error_bound
from cases import same_bits

from torch_rope import reference

INTEGER_KEYWORDS = ("offsets", "cu_seqlens")


def _layout(x, keywords):
    return "thd" if x.dim() == 3 else keywords.get("layout", "bshd")


def batch_and_sequence(x, keywords):
    """The extents (B, S) of x."""
    return {
        "bshd": lambda: x.shape[:2],
        "bhsd": lambda: (x.shape[0], x.shape[2]),
        "sbhd": lambda: (x.shape[1], x.shape[0]),
        "thd": lambda: (1, x.shape[0]),
    }[_layout(x, keywords)]()


def as_heads(tokens, x, keywords):
    """What (B, S) says of tokens, seen as x has its dimensions."""
    return {
        "bshd": lambda: tokens[..., None, None],
        "bhsd": lambda: tokens[:, None, :, None],
        "sbhd": lambda: tokens.T[..., None, None],
        "thd": lambda: tokens[0][:, None, None],
    }[_layout(x, keywords)]()


def _positions(x, pos, keywords):
    """The positions of every token, (B, S): as given, and their magnitudes, summed over axes."""
    axes = 1
    if "inv_freq" in keywords and keywords["inv_freq"].dim() > 1:
        axes = keywords["inv_freq"].shape[0]
    heads = torch.empty(*batch_and_sequence(x, keywords), 1, 1)
    offsets, starts = (keywords.get(name) for name in INTEGER_KEYWORDS)
    given, positions = reference._positions(heads, pos, axes, offsets, starts)
    return given[0], positions.double().abs().sum(0)


def judge(result, x, pos, keywords, rotated):
    """Fails unless `result` is x with its components `rotated` turned, within the bound."""
    exact = reference.rotate(x, pos, **keywords)
    factor = keywords.get("attention_factor", 1.0)
    has_tokens = keywords.get("cos_sin", keywords.get("cos", torch.ones(1, 1))).dim() > 2
    largest = 0.0
    if not has_tokens:
        given, magnitudes = _positions(x, pos, keywords)
        if keywords.get("inv_freq", torch.ones(1)).dtype != torch.int64:
            largest = as_heads(magnitudes, x, keywords)
        if keywords.get("skip_negative") and pos is not None:
            skipped = as_heads(given < 0, x, keywords).expand(x.shape)
            assert torch.equal(result[skipped], x[skipped])
    expected, actual = exact[..., rotated], result[..., rotated]
    missing = expected.isnan()
    assert torch.equal(actual.isnan(), missing)
    bound = error_bound(
        x[..., rotated],
        expected.masked_fill(missing, 0.0),
        rotary_dim=rotated.stop - rotated.start,
        interleaved=keywords.get("interleaved", False),
        largest_position=largest,
        # Rows of a table do not hold it, and the plain bound is then the smaller one.
        factor=factor if factor == 1.0 else max(factor, 1.0),
    )
    assert_within(actual.masked_fill(missing, 0.0), expected.masked_fill(missing, 0.0), bound)
    for rest in (slice(None, rotated.start), slice(rotated.stop, None)):
        assert same_bits(result[..., rest], x[..., rest])
