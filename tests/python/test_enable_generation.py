"""Enabled models that generate: caches, padding, packed sequences, frequencies that change."""

import pytest
import torch
from tiny_models import ARCHITECTURES, WAYS, build, float64_twin, rms, tokens

from torch_rope.integrations.transformers import enable

EVERY = sorted(ARCHITECTURES)
CACHING = ["deepseek_v3", "gptj", *WAYS]
LENGTH = 24
NEW = 8
GREEDY = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0] * 8,
    "long_factor": [1.0, 1.1, 1.3, 1.7, 2.0, 3.0, 4.0, 4.0],
    "original_max_position_embeddings": 32,
    "factor": 8.0,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 8.0,
    "original_max_position_embeddings": 32,
}
GROWING = {
    "longrope": {"rope_parameters": LONGROPE, "max_position_embeddings": 256},
    "dynamic": {"rope_parameters": DYNAMIC, "max_position_embeddings": 32},
    "yarn": {"rope_parameters": YARN, "max_position_embeddings": 256},
}


def generated(model, text, **keywords):
    return model.generate(text, attention_mask=torch.ones_like(text), **GREEDY, **keywords)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", EVERY)
def test_greedy_tokens_are_stock_s(name, cache):
    model, text = build(name), tokens(2, LENGTH)
    stock = generated(model, text, cache_implementation=cache)
    enable(model)
    assert torch.equal(generated(model, text, cache_implementation=cache), stock)


@pytest.mark.parametrize("name", CACHING)
def test_decoding_gives_the_logits_of_a_whole_pass(name):
    model, text = build(name), tokens(2, LENGTH)
    enable(model)
    with torch.no_grad():
        whole = model(text, use_cache=False).logits
        first = model(text[:, :-4], use_cache=True)
        steps, cache = [first.logits], first.past_key_values
        for i in range(LENGTH - 4, LENGTH):
            steps.append(model(text[:, i : i + 1], past_key_values=cache, use_cache=True).logits)
    assert rms(torch.cat(steps, dim=1) - whole) < 1e-5 * rms(whole)


@pytest.mark.parametrize("name", CACHING)
def test_left_padding(name):
    """A row with padding before it gives the logits of the row alone."""
    model, text = build(name), tokens(1, LENGTH)
    padded = torch.cat((torch.zeros(1, 5, dtype=torch.int64), text), dim=1)
    mask = (padded != 0).long()
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    enable(model)
    with torch.no_grad():
        alone = model(text).logits
        beside = model(padded, attention_mask=mask, position_ids=positions).logits[:, 5:]
    assert rms(beside - alone) < 1e-5 * rms(alone)


@pytest.mark.parametrize("mode", ["model", "exact", "stock"])
def test_left_padded_batches_generate_what_stock_does(mode):
    model = build("llama")
    text = tokens(2, LENGTH)
    text[0, :7] = 0
    mask = (text != 0).long()
    stock = model.generate(text, attention_mask=mask, **GREEDY)
    enable(model, frequencies=mode)
    assert torch.equal(model.generate(text, attention_mask=mask, **GREEDY), stock)


def test_packed_sequences_count_their_own_positions():
    model, text = build("llama"), tokens(1, 40)
    positions = torch.cat((torch.arange(25), torch.arange(15)))[None]
    with torch.no_grad():
        expected = float64_twin(model)(text, position_ids=positions, use_cache=False).logits
        stock = model(text, position_ids=positions, use_cache=False).logits
        enable(model)
        ours = model(text, position_ids=positions, use_cache=False).logits
        counted = model(text, use_cache=False).logits
    assert rms(ours - expected) < 1.25 * rms(stock - expected)
    assert rms(counted - expected) > 0.01 * rms(expected)


@pytest.mark.parametrize("mode", ["model", "exact", "stock"])
@pytest.mark.parametrize("scheme", GROWING)
def test_frequencies_that_change_with_the_length_do(scheme, mode):
    """Across the original length, in a whole pass and while decoding, as stock changes them."""
    model, text = build("llama", **GROWING[scheme]), tokens(1, 40)
    stock = generated(model, text[:, :28])
    with torch.no_grad():
        exact = [float64_twin(model)(text[:, :n]).logits for n in (24, 40)]
        theirs = [model(text[:, :n]).logits for n in (24, 40)]
        enable(model, frequencies=mode)
        ours = [model(text[:, :n]).logits for n in (24, 40)]
    for mine, their, expected in zip(ours, theirs, exact, strict=True):
        # float32 frequencies, of which "exact" knows better, are off by a few of their last bits.
        assert rms(mine - expected) < 2 * rms(their - expected)
    assert torch.equal(generated(model, text[:, :28]), stock)


def test_a_cache_that_stock_began_goes_on():
    """DeepSeek's pairs change their places on the way into the cache, here as there."""
    model, text = build("deepseek_v3"), tokens(1, LENGTH)
    with torch.no_grad():
        whole = model(text).logits
        cache = model(text[:, :10], use_cache=True).past_key_values
        enable(model)
        rest = model(text[:, 10:], past_key_values=cache).logits
    assert rms(rest - whole[:, 10:]) < 1e-5 * rms(whole)
