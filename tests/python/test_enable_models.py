"""enable and disable as changes of one model: what they leave alone, undo, refuse and survive."""

import copy
import io
import pickle
import threading
import types

import pytest
import torch
from tiny_models import build, float64_twin, rms, tokens
from torch import nn
from transformers.models.llama import modeling_llama

from torch_rope.integrations.transformers import disable, enable

MODES = ("model", "exact", "stock")
KINDS = ("llama", "gemma3_text", "gptj", "qwen2_vl")
TEXT = tokens(2, 24)


@torch.no_grad()
def logits(model, **keywords):
    return model(TEXT, use_cache=False, **keywords).logits


def contents(model):
    """Everything that a model's modules hold, by value where it is a tensor."""
    held = {}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            values = value.items() if isinstance(value, dict) else [("", value)]
            for key, one in values:
                held[path, name, key] = one.clone() if isinstance(one, torch.Tensor) else one
    return held


def assert_same_contents(model, before):
    after = contents(model)
    assert after.keys() == before.keys()
    for place, value in before.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(after[place], value), place
        else:
            assert after[place] is value or after[place] == value, place


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", KINDS)
def test_disable_leaves_nothing_behind(name, mode):
    model = build(name)
    before, stock = contents(model), logits(model)
    enable(model, frequencies=mode)
    logits(model)
    disable(model)
    assert_same_contents(model, before)
    assert torch.equal(logits(model), stock)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", KINDS)
def test_state_dict_and_parameters_are_as_before(name, mode):
    model = build(name)
    state, named = model.state_dict(), [key for key, _ in model.named_parameters()]
    enable(model, frequencies=mode)
    assert list(model.state_dict()) == list(state)
    assert [key for key, _ in model.named_parameters()] == named
    other = build(name)
    assert not any(other.load_state_dict(model.state_dict()))


def test_another_model_of_the_class_keeps_its_bits():
    stock_function = modeling_llama.apply_rotary_pos_emb
    model, other = build("llama"), build("llama")
    before, stock = contents(other), logits(other)
    enable(model)
    assert modeling_llama.apply_rotary_pos_emb is stock_function
    assert_same_contents(other, before)
    assert torch.equal(logits(other), stock)


def test_models_with_their_own_bases_in_one_process():
    bases = (1e4, 5e5, 1e6)
    models = [
        build("llama", rope_parameters={"rope_type": "default", "rope_theta": base})
        for base in bases
    ]
    exact = [logits(float64_twin(model)) for model in models]
    stock = [logits(model) for model in models]
    for model in models:
        enable(model)
    for model, expected, theirs in zip(models, exact, stock, strict=True):
        assert rms(logits(model) - expected) < 1.25 * rms(theirs - expected)


def test_models_in_threads():
    models = [build("llama"), build("llama"), build("glm"), build("glm")]
    enable(models[0])
    enable(models[2])
    expected = [logits(model) for model in models]
    results = [[] for _ in models]

    def run(i):
        results[i] += [logits(models[i]) for _ in range(10)]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(models))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, several in zip(expected, results, strict=True):
        assert len(several) == 10
        assert all(torch.equal(result, one) for result in several)


def test_enabling_again_changes_the_mode():
    model = build("llama")
    before = contents(model)
    enable(model, frequencies="stock")
    stock_angles = logits(model)
    enable(model, frequencies="exact")
    assert not torch.equal(logits(model), stock_angles)
    enable(model, frequencies="stock")
    assert torch.equal(logits(model), stock_angles)
    disable(model)
    assert_same_contents(model, before)


def test_disable_of_a_model_that_was_not_enabled_does_nothing():
    model = build("llama")
    before = contents(model)
    disable(model)
    assert_same_contents(model, before)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", KINDS)
def test_a_copy_is_enabled_by_itself(name, mode):
    model = build(name)
    stock = logits(model)
    enable(model, frequencies=mode)
    ours = logits(model)
    twin = copy.deepcopy(model)
    assert torch.equal(logits(twin), ours)
    disable(twin)
    assert torch.equal(logits(twin), stock)
    assert torch.equal(logits(model), ours)
    disable(model)
    assert torch.equal(logits(model), stock)


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_state_loads_into_an_enabled_model(name):
    model, other = build(name), build(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.25)
    file = io.BytesIO()
    torch.save(other.state_dict(), file)
    file.seek(0)
    enable(model)
    model.load_state_dict(torch.load(file))
    enable(other)
    assert torch.equal(logits(model), logits(other))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["llama", "gptj"])
