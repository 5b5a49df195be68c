"""Schedule.from_config: each type of scaling as transformers computes it, configurations of version
4 and 5, objects and dicts, and what is refused.
"""

import copy

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from torch_rope import Schedule, schedules
from torch_rope.configs import exact_schedule_from
from torch_rope.configs.parameters import SAYING

LENGTH = 4096
SIZES = {"hidden_size": 512, "num_attention_heads": 4, "max_position_embeddings": LENGTH}
PAIRS = 64
SHORT = [1.0 + 0.01 * pair for pair in range(PAIRS)]
LONG = [1.5 + 0.37 * pair for pair in range(PAIRS)]
LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}
TYPES = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 3.7},
    "dynamic": {"rope_type": "dynamic", "factor": 2.5},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024},
    "yarn_mscale": {
        "rope_type": "yarn",
        "factor": 40.0,
        "original_max_position_embeddings": 1024,
        "mscale": 1.0,
        "mscale_all_dim": 0.8,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
    },
    "yarn_exact": {
        "rope_type": "yarn",
        "factor": 32.0,
        "original_max_position_embeddings": 1024,
        "truncate": False,
        "attention_factor": 1.25,
    },
    "longrope": {
        "rope_type": "longrope",
        "short_factor": SHORT,
        "long_factor": LONG,
        "original_max_position_embeddings": 1024,
        "factor": 4.0,
    },
    "llama3": {"rope_type": "llama3", **LLAMA3},
    "proportional": {"rope_type": "proportional", "partial_rotary_factor": 0.25},
}
BASES = [10000.0, 500000.0, 8e6]


def config_of(parameters, base=10000.0):
    return LlamaConfig(**SIZES, rope_parameters={**parameters, "rope_theta": base})


def assert_equal(schedule, module):
    assert torch.equal(schedule.inv_freq.float(), module.inv_freq)
    assert schedule.attention_factor == module.attention_scaling


@pytest.mark.parametrize("base", BASES, ids=lambda base: f"base{base:g}")
@pytest.mark.parametrize("name", TYPES)
def test_types(name, base):
    config = config_of(TYPES[name], base)
    assert_equal(Schedule.from_config(config), LlamaRotaryEmbedding(config))


@pytest.mark.parametrize("seq_len", [1, 1024, 1025, LENGTH, LENGTH + 1, 5003, 70001])
@pytest.mark.parametrize("name", ["dynamic", "longrope", "yarn"])
def test_lengths(name, seq_len):
    """What a model has after it was run on that many positions."""
    config = config_of(TYPES[name])
    module = LlamaRotaryEmbedding(config)
    module(torch.zeros(1), torch.arange(seq_len)[None])
    assert_equal(Schedule.from_config(config, seq_len=seq_len), module)


@pytest.mark.parametrize("name", TYPES)
def test_dicts(name):
    """Of version 5, and of version 4, where the base and a part of the head are fields beside."""
    parameters = {"rope_theta": 500000.0, **TYPES[name]}
    expected = Schedule.from_config(config_of(TYPES[name], 500000.0))
    assert Schedule.from_config({**SIZES, "rope_parameters": parameters}) == expected
    beside = ("rope_theta", "partial_rotary_factor")
    fields = {key: parameters.pop(key) for key in beside if key in parameters}
    parameters["type"] = parameters.pop("rope_type")
    scaling = None if parameters == {"type": "default"} else parameters
    assert Schedule.from_config({**SIZES, **fields, "rope_scaling": scaling}) == expected


NESTED = {
    "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
    "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
}


@pytest.mark.parametrize("layer_type", NESTED)
def test_layer_types(layer_type):
    """The same by version 4's fields of Gemma 3."""
    schedule = Schedule.from_config({**SIZES, "rope_parameters": NESTED}, layer_type)
    alone = Schedule.from_config({**SIZES, "rope_parameters": NESTED[layer_type]})
    assert schedule == alone
    version_4 = {
        **SIZES,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }
    assert Schedule.from_config(version_4, layer_type) == alone


