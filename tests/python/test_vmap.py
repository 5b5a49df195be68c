"""torch.func.vmap over every operator: what each example would get alone, bit for bit.

The oracle is a Python loop over the examples; that one call is right, other tests say.
"""

import pytest
import torch
from cases import same_bits
from torch.func import vmap
from torch.utils._python_dispatch import TorchDispatchMode
from vmap_calls import CALLS, B, Call, D, H, N, S, V, frequencies, heads, positions

# torch's own way for operators without a rule warns that it is slow.
pytestmark = pytest.mark.filterwarnings("error:There is a performance drop")


class Calls(TorchDispatchMode):
    """How often operators of rope run."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.namespace == "rope"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("calls", "make"), CALLS.values(), ids=CALLS)
def test_rotate(device, calls, make):
    call = make(device)
    expected = call.one_by_one(torch.ops.rope.rotate)
    assert same_bits(call.under_vmap(torch.ops.rope.rotate), expected)
    with Calls() as counted:
        call.under_vmap(torch.ops.rope.rotate)
    assert counted.count == calls


@pytest.mark.parametrize(("calls", "make"), CALLS.values(), ids=CALLS)
def test_apply(device, calls, make):
    """In place, where x is mapped, in the memory that was given."""
    call = make(device)
    if "x" not in call.mapped:
        call.arguments["x"] = call.arguments["x"].expand(V, B, S, H, D).clone()
        call.mapped = ("x", *call.mapped)
    expected = call.one_by_one(torch.ops.rope.rotate)

    def apply(x, **keywords):
        torch.ops.rope.apply(x, **keywords)
        return x

    x = call.arguments["x"]
    assert same_bits(call.under_vmap(apply), expected)
    assert same_bits(x, expected)


@pytest.mark.parametrize("dim", range(5))
def test_any_dimension_in_and_out(device, dim):
    x, pos = heads(device, V, B, S), positions(device, V, S)
    expected = Call(x, pos, ("x", "pos")).one_by_one(torch.ops.rope.rotate)
    mapped = vmap(torch.ops.rope.rotate, in_dims=(dim, 1), out_dims=dim)(x.movedim(0, dim), pos.T)
    assert same_bits(mapped.movedim(dim, 0), expected)


def test_in_place_where_no_batch_can_be_seen(device):
    """The examples lie between batch and heads: no view has both as one dimension."""
    base = heads(device, B, S, V)
    expected = torch.stack([torch.ops.rope.rotate(x) for x in base.unbind(2)], 2)
    vmap(lambda x: torch.ops.rope.apply(x), in_dims=2, out_dims=None)(base)
    assert same_bits(base, expected)


@pytest.mark.parametrize("shared", ["none", "q", "k"])
def test_rotate_qk(device, shared):
    q, k = heads(device, V, B, S), heads(device, V, B, S, seed=1)[..., :1, :]
    pos = positions(device, V, S)
    in_dims = (None if shared == "q" else 0, None if shared == "k" else 0, 0)
    q, k = q[0] if shared == "q" else q, k[0] if shared == "k" else k
    results = vmap(torch.ops.rope.rotate_qk, in_dims)(q, k, pos)
    for result, x in zip(results, (q, k), strict=True):
        each = x if x.dim() == 5 else x.expand(V, *x.shape)
        rotated = map(torch.ops.rope.rotate, each, pos)
        assert same_bits(result, torch.stack(list(rotated)))


def test_apply_of_q_and_k(device):
    q, k = heads(device, V, B, S), heads(device, V, B, S, seed=1)
    expected = torch.ops.rope.rotate(q[1]), torch.ops.rope.rotate(k[1])
    vmap(torch.ops.rope.apply, out_dims=None)(q, k)
    assert same_bits(q[1], expected[0])
    assert same_bits(k[1], expected[1])


def test_apply_qkv(device):
    qkv, pos = heads(device, V, B, S), positions(device, V, S)
    expected = qkv.clone()
    expected[..., :3, :] = vmap(torch.ops.rope.rotate)(qkv[..., :3, :], pos)
    packed = {"num_heads_q": 2, "num_heads_k": 1}
    vmap(lambda x, p: torch.ops.rope.apply_qkv(x, p, **packed), out_dims=None)(qkv, pos)
    assert same_bits(qkv, expected)


def test_rerotate(device):
    keys, old, new = heads(device, V, B, S), positions(device, V, S), positions(device, S)
    inv_freq = frequencies(device, V)
    expected = keys.clone()
    for i in range(V):
        torch.ops.rope.rerotate(expected[i], old[i], new, new_inv_freq=inv_freq[i])

    def one(k, pos, new_inv_freq):
        torch.ops.rope.rerotate(k, pos, new, new_inv_freq=new_inv_freq)

    vmap(one, out_dims=None)(keys, old, inv_freq)
    assert same_bits(keys, expected)


def test_turns_and_table(device):
    inv_freq = frequencies(device, V)
    turns = torch.ops.rope.turns(inv_freq)
    assert torch.equal(vmap(torch.ops.rope.turns, in_dims=1, out_dims=1)(inv_freq), turns)
    tables = vmap(lambda own: torch.ops.rope.cos_sin_table(own, 7, start=-3))(inv_freq)
    for result, own in zip(tables, inv_freq, strict=True):
        assert same_bits(result, torch.ops.rope.cos_sin_table(own, 7, start=-3))


def test_no_examples(device):
    none = heads(device, 0, B, S)
    assert vmap(torch.ops.rope.rotate)(none).shape == none.shape
    assert vmap(torch.ops.rope.rotate_qk)(none, none)[1].shape == none.shape
    vmap(torch.ops.rope.apply, out_dims=None)(none)
    tables = vmap(lambda own: torch.ops.rope.cos_sin_table(own, 7))(frequencies(device, 0))
    assert tables.shape == (0, 7, 2 * N)
    assert tables.dtype == torch.float32


def refused(text, run):
    with pytest.raises(RuntimeError, match=f"^{text}"):
        run()


def test_what_is_written_must_be_mapped(device):
    q, k, pos = heads(device, V, B, S), heads(device, B, S), positions(device, V, S)
    text = "is written and must be mapped where vmap maps another argument"
    apply = torch.ops.rope.apply
    refused(f"rope::apply: k {text}", lambda: vmap(apply, (0, None), None)(q, k))
    refused(
        f"rope::apply: q {text}",
        lambda: vmap(lambda p: apply(k, None, p), out_dims=None)(pos),
    )
    refused(
        f"rope::rerotate: k {text}",
        lambda: vmap(lambda p: torch.ops.rope.rerotate(k, p, p), out_dims=None)(pos),
    )


def test_examples_that_share_memory_are_not_written(device):
    shared = heads(device, B, S).expand(V, B, S, H, D)
    before = shared.clone()
    refused(
        "rope::apply: q is written and must not overlap itself",
        lambda: vmap(torch.ops.rope.apply, out_dims=None)(shared),
    )
    assert same_bits(shared, before)


ERRORS = {
    "pos-batch": (
        lambda d: Call(heads(d, V, B, S), positions(d, V, 7, S), ("x", "pos")),
        rf"pos must be \({S},\), \(1, {S}\) or \({B}, {S}\), got \[7, {S}\]",
    ),
    "pos-number": (
        lambda d: Call(heads(d, V, B, V * B), positions(d, V), ("x", "pos")),
        r"pos must be \(6,\), \(1, 6\) or \(2, 6\), got \[\]",
    ),
    "pos-ragged": (
        lambda d: Call(heads(d, V, S), positions(d, V, 1, S), ("x", "pos")),
        rf"pos must be \({S},\) for one sequence, got \[1, {S}\]",
    ),
    "offsets": (
        lambda d: Call(heads(d, V, B, S), offsets=positions(d, V * B)),
        r"offsets must be \(2,\), one for each sequence, got \[6\]",
    ),
    "rank": (
        lambda d: Call(heads(d, V, S), layout="bhsd"),
        rf'x must have 4 dimensions in layout "bhsd", got \[{S}, {H}, {D}\]',
    ),
    "layout": (
        lambda d: Call(heads(d, V, S), layout="hsbd"),
        'layout must be "bshd", "bhsd", "sbhd" or "thd", got "hsbd"',
    ),
    "odd": (lambda d: Call(heads(d, V, B, S), rotary_dim=7), "rotary_dim must be even, got 7"),
}


@pytest.mark.parametrize(("make", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_speak_of_one_example(device, make, text):
    refused(f"rope::rotate: {text}", lambda: make(device).under_vmap(torch.ops.rope.rotate))


def test_an_example_that_has_left(device):
    kept = []
    vmap(lambda x: (kept.append(x), x)[1])(heads(device, V, B, S))
    refused(
        "rope::rotate: an argument has left the torch.func.vmap that made it",
        lambda: torch.ops.rope.rotate(kept[0]),
    )
