"""The operators with arguments that hypothesis draws: every argument, alone and together.

`make test` tries the same few hundred calls each time; `make fuzz ARGS="--minutes 20"` tries others
for as long as it is told, and prints how to see a failure again.
"""

import os

import torch
from bounds import assert_within, error_bound
from cases import same_bits
from fuzz_calls import calls, rerotations
from fuzz_judge import as_heads, batch_and_sequence, judge
from fuzz_tensors import INT64, frequencies, guarded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import torch_rope
from torch_rope import reference

EXAMPLES = int(os.environ.get("ROPE_FUZZ_EXAMPLES", "150"))
LONG = "ROPE_FUZZ_EXAMPLES" in os.environ

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not LONG,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def assert_rotated(before, after):
    """after, a copy of before that was rotated in place, holds what it should, and no more."""
    for (old, rotated), (new, _) in zip(before.heads(), after.heads(), strict=True):
        new.assert_outside_is(old, rotated)
        judge(new.view, old.view, before.pos, before.keywords, rotated)


@fuzzed
@given(calls())
def test_apply(call):
    after = call.copy()
    said = torch_rope.explain(*call.arguments(), **call.keywords)
    assert said["error"] is None
    torch.ops.rope.apply(*after.arguments(), **after.keywords)
    assert_rotated(call, after)


@fuzzed
@given(calls(with_k=True))
def test_rotate_qk(call):
    """New tensors hold the bits that apply leaves in place; inputs are not written."""
    before, after = call.copy(), call.copy()
    torch.ops.rope.apply(*after.arguments(), **after.keywords)
    q, k = torch.ops.rope.rotate_qk(*call.arguments(), **call.keywords)
    for result, (given_, _), (old, _), (new, _) in zip(
        (q, k), call.heads(), before.heads(), after.heads(), strict=True
    ):
        assert same_bits(result, new.view)
        assert result.stride() == torch.empty_like(given_.view).stride()
        assert same_bits(given_.block, old.block)


@fuzzed
@given(calls(with_k=False))
def test_rotate(call):
    after = call.copy()
    torch.ops.rope.apply(*after.arguments(), **after.keywords)
    assert_rotated(call, after)
    result = torch_rope.rotate(call.q.view, call.pos, **call.keywords)
    assert same_bits(result, after.q.view)


@st.composite
def packed(draw):
    """A call with q and k as parts of one projection, and some value heads behind them."""
    call = draw(calls(with_k=True).filter(lambda c: c.q.view.shape[-1] == c.k.view.shape[-1]))
    q, k = call.q.view, call.k.view
    dim = 1 if call.keywords.get("layout") == "bhsd" else -2
    heads_v = draw(st.integers(0, 2))
    v = torch.ones_like(q).narrow(dim, 0, 0) if q.shape[dim] == 0 else q.narrow(dim, 0, 1)
    whole = torch.cat([q, k] + [v] * heads_v, dim=dim)
    return call, draw(guarded(whole)), dim


@fuzzed
@given(packed())
def test_apply_qkv(drawn):
    """The packed base gets what apply makes of its parts, and its value heads stay."""
    call, qkv, dim = drawn
    counts = [call.q.view.shape[dim], call.k.view.shape[dim]]
    before = qkv.copy()
    torch.ops.rope.apply_qkv(
        qkv.view, call.pos, num_heads_q=counts[0], num_heads_k=counts[1], **call.keywords
    )
    parts = before.copy()
    heads = parts.view.split([*counts, parts.view.shape[dim] - sum(counts)], dim)
    torch.ops.rope.apply(heads[0], heads[1], call.pos, **call.keywords)
    assert same_bits(qkv.block, parts.block)


def undone(call, x):
    """What rerotate should make of x, in float64: back by the old positions, then to the new."""
    keywords, (old_pos, new_pos) = call.keywords, call.pos
    common = {
        name: keywords[name]
        for name in ("interleaved", "layout", "rotary_offset", "base") & keywords.keys()
    }
    common["rotary_dim"] = call.rotary_dim
    old = {"inv_freq": keywords["old_inv_freq"]} if "old_inv_freq" in keywords else {}
    new = {"inv_freq": keywords["new_inv_freq"]} if "new_inv_freq" in keywords else old
    back = reference.rotate(x, old_pos, inverse=True, **common, **old)
    return reference.rotate(
        back, new_pos, attention_factor=keywords.get("scale", 1.0), **common, **new
    )


def skipped_tokens(call):
    """Where a position is negative, on its first axis: as x has its batch and sequence."""
    batches, tokens = batch_and_sequence(call.q.view, call.keywords)
    skipped = torch.zeros(batches, tokens, dtype=torch.bool)
    old, new = (call.keywords.get(f"{name}_inv_freq") for name in ("old", "new"))
    for pos, inv_freq in zip(call.pos, (old, old if new is None else new), strict=True):
        has_axes = inv_freq is not None and inv_freq.dim() > 1
        skipped |= (pos[0] if has_axes else pos) < 0
    return as_heads(skipped, call.q.view, call.keywords)


@fuzzed
@given(rerotations())
def test_rerotate(call):
    """Within guarantee 1 of the two rotations in float64; skipped tokens keep their bits."""
    after = call.copy()
    torch.ops.rope.rerotate(after.q.view, *call.pos, **call.keywords)
    rotated = call.heads()[0][1]
    after.q.assert_outside_is(call.q, rotated)
    x, result = call.q.view, after.q.view
    exact = undone(call, x)
    if call.keywords.get("skip_negative"):
        skipped = skipped_tokens(call).expand(x.shape)
        assert torch.equal(result[skipped], x[skipped])
        exact = torch.where(skipped, x.double(), exact)
    exact = exact[..., rotated]
    scale = call.keywords.get("scale", 1.0)
    largest = sum(float(pos.double().abs().max()) * 4 if pos.numel() else 0.0 for pos in call.pos)
    bound = error_bound(
        x[..., rotated],
        exact,
        rotary_dim=call.rotary_dim,
        interleaved=call.keywords.get("interleaved", False),
        largest_position=largest,
        factor=scale,
    )
    assert_within(result[..., rotated], exact, bound)


@fuzzed
@given(st.integers(1, 40).flatmap(lambda n: frequencies((n,))), st.integers(0, 40), INT64)
def test_table_is_the_rotation_of_ones(inv_freq, num_rows, start):
    """A table's rows are the cosines and sines that a rotation of (1, 0) shows."""
    table = torch_rope.cos_sin_table(inv_freq, num_rows, start=start)
    words = torch_rope.turns(inv_freq) if inv_freq.is_floating_point() else inv_freq
    assert same_bits(table, torch_rope.cos_sin_table(words, num_rows, start=start))
    one = torch.zeros(1, num_rows, 1, 2 * len(inv_freq))
    one[..., : len(inv_freq)] = 1.0
    pos = torch.arange(num_rows) + start
    assert torch.equal(torch_rope.rotate(one, pos, inv_freq=inv_freq)[0, :, 0], table)