@pytest.mark.parametrize(
    "given",
    [
        {"partial_rotary_factor": 0.25, "rope_theta": 1e4},
        {"rotary_pct": 0.25, "rotary_emb_base": 1e4},
        {"rotary_dim": 32, "model_type": "gptj"},
        {"head_dim": 32, "rope_theta": 1e4},
        {"qk_rope_head_dim": 32, "rope_theta": 1e4},
        {"rope_theta": 1e4, "partial_rotary_factor": 0.25, "rope_scaling": None},
        {"text_config": {**SIZES, "rope_theta": 1e4, "partial_rotary_factor": 0.25}},
        {
            "rope_theta": 1e4,
            "head_dim": 32,
            "rope_scaling": {"type": "mrope", "mrope_section": [4]},
        },
    ],
    ids=["partial", "neox", "gptj", "head_dim", "mla", "none", "text_config", "mrope"],
)
def test_widths(given):
    schedule = Schedule.from_config({**SIZES, **given})
    assert torch.equal(schedule.inv_freq.float(), 1 / 10000.0 ** (torch.arange(0, 32, 2) / 32))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"rope_theta": 1e4, "rope_banana": 1}, "unknown key rope_banana"),
        ({"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0, "zeta": 1}}, "zeta"),
        ({"rope_theta": 1e4, "rope_scaling": {"type": "linear"}}, "linear needs factor"),
        ({"rope_theta": 1e4, "rope_scaling": {"type": "spiral"}}, "got 'spiral'"),
        ({"rope_theta": None}, "no key of a rotary embedding"),
        ({}, "no key of a rotary embedding"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_theta is missing"),
        ({"rope_parameters": NESTED}, "one of full_attention, sliding_attention"),
        ({"rope_theta": 1e4, "layer_rope_theta": [1e4, 1e5]}, "layer_rope_theta is not supported"),
        ({"rope_theta": "10000"}, "rope_theta must be a number, got '10000'"),
        ({"rotary_dim": 64, "model_type": "gptj", "rotary": False}, "there is no rotation"),
        (
            {"rope_theta": 1e4, "model_type": "glm"},
            "partial_rotary_factor is missing, and glm has a default of its class",
        ),
        ({"rope_theta": 1e4, "model_type": "gemma2"}, "head_dim is missing, and gemma2 has a"),
        ({"rope_theta": 1e4, "head_dim": 64, "model_type": "gpt_oss"}, "rope_type is missing, and"),
        (
            {
                "rope_theta": 1e4,
                "head_dim": 256,
                "qk_rope_head_dim": 64,
                "partial_rotary_factor": 0.5,
            },
            "partial_rotary_factor 0.5 of 256 contradicts qk_rope_head_dim 64",
        ),
    ],
)
def test_refused(config, said):
    before = copy.deepcopy(config)
    with pytest.raises(ValueError, match=r"^Schedule\.from_config: ") as caught:
        Schedule.from_config({**SIZES, **config})
    assert said in str(caught.value)
    assert config == before


WIDER = {"head_dim": 128}
WIDE = {"layer_types": ["sliding_attention", "full_attention", "full_attention"], "head_dim": 64}


def test_widths_of_layers():
    """Of Gemma 4, as published and as transformers saves it."""
    file = {**WIDE, "rope_parameters": NESTED}
    for wide in ({"global_head_dim": 128}, {"per_layer_config": {"1": WIDER, "2": WIDER}}):
        schedules = [Schedule.from_config({**file, **wide}, layer_type) for layer_type in NESTED]
        assert [schedule.rotary_dim for schedule in schedules] == [128, 64]
    with pytest.raises(ValueError, match="layers of full_attention have heads of different widths"):
        Schedule.from_config({**file, "per_layer_config": {"1": WIDER}}, "full_attention")


class OfUnlikeLayers:
    """As transformers' own of Dots 3, which raises where a field that differs by layer is read."""

    rope_parameters = {  # noqa: RUF012
        "rope_type": "default",
        "rope_theta": 1e4,
        "partial_rotary_factor": 0.5,
    }
    head_dim = 64

    def __getattr__(self, name):
        if name in SAYING:
            raise RuntimeError(f"{name} differs by layer")
        raise AttributeError(name)


def test_fields_that_cannot_be_read():
    assert Schedule.from_config(OfUnlikeLayers()).rotary_dim == 32


@pytest.mark.parametrize("layer_type", ["chunked_attention", None])
def test_refused_layer_types(layer_type):
    with pytest.raises(ValueError, match="layer_type must be one of full_attention, sliding"):
        Schedule.from_config({**SIZES, "rope_parameters": NESTED}, layer_type)


@pytest.mark.parametrize("seq_len", [-1, True, 2.0])
def test_refused_lengths(seq_len):
    with pytest.raises(ValueError, match="seq_len must be None or an integer from 0, got"):
        Schedule.from_config({**SIZES, "rope_theta": 1e4}, seq_len=seq_len)


@pytest.mark.parametrize("config", [None, "llama"])
def test_refused_configs(config):
    with pytest.raises(TypeError, match="config must be a transformers config or a dict"):
        Schedule.from_config(config)


@pytest.mark.parametrize("seq_len", [None, 1024, 1025, LENGTH + 1, 70001])
@pytest.mark.parametrize("name", TYPES)
def test_exact_frequencies(name, seq_len):
    """float64, as the builders make them: float32's roundings away from transformers'."""
    config = config_of(TYPES[name])
    exact = exact_schedule_from(config, None, seq_len)
    single = Schedule.from_config(config, None, seq_len)
    # Some roundings of 2^-24 each, in an exponent that the base's logarithm multiplies too.
    torch.testing.assert_close(exact.inv_freq, single.inv_freq, rtol=4e-6, atol=0)
    assert exact.attention_factor == pytest.approx(single.attention_factor, rel=1e-15)
    turning = exact.inv_freq[exact.inv_freq > 0]
    assert not torch.equal(turning, turning.float().double())


def test_exact_frequencies_are_the_builders():
    config = config_of({"rope_type": "llama3", **LLAMA3})
    assert exact_schedule_from(config, None, None) == schedules.llama3(128, 1e4, **LLAMA3)


def test_exact_frequencies_of_an_odd_width():
    """A third of 16 components: transformers makes three pairs of the five."""
    config = LlamaConfig(
        head_dim=16,
        rope_parameters={"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.334},
    )
    exact = exact_schedule_from(config, None, None)
    expected = torch.tensor([1e4 ** (-2 * pair / 5) for pair in range(3)], dtype=torch.float64)
    torch.testing.assert_close(exact.inv_freq, expected, rtol=1e-14, atol=0)
