"""Schedule.from_config on GGUF metadata: llama.cpp's angles, the models' own frequencies where both
are known, and what is refused.
"""

import math

import pytest
import torch
from llama_cpp import angles_of

from torch_rope import Schedule

ARCHITECTURE = "general.architecture"


def metadata_of(arch, tensors=None, **keys):
    """keys: with "__" for the dots."""
    named = {f"{arch}.{key.replace('__', '.')}": value for key, value in keys.items()}
    return {ARCHITECTURE: arch, "general.name": "of rope and rotary", **named, **(tensors or {})}


YARN = {"rope__scaling__type": "yarn", "rope__scaling__original_context_length": 4096}
SIZES = {"context_length": 32768, "embedding_length": 4096, "attention__head_count": 32}
MADE = {
    "llama without a base": metadata_of("llama", **SIZES, rope__dimension_count=128),
    "width of the model": metadata_of("qwen2", **SIZES, rope__freq_base=1e6),
    "width of a key": metadata_of("qwen3", **SIZES, attention__key_length=64, rope__freq_base=1e6),
    "a part": metadata_of("gptneox", **SIZES, rope__dimension_count=24),
    "linear": metadata_of(
        "llama", **SIZES, rope__scaling__type="linear", rope__scaling__factor=4.0
    ),
    "factor alone": metadata_of("llama", **SIZES, rope__scaling__factor=4.0),
    "older name": metadata_of("llama", **SIZES, rope__scale_linear=0.5),
    "none": metadata_of("llama", **SIZES, rope__scaling__type="none", rope__scaling__factor=4.0),
    "attn_factor": metadata_of("llama", **SIZES, rope__scaling__attn_factor=1.25),
    "yarn": metadata_of("qwen2", **SIZES, **YARN, rope__scaling__factor=4.0, rope__freq_base=1e6),
    "yarn, from the context": metadata_of(
        "qwen2", **SIZES, rope__scaling__type="yarn", rope__scaling__factor=4.0
    ),
    "yarn, squeezed by less than 1": metadata_of(
        "qwen2", **SIZES, **YARN, rope__scaling__factor=0.5
    ),
    "yarn and attn_factor": metadata_of(
        "olmo2", **SIZES, **YARN, rope__scaling__factor=8.0, rope__scaling__attn_factor=1.2079
    ),
    "yarn, half": metadata_of(
        "grok",
        **SIZES,
        **YARN,
        rope__scaling__factor=16.0,
        rope__scaling__yarn_ext_factor=0.5,
        rope__scaling__yarn_attn_factor=1.0,
        rope__scaling__yarn_beta_fast=8.0,
        rope__scaling__yarn_beta_slow=1.5,
    ),
    "deepseek2": metadata_of(
        "deepseek2",
        **SIZES,
        **YARN,
        rope__dimension_count=64,
        rope__scaling__factor=40.0,
        rope__scaling__yarn_log_multiplier=0.0707,
    ),
    "mistral3": metadata_of(
        "mistral3",
        **SIZES,
        **YARN,
        rope__scaling__factor=16.0,
        rope__scaling__yarn_log_multiplier=0.8,
    ),
    "hunyuan": metadata_of("hunyuan-dense", **SIZES, rope__scaling__alpha=1000.0),
    "sections": metadata_of("qwen2vl", **SIZES, rope__dimension_sections=[16, 24, 24, 0]),
}
POSITIONS = [1, 4095, 131071]


def assert_equal(schedule, metadata, **choice):
    """float64 on both sides; ggml multiplies the angle on from pair to pair, 128 roundings."""
    for position in POSITIONS:
        angles, magnitude = angles_of(metadata, position, **choice)
        expected = torch.tensor(angles, dtype=torch.float64)
        assert schedule.inv_freq.shape == expected.shape
        torch.testing.assert_close(schedule.inv_freq * position, expected, rtol=1e-13, atol=0)
        assert schedule.attention_factor == pytest.approx(magnitude, rel=1e-14)


@pytest.mark.parametrize("name", MADE)
def test_equals_llama_cpp(name):
    assert_equal(Schedule.from_config(MADE[name]), MADE[name])