def test_a_whole_model_is_saved_only_while_it_is_not_enabled(name, mode):
    """pickle would write the names of the forwards: a file that no one can read, or stock's."""
    model, file = build(name), io.BytesIO()
    stock = logits(model)
    enable(model, frequencies=mode)
    with pytest.raises(pickle.PicklingError, match="enable: a model that is enabled cannot be"):
        torch.save(model, file)
    disable(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(logits(torch.load(file, weights_only=False)), stock)


def test_a_replica_runs_on_its_own_weights():
    """As DataParallel makes one of each module, and gives it the weights of its device."""
    model, other = build("llama"), build("llama")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.25)
    for one in (model, other):
        enable(one)
    replica = model.model.layers[0].self_attn._replicate_for_data_parallel()
    twin = other.model.layers[0].self_attn
    replica._modules = twin._modules
    rotary = model.model.rotary_emb._replicate_for_data_parallel()
    rotary._buffers = {"inv_freq": 2 * model.model.rotary_emb.inv_freq}
    x, positions = torch.randn(1, 4, 64), torch.arange(4)[None]
    angles = other.model.rotary_emb(x, positions)
    assert torch.equal(replica(x, angles)[0], twin(x, angles)[0])
    for doubled, angle in zip(
        rotary(x, positions), other.model.rotary_emb(x, 2 * positions), strict=True
    ):
        assert torch.equal(doubled, angle)


def test_exact_frequencies_survive_a_cast():
    model = build("llama")
    enable(model, frequencies="exact")
    before = logits(model)
    model.half().float()  # which costs the weights their last bits, and float32 buffers theirs
    reloaded = build("llama")
    model.load_state_dict(reloaded.state_dict())
    assert torch.equal(logits(model), before)


def test_a_model_inside_another_module():
    model = build("llama")
    stock = logits(model)
    outer = nn.ModuleDict({"inner": model})
    enable(outer)
    assert not torch.equal(logits(model), stock)
    disable(outer)
    assert torch.equal(logits(model), stock)


def test_hooks_that_keep_the_forward_they_call():
    """As accelerate puts them around every module of a model that is spread over devices."""
    model = build("llama")
    stock, calls = logits(model), []
    for module in model.modules():
        if type(module).__name__ == "LlamaAttention":
            module._old_forward = module.forward

            def hooked(self, *arguments, **keywords):
                calls.append(self)
                return self._old_forward(*arguments, **keywords)

            module.forward = types.MethodType(hooked, module)
    enable(model)
    ours = logits(model)
    assert len(calls) == 2
    assert not torch.equal(ours, stock)
    disable(model)
    assert torch.equal(logits(model), stock)
    assert len(calls) == 4


def assert_enabled_within_rounding(model):
    exact, stock = logits(float64_twin(model)), logits(model)
    enable(model)
    ours = logits(model)
    assert not torch.equal(ours, stock)
    assert rms(ours - exact) < 1.25 * rms(stock - exact)


def test_attention_whose_forward_is_decorated(monkeypatch):
    attention = modeling_llama.LlamaAttention
    monkeypatch.setattr(attention, "forward", torch.no_grad()(attention.forward))
    model = build("llama")
    assert_enabled_within_rounding(model)
    q = model.model.layers[0].self_attn(
        torch.randn(1, 2, 64), model.model.rotary_emb(TEXT.float(), torch.arange(2)[None])
    )[0]
    assert not q.requires_grad


def test_enabled_in_inference_mode_it_can_be_trained():
    model = build("gptj")
    with torch.inference_mode():
        enable(model, frequencies="exact")
    model(TEXT, labels=TEXT).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_length_that_was_reached_is_kept():
    """A model of dynamic NTK remembers the longest text, which looking at it must not change."""
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
    model = build("llama", rope_parameters=dynamic, max_position_embeddings=16)
    logits(model)
    before = contents(model)
    enable(model)
    disable(model)
    assert_same_contents(model, before)


def test_a_rotary_function_that_is_a_module(monkeypatch):
    """What the package `kernels` makes of transformers' functions."""
    function = modeling_llama.apply_rotary_pos_emb

    class Layer(nn.Module):
        def forward(self, q, k, cos, sin, unsqueeze_dim=1):
            return function(q, k, cos, sin, unsqueeze_dim)

    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", Layer())
    assert_enabled_within_rounding(build("llama"))
