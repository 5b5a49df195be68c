"""What has no derivative says so by name, in both modes: tables, and what is written in place."""

import re

import pytest
import torch
from cases import random
from torch.autograd import forward_ad

B, S, H, D = 2, 3, 2, 8
UNWANTED = "must not require grad or have a forward-mode tangent"

TABLES = {
    "cos_sin": lambda: {"cos_sin": torch.ones(S, D)},
    "cos_sin-tokens": lambda: {"cos_sin": torch.ones(B, S, D)},
    "cos": lambda: {"cos": torch.ones(S, D // 2), "sin": torch.ones(S, D // 2)},
    "sin": lambda: {"sin": torch.ones(S, D // 2), "cos": torch.ones(S, D // 2)},
}


def rotate(x, **keywords):
    torch.ops.rope.rotate(x, **keywords)


def rotate_qk(x, **keywords):
    torch.ops.rope.rotate_qk(x, x, **keywords)


def asks(tensor, mode):
    """The tensor, asking for a derivative; to be used inside a dual level."""
    if mode == "reverse":
        return tensor.requires_grad_()
    return forward_ad.make_dual(tensor, torch.ones_like(tensor))


def assert_refused(text, call):
    with pytest.raises(RuntimeError, match="^" + re.escape(text) + "$"):
        call()


MODES = ["reverse", "forward"]
OPS = pytest.mark.parametrize("op", [rotate, rotate_qk], ids=lambda op: op.__name__)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("table", TABLES)
@OPS
def test_tables(device, op, table, mode):
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    name = table.split("-")[0]
    keywords = {n: t.to(device) for n, t in TABLES[table]().items()}
    text = (
        f"rope::{op.__name__}: {name} {UNWANTED}: a table is a constant; to learn frequencies, give"
        " them as inv_freq"
    )
    with forward_ad.dual_level():
        keywords[name] = asks(keywords[name], mode)
        assert_refused(text, lambda: op(x, **keywords))
    if mode == "reverse":
        with torch.no_grad():
            op(x, **keywords)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("table", ["cos_sin", "cos"])
@OPS
def test_frequencies_beside_a_table(device, op, table, mode):
    """Positions with a row would take a constant, the others the learned frequencies."""
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    keywords = {n: t.to(device) for n, t in TABLES[table]().items()}
    text = (
        f"rope::{op.__name__}: inv_freq {UNWANTED} beside {table}, whose rows do not follow it; to"
        " learn frequencies, give inv_freq alone"
    )
    with forward_ad.dual_level():
        keywords["inv_freq"] = asks(torch.ones(D // 2, device=device), mode)
        assert_refused(text, lambda: op(x, **keywords))


@pytest.mark.parametrize("mode", MODES)
def test_cos_sin_table(device, mode):
    text = (
        f"rope::cos_sin_table: inv_freq {UNWANTED}: a table is a constant; to learn frequencies,"
        " give them to rope::rotate or rope::rotate_qk"
    )
    with forward_ad.dual_level():
        frequencies = asks(torch.ones(D // 2, device=device), mode)
        assert_refused(text, lambda: torch.ops.rope.cos_sin_table(frequencies, S))
    with torch.no_grad():
        torch.ops.rope.cos_sin_table(frequencies.detach().requires_grad_(), S)


IN_PLACE = {
    "apply": ("q", "; rope::rotate_qk returns differentiable copies"),
    "apply_qkv": ("qkv", "; rope::rotate_qk returns differentiable copies"),
    "rerotate": ("k", "; rope::rerotate is not differentiable"),
}


@pytest.mark.parametrize("op", IN_PLACE)
def test_tangents_in_place(device, op):
    x = random(B, S, 4, D, dtype=torch.float32, device=device)
    before = x.clone()
    pos = torch.arange(S, device=device)
    calls = {
        "apply": lambda t: torch.ops.rope.apply(t),
        "apply_qkv": lambda t: torch.ops.rope.apply_qkv(t, num_heads_q=2, num_heads_k=1),
        "rerotate": lambda t: torch.ops.rope.rerotate(t, pos, pos + 1),
    }
    name, advice = IN_PLACE[op]
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        text = f"rope::{op}: {name} must not have a forward-mode tangent{advice}"
        assert_refused(text, lambda: calls[op](dual))
    assert torch.equal(x, before)


def apply(x, **keywords):
    torch.ops.rope.apply(x, x[:, :, :0], **keywords)


def apply_qkv(x, **keywords):
    torch.ops.rope.apply_qkv(x, num_heads_q=1, num_heads_k=1, **keywords)


MUTATING = pytest.mark.parametrize("op", [apply, apply_qkv], ids=lambda op: op.__name__)
UNWANTED_IN_PLACE = {
    "reverse": "must not require grad while grad mode is on",
    "forward": "must not have a forward-mode tangent",
}
TABLE_ADVICE = {
    "reverse": "a table is a constant: detach it; to learn frequencies, give them to"
    " rope::rotate_qk as inv_freq",
    "forward": "a table is a constant; to learn frequencies, give them to rope::rotate_qk as"
    " inv_freq",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("table", TABLES)
@MUTATING
def test_tables_in_place(device, op, table, mode):
    """Not what rotate_qk could do, which refuses them as well; a detached one is taken."""
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    name = table.split("-")[0]
    keywords = {n: t.to(device) for n, t in TABLES[table]().items()}
    text = f"rope::{op.__name__}: {name} {UNWANTED_IN_PLACE[mode]}; {TABLE_ADVICE[mode]}"
    with forward_ad.dual_level():
        keywords[name] = asks(keywords[name], mode)
        assert_refused(text, lambda: op(x, **keywords))
    if mode == "reverse":
        keywords[name] = keywords[name].detach()
        op(x, **keywords)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("table", [None, "cos_sin", "cos"])
@MUTATING
def test_frequencies_in_place(device, op, table, mode):
    """rotate_qk learns them, but beside a table, of which the advice then speaks."""
    x = random(B, S, H, D, dtype=torch.float32, device=device)
    tables = {} if table is None else {n: t.to(device) for n, t in TABLES[table]().items()}
    advice = "rope::rotate_qk returns differentiable copies"
    if table is not None:
        advice = "to learn frequencies, give inv_freq to rope::rotate_qk without a table"
    text = f"rope::{op.__name__}: inv_freq {UNWANTED_IN_PLACE[mode]}; {advice}"
    with forward_ad.dual_level():
        inv_freq = asks(torch.ones(D // 2, device=device), mode)
        assert_refused(text, lambda: op(x, inv_freq=inv_freq, **tables))
        rotated, _ = torch.ops.rope.rotate_qk(x, x, inv_freq=inv_freq)
        followed = forward_ad.unpack_dual(rotated).tangent if mode == "forward" else rotated.grad_fn
        assert followed is not None


def test_turns_cannot_be_learned(device):
    """Integers have no gradient, says torch itself."""
    turns = torch.ops.rope.turns(torch.ones(D // 2, device=device))
    with pytest.raises(RuntimeError, match="floating point"):
        turns.requires_grad_()