SHORT = [1.0 + 0.01 * pair for pair in range(64)]
LONG = [1.5 + 0.37 * pair for pair in range(64)]
FACTORS = {"rope_factors_short.weight": SHORT, "rope_factors_long.weight": LONG}
PHI3 = {"rope__scaling__original_context_length": 4096, "rope__scaling__attn_factor": 1.19}


@pytest.mark.parametrize("seq_len", [None, 1, 4096, 4097, 131072])
def test_longrope(seq_len):
    metadata = metadata_of("phi3", FACTORS, **SIZES, **PHI3)
    assert_equal(Schedule.from_config(metadata, seq_len=seq_len), metadata, n_ctx=seq_len)
    tensors = {name: torch.tensor(factors) for name, factors in FACTORS.items()}
    other = metadata_of("minicpm", tensors, **SIZES, rope__scaling__type="longrope", **PHI3)
    schedule = Schedule.from_config(other, seq_len=seq_len)
    expected = Schedule.from_config(metadata, seq_len=seq_len)
    torch.testing.assert_close(schedule.inv_freq, expected.inv_freq, rtol=1e-7, atol=0)


def llama3_factors():
    """What llama.cpp's conversion writes for Llama 3.1."""
    for pair in range(64):
        wavelength = 2 * math.pi * 500000.0 ** (pair / 64)
        if wavelength < 8192 / 4:
            yield 1.0
        elif wavelength > 8192 / 1:
            yield 8.0
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            yield 1 / ((1 - smooth) / 8 + smooth)


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
OF_BOTH = {
    "Llama 3.1": (
        metadata_of(
            "llama", {"rope_freqs.weight": list(llama3_factors())}, **SIZES, rope__freq_base=5e5
        ),
        {"rope_type": "llama3", **LLAMA3, "original_max_position_embeddings": 8192},
        {"rope_theta": 5e5, "head_dim": 128},
    ),
    "DeepSeek V2-Lite": (
        MADE["deepseek2"],
        {"type": "yarn", "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707},
        {"rope_theta": 1e4, "qk_rope_head_dim": 64, "original_max_position_embeddings": 4096},
    ),
}


@pytest.mark.parametrize("name", OF_BOTH)
def test_equals_the_configuration(name):
    """transformers' is float32: a few of its roundings."""
    metadata, scaling, fields = OF_BOTH[name]
    expected = Schedule.from_config({**fields, "rope_scaling": scaling})
    schedule = Schedule.from_config(metadata)
    torch.testing.assert_close(schedule.inv_freq, expected.inv_freq, rtol=1e-6, atol=0)
    assert schedule.attention_factor == pytest.approx(expected.attention_factor, rel=1e-12)


WINDOW = {"attention__sliding_window": 512}
OF_LAYERS = {
    "gemma3": metadata_of(
        "gemma3", **SIZES, **WINDOW, rope__freq_base=1e6, rope__scaling__factor=8.0
    ),
    "gemma3 with yarn": metadata_of(
        "gemma3",
        **SIZES,
        **WINDOW,
        **YARN,
        rope__scaling__factor=8.0,
        rope__scaling__attn_factor=1.25,
    ),
    "gemma4": metadata_of(
        "gemma4",
        {"rope_freqs.weight": [1.0] * 64 + [1e30] * 192},
        **WINDOW,
        rope__freq_base=1e6,
        rope__freq_base_swa=1e4,
        rope__dimension_count=512,
        rope__dimension_count_swa=256,
    ),
    "olmo2": metadata_of("olmo2", **SIZES, **WINDOW, **YARN, rope__scaling__factor=8.0),
}


@pytest.mark.parametrize("layer_type", ["full_attention", "sliding_attention"])
@pytest.mark.parametrize("name", OF_LAYERS)
def test_layer_types(name, layer_type):
    schedule = Schedule.from_config(OF_LAYERS[name], layer_type)
    assert_equal(schedule, OF_LAYERS[name], sliding=layer_type == "sliding_attention")
    with pytest.raises(ValueError, match="layer_type must be one of full_attention, sliding"):
        Schedule.from_config(OF_LAYERS[name])


def test_layer_types_alike():
    """gpt-oss has windows, and one rotation."""
    metadata = metadata_of("gpt-oss", **SIZES, **WINDOW, **YARN, rope__scaling__factor=32.0)
    expected = Schedule.from_config(metadata)
    assert Schedule.from_config(metadata, "sliding_attention") == expected


def test_gpt_oss_is_rounded():
    """llama.cpp rounds the ends of the ramp, where gpt-oss was trained without: other angles."""
    keys = {"rope__freq_base": 150000.0, "rope__dimension_count": 64}
    metadata = metadata_of("gpt-oss", **YARN, **keys, rope__scaling__factor=32.0)
    yarn = {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096}

    def of_transformers(truncate):
        config = {"rope_theta": 150000.0, "head_dim": 64}
        scaling = {**yarn, "truncate": truncate}
        return Schedule.from_config({**config, "rope_scaling": scaling}).inv_freq

    schedule = Schedule.from_config(metadata)
    torch.testing.assert_close(schedule.inv_freq, of_transformers(True), rtol=1e-6, atol=0)
    assert not torch.allclose(schedule.inv_freq, of_transformers(False), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (metadata_of("llama", **SIZES, rope__banana=1), "unknown key llama.rope.banana"),
        (metadata_of("llama", {"rope_scales.weight": [1.0]}, rope__freq_base=1e4), "rope_scales"),
        ({ARCHITECTURE: "llama", "qwen2.rope.freq_base": 1e4}, "unknown key qwen2.rope.freq_base"),
        ({"llama.rope.freq_base": 1e4}, "general.architecture must be a string, got None"),
        (metadata_of("gpt2", **SIZES), "no key of a rotary embedding: gpt2.rope.* is needed"),
        ({**MADE["yarn"], "rope_theta": 1e4}, "keys of different formats: general.architecture"),
        (metadata_of("llama", rope__freq_base=1e4), "llama.embedding_length is missing"),
        (metadata_of("x", rope__dimension_count=0), "x.rope.dimension_count is 0"),
        (metadata_of("llama", **SIZES, rope__scaling__type="su"), "must be one of ('none',"),
        (metadata_of("llama", **SIZES, rope__freq_base="1e4"), "must be a number, got '1e4'"),
        (metadata_of("llama", **SIZES, rope__scaling__alpha=8.0), "is of Hunyuan's models alone"),
        (
            metadata_of("minicpm", **SIZES, rope__scaling__type="longrope"),
            "LongRoPE needs the tensor rope_factors_short.weight",
        ),
        (metadata_of("phi3", **SIZES, **PHI3), "LongRoPE needs the tensor rope_factors_short"),
        (
            metadata_of("llama", {"rope_freqs.weight": [1.0] * 32}, **SIZES, rope__freq_base=1e4),
            "rope_freqs.weight must have 64 entries, one for each pair, got shape (32,)",
        ),
        (
            metadata_of("qwen2", **SIZES, **YARN, rope__scaling__yarn_log_multiplier=1.0),
            "yarn_log_multiplier is not supported",
        ),
        (
            metadata_of(
                "qwen2",
                **SIZES,
                **YARN,
                rope__scaling__factor=4.0,
                rope__scaling__yarn_attn_factor=1.5,
            ),
            "yarn_attn_factor is 1.5, but llama.cpp does not read it and has 1.13863",
        ),
    ],
)
def test_refused(metadata, said):
    before = dict(metadata)
    with pytest.raises(ValueError, match=r"^Schedule\.from_config: ") as caught:
        Schedule.from_config(metadata)
    assert said in str(caught.value)
    assert metadata == before


@pytest.mark.parametrize(
    ("keys", "tensors", "said"),
    [
        ({"rope__scaling__factor": 2.0}, {}, "does not tell whether sliding_attention is scaled"),
        ({"rope__scaling__attn_factor": 2.0}, {}, "tell whether sliding_attention is scaled"),
        ({}, {"rope_freqs.weight": [1.0] * 64}, "whether sliding_attention is divided"),
    ],
    ids=["scaled", "stretched", "divided"],
)
def test_refused_layers(keys, tensors, said):
    metadata = metadata_of("new", tensors, **SIZES, rope__freq_base_swa=1e4, **keys)
    with pytest.raises(ValueError, match=said):
        Schedule.from_config(metadata, "sliding_attention")
    assert Schedule.from_config(metadata, "full_attention").rotary_dim == 128


def test_refused_layer_type():
    with pytest.raises(ValueError, match="layer_type must be one of full_attention, sliding"):
        Schedule.from_config(MADE["yarn"], "chunked_attention")
