"""Schedule.from_config on configurations of published models: transformers' frequencies to the bit,
facts that are written down beside each of them, and refusals where a class has the last word.
"""

import copy

import pytest
import torch
from published_configs import (
    HALF_SPLIT,
    INTERLEAVED,
    config_of,
    frequencies_of,
    layers_of,
    modeling_of,
    published,
    rotary_of,
    rotated,
)

import torch_rope
from torch_rope import Schedule

PUBLISHED = published()
LAYERS = [
    pytest.param(entry, *layer, id=f"{name}-{layer[0]}" if layer[0] else name)
    for name, entry in PUBLISHED.items()
    for layer in layers_of(entry)
]
# Types whose frequencies depend on the length.
OF_LENGTH = ("dynamic", "longrope", "su")


def schedule_of(entry, layer_type=None, seq_len=None):
    """From the file, or from the configuration object where that says why it cannot."""
    before = copy.deepcopy(entry["config"])
    refused = entry.get("refused")
    if refused is None:
        schedule = Schedule.from_config(entry["config"], layer_type, seq_len)
        assert schedule == Schedule.from_config(config_of(entry), layer_type, seq_len)
    else:
        with pytest.raises(ValueError, match=f"^Schedule.from_config: {refused}"):
            Schedule.from_config(entry["config"], layer_type, seq_len)
        schedule = Schedule.from_config(config_of(entry), layer_type, seq_len)
    assert entry["config"] == before
    return schedule


def lengths_of(entry):
    scaling = entry["config"].get("rope_scaling") or {}
    if scaling.get("rope_type", scaling.get("type")) not in OF_LENGTH:
        return [None]
    longest = entry["config"]["max_position_embeddings"]
    trained = entry["config"].get("original_max_position_embeddings", longest)
    return [None, 1, trained, trained + 1, longest, longest + 1, 3 * longest]


@pytest.mark.parametrize(("entry", "layer_type", "rotary_dim", "base"), LAYERS)
def test_equals_transformers(entry, layer_type, rotary_dim, base):
    config = config_of(entry)
    for seq_len in lengths_of(entry):
        schedule = schedule_of(entry, layer_type, seq_len)
        if rotary_of(config) is None:
            sine, _ = modeling_of(config).create_sinusoidal_positions(64, rotary_dim).chunk(2, -1)
            angles = torch.outer(torch.arange(64.0), schedule.inv_freq.float())
            assert torch.equal(angles.sin(), sine)
            continue
        inv_freq, attention_factor = frequencies_of(config, layer_type, seq_len)
        assert torch.equal(schedule.inv_freq.float(), inv_freq)
        assert schedule.attention_factor == attention_factor


@pytest.mark.parametrize(("entry", "layer_type", "rotary_dim", "base"), LAYERS)
def test_facts(entry, layer_type, rotary_dim, base):
    """The width, the attention factor, and the base by pair 1, which most schemes leave as it is.
    1e-6 is some ten roundings to float32."""
    schedule = schedule_of(entry, layer_type)
    assert schedule.rotary_dim == rotary_dim
    squeeze = entry.get("squeeze_of_pair_1", 1.0)
    if isinstance(squeeze, dict):
        squeeze = squeeze[layer_type]
    expected = base ** (-2 / rotary_dim) / squeeze
    assert schedule.inv_freq[1].item() == pytest.approx(expected, rel=1e-6)
    if "attention_factor" in entry:
        assert schedule.attention_factor == pytest.approx(entry["attention_factor"], rel=1e-12)


@pytest.mark.parametrize(("entry", "layer_type", "rotary_dim", "base"), LAYERS)
def test_pairing(entry, layer_type, rotary_dim, base):
    """Products of q and k, since some models reorder the components of both; the other pairing
    gives others. Cosines of angles below 16 and 512 terms, float32 on both sides: 1e-3."""
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn((1, 2, 16, rotary_dim), generator=generator) for _ in range(2))
    positions = torch.arange(16)
    theirs = rotated(config_of(entry), layer_type, q, k, positions)
    schedule = schedule_of(entry, layer_type)

    def difference(pairing):
        keywords = {"layout": "bhsd", "interleaved": pairing == INTERLEAVED, **schedule.kwargs()}
        ours = torch_rope.rotate_qk(q, k, positions, **keywords)
        products = [q @ k.transpose(-1, -2) for q, k in (theirs, ours)]
        return (products[0] - products[1]).abs().max().item()

    (other,) = {HALF_SPLIT, INTERLEAVED} - {entry["pairing"]}
    assert difference(entry["pairing"]) < 1e-3
    assert difference(other) > 1.0


def test_how_many():
    assert len(PUBLISHED) >= 70
    assert all(entry["source"] for entry in PUBLISHED.values())
