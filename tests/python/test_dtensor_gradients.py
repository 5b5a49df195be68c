"""Gradients of rotated DTensors, and to frequencies that are learned beside them."""

import pytest
import torch
from dtensors import B, D, H, N, S, along, assert_shards, collectives, placed, tensor
from ranks import on_ranks
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

POS = torch.arange(B * S).view(B, S) * 7
AXES = ["batch", "tokens", "heads"]


def qk():
    return tensor(B, S, H, D), tensor(B, S, 2, D, seed=1)


def upstream():
    return tensor(B, S, H, D, seed=2), tensor(B, S, 2, D, seed=3)


def whole_gradients():
    leaves = [x.requires_grad_() for x in qk()]
    return torch.autograd.grad(torch.ops.rope.rotate_qk(*leaves, POS), leaves, upstream())


@pytest.mark.parametrize("axis", AXES)
@on_ranks(2)
def test_rotate_qk(mesh, axis):
    goes = along(axis)
    leaves = [placed(x, mesh, goes).requires_grad_() for x in qk()]
    with collectives(0):
        rotated = torch.ops.rope.rotate_qk(*leaves, POS)
        incoming = [placed(x, mesh, goes) for x in upstream()]
        gradients = torch.autograd.grad(rotated, leaves, incoming)
    for actual, expected in zip(gradients, whole_gradients(), strict=True):
        assert_shards(actual, expected, goes)


@on_ranks(2)
def test_counted_tokens(mesh):
    """The backward pass counts as the forward pass did."""
    x, incoming = tensor(B, S, H, D).requires_grad_(), tensor(B, S, H, D, seed=2)
    own = placed(x.detach(), mesh, Shard(1)).requires_grad_()
    with collectives(0):
        rotated = torch.ops.rope.rotate(own, offsets=torch.arange(B))
        (actual,) = torch.autograd.grad(rotated, own, placed(incoming, mesh, Shard(1)))
    whole = torch.ops.rope.rotate(x, offsets=torch.arange(B))
    assert_shards(actual, *torch.autograd.grad(whole, x, incoming), Shard(1))


@on_ranks(2)
def test_through_what_had_to_move(mesh):
    x, incoming = tensor(B, S, H, D), tensor(B, S, H, D, seed=2)
    own = placed(x, mesh, Shard(3)).requires_grad_()
    rotated = torch.ops.rope.rotate(own, POS)
    (actual,) = torch.autograd.grad(rotated, own, placed(incoming, mesh, Replicate()))
    assert_shards(actual, torch.ops.rope.rotate(incoming, POS, inverse=True), Replicate())


@on_ranks(2)
def test_of_a_sum(mesh):
    """Its gradient is one number for all: an expanded tensor, which the operator does not take."""
    x = tensor(B, S, H, D).requires_grad_()
    own = placed(x.detach(), mesh, Shard(2)).requires_grad_()
    torch.ops.rope.rotate(own, POS).sum().backward()
    torch.ops.rope.rotate(x, POS).sum().backward()
    assert_shards(own.grad.redistribute(placements=[Shard(2)]), x.grad, Shard(2))


@on_ranks(2)
def test_partial_gradients_are_summed_first(mesh):
    own = placed(tensor(B, S, H, D), mesh, Shard(2)).requires_grad_()
    rotated = torch.ops.rope.rotate(own, POS)
    parts = [tensor(B, S, H, D, seed=seed) for seed in range(2)]
    incoming = DTensor.from_local(parts[mesh.get_local_rank()], mesh, [Partial()])
    (actual,) = torch.autograd.grad(rotated, own, incoming)
    expected = torch.ops.rope.rotate(parts[0] + parts[1], POS, inverse=True)
    assert_shards(actual.redistribute(placements=[Replicate()]), expected, Replicate())


@on_ranks(2)
def test_double_backward(mesh):
    def second(x, incoming, pos):
        rotated = torch.ops.rope.rotate(x, pos)
        (first,) = torch.autograd.grad((rotated * rotated).sum(), x, create_graph=True)
        return torch.autograd.grad(first, x, incoming)[0]

    x, incoming = tensor(B, S, H, D), tensor(B, S, H, D, seed=2)
    own = placed(x, mesh, Shard(2)).requires_grad_()
    actual = second(own, placed(incoming, mesh, Shard(2)), POS)
    assert_shards(actual, second(x.requires_grad_(), incoming, POS), Shard(2))


