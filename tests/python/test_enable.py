"""torch_rope.integrations.transformers.enable: what an enabled model computes, for every pairing
and layout that its architectures use, against the same model in float64.
"""

import sys

import pytest
import torch
from tiny_models import ARCHITECTURES, WAYS, build, float64_twin, rms, tokens
from torch.utils._python_dispatch import TorchDispatchMode

from torch_rope.integrations.transformers import enable

MODES = ("model", "exact", "stock")
EVERY = sorted(ARCHITECTURES)
# GPT-J's and CodeGen's tables end at max_position_embeddings.
ANYWHERE = [name for name in EVERY if name not in ("gptj", "codegen")]
# They rotate in float32, with cosines that are exact at position 0 alone.
ROTATES_IN_FLOAT32 = ("cohere", "olmo2")
FAR = 100_000


class Rotations(TorchDispatchMode):
    """Counts the calls of torch.ops.rope."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.namespace == "rope"
        return func(*args, **(kwargs or {}))


def positions(start, length):
    return torch.arange(start, start + length)[None]


def in_bfloat16(model):
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    return model


def forbid_stock_function(model, monkeypatch):
    def fail(*arguments, **keywords):
        raise AssertionError("the stock function was called")

    for file in {type(module).__module__ for module in model.modules()}:
        for name in dir(sys.modules[file]):
            if name.startswith("apply_rotary") and "vision" not in name:
                monkeypatch.setattr(sys.modules[file], name, fail)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EVERY)
def test_float32_logits_are_the_model_s_within_rounding(name, mode, monkeypatch):
    model, text = build(name), tokens(2, 48)
    with torch.no_grad():
        exact = float64_twin(model)(text).logits
        stock = model(text).logits
        enable(model, frequencies=mode)
        forbid_stock_function(model, monkeypatch)
        with Rotations() as rotations:
            ours = model(text).logits
    # Two float32 evaluations of one function: their errors are sums of as many roundings.
    assert rms(ours - exact) < 1.25 * rms(stock - exact)
    assert rotations.count >= 2, "one rotation a layer, at least"


@pytest.mark.parametrize("name", ANYWHERE)
def test_far_positions_are_as_good_as_near_ones(name):
    model, text = build(name), tokens(2, 48)
    with torch.no_grad():
        near, far = (float64_twin(model)(text, position_ids=positions(at, 48)) for at in (0, FAR))
        stock = model(text, position_ids=positions(FAR, 48)).logits
        enable(model)
        at_0 = rms(model(text, position_ids=positions(0, 48)).logits - near.logits)
        at_far = rms(model(text, position_ids=positions(FAR, 48)).logits - far.logits)
    assert at_far < 1.25 * at_0
    # float32 angles are wrong by up to FAR * 2^-25 = 0.003 radians.
    assert rms(stock - far.logits) > 4 * at_far


@pytest.mark.parametrize("name", WAYS)
def test_bfloat16_logits_are_closer_to_float64_than_stock(name):
    model = in_bfloat16(build(name))
    stock, ours = [], []
    with torch.no_grad():
        for mode, errors in ((None, stock), ("model", ours)):
            if mode:
                enable(model, frequencies=mode)
            for seed, start in enumerate((0, 2000, 10_000, 30_000)):
                text, pos = tokens(4, 64, seed), positions(start, 64)
                twin = float64_twin(in_bfloat16(build(name)))
                errors.append(
                    rms(model(text, position_ids=pos).logits - twin(text, position_ids=pos).logits)
                )
    # Most of the error is of the other layers' roundings, and the same in both.
    allowed = 1.01 if name in ROTATES_IN_FLOAT32 else 1.0
    assert sum(ours) < allowed * sum(stock)


@pytest.mark.parametrize("name", ["codegen", *WAYS])
def test_float16_runs_and_agrees(name):
    model, text = build(name), tokens(2, 32)
    with torch.no_grad():
        exact = float64_twin(model)(text).logits
        model.half()
        enable(model)
        ours = model(text).logits
    assert ours.dtype == torch.float16
    # Some tens of roundings of 2^-11 each.
    assert rms(ours - exact) < 0.01 * rms(exact)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["llama", "glm", "gptj", "deepseek_v3"])
def test_gradients_in_training(name, mode):
    model, text = build(name), tokens(2, 32)
    model.train()
    twin = float64_twin(model)
    twin(text, labels=text).loss.backward()
    expected = [parameter.grad for parameter in twin.parameters()]
    model(text, labels=text).loss.backward()
    stock = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    enable(model, frequencies=mode)
    model(text, labels=text).loss.backward()
    for ours, theirs, exact in zip(model.parameters(), stock, expected, strict=True):
        assert (ours.grad is None) == (exact is None)
        if exact is not None:
            assert rms(ours.grad - exact) < 1.5 * rms(theirs - exact) + 1e-9 * rms(exact)


def test_gradient_checkpointing_gives_the_same_gradients():
    model, text = build("llama"), tokens(2, 32)
    enable(model)
    model.train()
    model(text, labels=text).loss.backward()
    plain = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model.activation_checkpointing_enable()
    model(text, labels=text).loss.backward()
    for parameter, expected in zip(model.parameters(), plain, strict=True):
        assert torch.equal(parameter.grad, expected)


@pytest.mark.parametrize("first", ["moved", "enabled"])
@pytest.mark.parametrize("name", ["deepseek_v3", "glm", "gptj", "llama", "qwen2_vl"])
def test_devices(name, first, device):
    """A model may be moved before and after; what it holds follows it."""
    model, text = build(name), tokens(2, 32)
    with torch.no_grad():
        exact = float64_twin(model)(text).logits
        if first == "moved":
            model.to(device)
        enable(model, frequencies="exact")
        model.to(device)
        ours = model(text.to(device)).logits
    # TF32 is off by default; sums of products in other orders round otherwise.
    assert rms(ours.cpu() - exact) < 1e-5 * rms(exact)
