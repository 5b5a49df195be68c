"""Cached keys of a transformers model after its frequencies have changed, or old tokens were
dropped.

With one layer the logits are those of a model that never had a cache, within rounding. Of further
layers the keys are rotated as exactly, but what they were made of, the first layers' attention to
the first tokens, was computed under the old frequencies: nothing but a fresh prefill changes that.

How far rounding leads is measured: the largest difference of the logits from those of the same
weights in float64. A repaired cache has one rotation and rounding of each key more, so it is as far
away; 16 times that is allowed. A cache that is not repaired is a hundred times further away still.
"""

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, StaticCache

from torch_rope import Schedule
from torch_rope.integrations.transformers import drop_oldest, rerotate_cache

TRAINED = 64
FIRST, ALL = 60, 150
ALLOWED = 16
SCALINGS = {
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "longrope": {
        "rope_type": "longrope",
        "short_factor": [1.0] * 8,
        "long_factor": [1.0 + 0.8 * pair for pair in range(8)],
        "original_max_position_embeddings": TRAINED,
        "factor": 4.0,
    },
}
CACHES = {
    "dynamic_cache": lambda config: DynamicCache(config=config),
    "static_cache": lambda config: StaticCache(config=config, max_cache_len=2 * ALL),
}


def config_of(scaling, num_layers=1):
    return LlamaConfig(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=TRAINED,
        initializer_range=0.2,
        rope_parameters={"rope_theta": 10000.0, **scaling},
    )


def model_of(scaling, num_layers=1):
    torch.manual_seed(0)
    return LlamaForCausalLM(config_of(scaling, num_layers)).eval()


TOKENS = torch.randint(97, (2, ALL), generator=torch.Generator().manual_seed(1))


def fresh(scaling, num_layers=1):
    with torch.no_grad():
        return model_of(scaling, num_layers)(TOKENS, use_cache=False).logits[:, FIRST:]


def with_cache(scaling, make_cache, repair, num_layers=1):
    """The logits of the tokens after the first, of which a cache holds the keys."""
    model = model_of(scaling, num_layers)
    cache = make_cache(model.config)
    with torch.no_grad():
        model(TOKENS[:, :FIRST], past_key_values=cache)
        repair(model.config, cache)
        return model(TOKENS[:, FIRST:], past_key_values=cache).logits


def repair(config, cache):
    old, new = (Schedule.from_config(config, seq_len=length) for length in (FIRST, ALL))
    rerotate_cache(cache, old, new)


def largest(difference):
    return float(difference.abs().max())


def rounding(scaling):
    with torch.no_grad():
        exact = model_of(scaling).double()(TOKENS, use_cache=False).logits[:, FIRST:]
    return largest(fresh(scaling) - exact)


@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("name", SCALINGS)
def test_other_frequencies(name, kind):
    scaling, make_cache = SCALINGS[name], CACHES[kind]
    expected = fresh(scaling)
    allowed = ALLOWED * rounding(scaling)
    assert largest(with_cache(scaling, make_cache, repair) - expected) <= allowed
    stock = with_cache(scaling, make_cache, lambda config, cache: None)
    assert largest(stock - expected) > 100 * allowed


@pytest.mark.parametrize("name", SCALINGS)
def test_several_layers_are_nearer_than_without(name):
    scaling, make_cache = SCALINGS[name], CACHES["dynamic_cache"]
    expected = fresh(scaling, 3)
    repaired = with_cache(scaling, make_cache, repair, 3)
    stock = with_cache(scaling, make_cache, lambda config, cache: None, 3)
    assert (repaired - expected).norm() < 0.8 * (stock - expected).norm()


@pytest.mark.parametrize("keep", [0, 4])
@pytest.mark.parametrize("kind", CACHES)
def test_oldest_tokens_are_dropped(kind, keep):
    """In the first layer, whose keys depend on nothing but their own token and position: those that
    stay are the ones of a model that has never seen the others."""
    scaling = {"rope_type": "default"}
    model = model_of(scaling)
    stay = torch.cat((TOKENS[:, :keep], TOKENS[:, keep + 20 : FIRST]), 1)
    caches = []
    with torch.no_grad():
        for tokens in (TOKENS[:, :FIRST], stay):
            caches.append(CACHES[kind](model.config))
            model(tokens, past_key_values=caches[-1])
    cache, expected = caches
    drop_oldest(cache, Schedule.from_config(model.config), 20, keep=keep)
    length = stay.shape[1]
    assert int(cache.get_seq_length()) == length
    held, wanted = (one.layers[0].keys[:, :, :length] for one in caches)
    # Rope's two rotations round by 4.2 units of 2^-24 of a pair, which is no longer than the
    # largest component times √2; transformers' two round angles of up to FIRST radians, too.
    assert largest(held - wanted) <= (8.4 + 2 * FIRST) * 2**-24 * largest(wanted) * 2**0.5
    assert torch.equal(
        cache.layers[0].values[:, :, :length], expected.layers[0].values[:, :, :length]
    )


def test_positions():
    """Left padding: sequences that do not begin at 0."""
    model = model_of(SCALINGS["dynamic"])
    counted = torch.arange(FIRST)
    positions = torch.stack((counted, (counted - 7).clamp(min=0)))
    old, new = (Schedule.from_config(model.config, seq_len=length) for length in (FIRST, ALL))
    caches = []
    with torch.no_grad():
        for _ in range(2):
            caches.append(DynamicCache(config=model.config))
            model(TOKENS[:, :FIRST], past_key_values=caches[-1], position_ids=positions)
    rerotate_cache(caches[0], old, new, positions=positions)
    for row in range(2):
        alone = DynamicCache(config=model.config)
        one = caches[1].layers[0]
        alone.update(one.keys[row : row + 1].clone(), one.values[row : row + 1], 0)
        rerotate_cache(alone, old, new, positions=positions[row])
        assert torch.equal(alone.layers[0].keys[0], caches[0].layers[0].keys[row])


def test_an_empty_cache_stays_empty():
    schedule = Schedule.from_config(config_of({"rope_type": "default"}))
    cache = DynamicCache()
    rerotate_cache(cache, schedule, schedule)
    drop_oldest(cache, schedule, 0)
    assert cache.get_seq_length() == 0


def sliding(model):
    model.config.sliding_window = 8
    model.config.layer_types = ["sliding_attention"]
    return DynamicCache(config=model.config)


def test_refused_layers():
    model = model_of({"rope_type": "default"})
    schedule = Schedule.from_config(model.config)
    with pytest.raises(ValueError, match=r"rerotate_cache: .* got DynamicSlidingWindowLayer"):
        rerotate_cache(sliding(model), schedule, schedule)


@pytest.mark.parametrize(("num_tokens", "keep"), [(61, 0), (57, 4), (-1, 0), (1, -1)])
def test_refused_numbers(num_tokens, keep):
    model = model_of({"rope_type": "default"})
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(TOKENS[:, :FIRST], past_key_values=cache)
    before = cache.layers[0].keys.clone()
    said = f"at most {FIRST}, the cached tokens, together, got {num_tokens} and {keep}"
    with pytest.raises(ValueError, match=said):
        drop_oldest(cache, Schedule.from_config(model.config), num_tokens, keep=keep)
    assert torch.equal(cache.layers[0].keys, before)