OF_HEADS = torch.logspace(0, -2, H * N, dtype=torch.float64).view(1, H, N)
LEARNED = {"shared": OF_HEADS[0, 0], "axes": OF_HEADS[0, :2], "of-heads": OF_HEADS}


def with_frequencies(x, inv_freq, incoming, place):
    """Returns the gradients to x and inv_freq."""
    pos = torch.stack((POS, POS * 2)) if inv_freq.dim() == 2 else POS
    rotated = torch.ops.rope.rotate(
        x, place(pos), inv_freq=inv_freq, offsets=place(torch.arange(B))
    )
    return torch.autograd.grad(rotated, (x, inv_freq), incoming)


def assert_learned(mesh, inv_freq, *placements):
    """Judges the gradients of shards; returns where the one to the frequencies is."""
    x, incoming = tensor(B, S, H, D), tensor(B, S, H, D, seed=2)
    whole = [Replicate()] * mesh.ndim
    of_x, of_frequencies = with_frequencies(
        placed(x, mesh, *placements).requires_grad_(),
        placed(inv_freq, mesh, *whole).requires_grad_(),
        placed(incoming, mesh, *placements),
        lambda plain: placed(plain, mesh, *whole),
    )
    expected_x, expected = with_frequencies(
        x.clone().requires_grad_(), inv_freq.clone().requires_grad_(), incoming, lambda own: own
    )
    assert_shards(of_x, expected_x, *placements)
    # The same float32 products, summed in float64 in another order: each of less than B S H
    # additions is off by 2^-53 of a sum that no sum of all magnitudes exceeds. A product, of which
    # a pair has two, is at most |pos| |pair| |gradient|.
    largest = 2 * (2 * POS.max() + B) * 2**0.5 * x.abs().max().double() * incoming.abs().max()
    allowed = (B * S * H) ** 2 * 2.0**-53 * largest.item()
    actual = of_frequencies.full_tensor()
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=allowed)
    assert expected.abs().min() > 1e6 * allowed
    return of_frequencies.placements


@pytest.mark.parametrize("axis", [*AXES, "whole"])
@pytest.mark.parametrize("frequencies", LEARNED)
@on_ranks(2)
def test_learned_frequencies(mesh, frequencies, axis):
    """Each rank has the sum over its own tokens and heads; the whole gradient is their sum."""
    made = {"whole": Replicate()}.get(axis, Partial())
    if frequencies == "of-heads" and axis == "heads":
        made = Shard(1)
    assert assert_learned(mesh, LEARNED[frequencies], along(axis)) == (made,)


@pytest.mark.parametrize("frequencies", LEARNED)
@on_ranks(2, 2)
def test_learned_frequencies_on_two_mesh_dimensions(mesh, frequencies):
    assert_learned(mesh, LEARNED[frequencies], Shard(0), Shard(2))


REFUSED = {
    "plain-frequencies": ({"inv_freq"}, {}, "a plain inv_freq"),
    "plain-pos": ({"pos"}, {}, "a plain pos"),
    "plain-offsets": ({"offsets"}, {}, "a plain offsets"),
    "no-pos": (set(), {"pos": None}, "no pos"),
    "cu_seqlens": (
        set(),
        {
            "pos": torch.arange(S),
            "cu_seqlens": torch.tensor([0, 2, S]),
            "offsets": torch.arange(2),
        },
        "cu_seqlens",
    ),
}


@pytest.mark.parametrize(("plain", "changed", "got"), REFUSED.values(), ids=REFUSED)
@on_ranks(2)
def test_learned_frequencies_refuse(mesh, plain, changed, got):
    """Only where they are learned."""
    given = {"pos": POS, "inv_freq": OF_HEADS[0, 0], "offsets": torch.arange(B), **changed}
    own = {
        name: value if value is None or name in plain else placed(value, mesh, Replicate())
        for name, value in given.items()
    }
    own["inv_freq"] = own["inv_freq"].clone().requires_grad_()
    layout = "thd" if "cu_seqlens" in given else "bshd"
    x = placed(tensor(B, S, H, D, layout=layout), mesh, along("heads", layout))
    text = rf"^rope::rotate: to learn inv_freq beside DTensors, give it, .*, got {got};"
    with pytest.raises(RuntimeError, match=text):
        torch.ops.rope.rotate(x, **own)
    with torch.no_grad():
        torch.ops.rope.rotate(x, **own)
