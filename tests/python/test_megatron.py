"""Schedule.from_config on Megatron-LM's arguments: the frequencies of its embeddings, the models'
own where both are known, and what is refused.
"""

import argparse
import math

import pytest
import torch

from torch_rope import Schedule

# What parse_args gives where nothing is said, of the rotation.
DEFAULTS = {
    "position_embedding_type": "learned_absolute",
    "use_rotary_position_embeddings": False,
    "add_position_embedding": True,
    "rotary_base": 10000,
    "rotary_percent": 1.0,
    "rotary_interleaved": False,
    "rotary_seq_len_interpolation_factor": None,
    "use_rope_scaling": False,
    "rope_scaling_factor": 8.0,
    "rope_type": None,
    "no_rope_freq": None,
    "apply_rope_fusion": True,
    "rotary_scaling_factor": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 0.0,
    "yarn_original_max_position_embeddings": None,
    "yarn_beta_fast": None,
    "yarn_beta_slow": None,
    "yarn_correction_range_round_to_int": None,
    "mrope_section": None,
    "multi_latent_attention": False,
    "qk_pos_emb_head_dim": 64,
    "kv_channels": 128,
    "hidden_size": 4096,
    "num_attention_heads": 32,
}


def arguments(**given):
    return argparse.Namespace(**{**DEFAULTS, "position_embedding_type": "rope", **given})


def powers_of(args, dim):
    return args.rotary_base ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)


def rotary_embedding(args):
    """After RotaryEmbedding.__init__ and _apply_scaling."""
    dim = args.qk_pos_emb_head_dim if args.multi_latent_attention else args.kv_channels
    if args.rotary_percent < 1.0:
        dim = int(dim * args.rotary_percent)
    freqs = 1.0 / powers_of(args, dim)
    if args.use_rope_scaling and args.position_embedding_type == "rope":
        wavelen = 2 * math.pi / freqs
        scaled = torch.where(wavelen > 8192 / 1, freqs / args.rope_scaling_factor, freqs)
        smooth = (8192 / wavelen - 1) / (4 - 1)
        smoothed = (1 - smooth) * scaled / args.rope_scaling_factor + smooth * scaled
        is_medium = ~(wavelen < 8192 / 4) * ~(wavelen > 8192 / 1)
        freqs = torch.where(is_medium, smoothed, scaled)
    return freqs


def yarn_embedding(args):
    """After YarnRotaryEmbedding.get_emb and _yarn_get_concentration_factor."""
    latent = args.multi_latent_attention
    dim = args.qk_pos_emb_head_dim if latent else args.kv_channels
    names = ("original_max_position_embeddings", "beta_fast", "beta_slow")
    otherwise = {"original_max_position_embeddings": 4096, "beta_fast": 32.0, "beta_slow": 1.0}
    length, fast, slow = (
        value if (value := getattr(args, name if latent else f"yarn_{name}", None)) is not None
        else otherwise[name]
        for name in names
    )  # fmt: skip
    factor = args.rotary_scaling_factor
    extra, inter = 1.0 / powers_of(args, dim), 1.0 / (factor * powers_of(args, dim))

    def correction_dim(rotations):
        turns = math.log(length / (rotations * 2 * math.pi))
        return (dim * turns) / (2 * math.log(args.rotary_base))

    low, high = correction_dim(fast), correction_dim(slow)
    if args.yarn_correction_range_round_to_int is not False:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    ramp = torch.clamp((torch.arange(dim // 2, dtype=torch.float32) - low) / (high - low), 0, 1)
    mask = 1.0 - ramp

    def mscale(weight):
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    return inter * (1 - mask) + extra * mask, mscale(args.mscale) / mscale(args.mscale_all_dim)


MROPE = {"position_embedding_type": "mrope", "mrope_section": [16, 24, 24]}
ROPE = {
    "plain": {},
    "a part": {"rotary_percent": 0.25},
    "by its older flag": {
        "position_embedding_type": "learned_absolute",
        "use_rotary_position_embeddings": True,
    },
    "width of the model": {"kv_channels": None},
    "llama3": {"rotary_base": 500000, "use_rope_scaling": True},
    "llama3 by 32": {"rotary_base": 500000, "use_rope_scaling": True, "rope_scaling_factor": 32.0},
    "interleaved": {"rotary_interleaved": True},
    "mrope": {**MROPE, "rotary_base": 1000000},
    "latent": {"multi_latent_attention": True, "rope_type": "rope", "rotary_percent": 0.5},
}
YARN = {"position_embedding_type": "yarn", "rotary_base": 150000, "rotary_scaling_factor": 32.0}
LATENT = {"multi_latent_attention": True, "rotary_scaling_factor": 40.0}
EMBEDDED_BY_YARN = {
    "plain": YARN,
    "gpt-oss": {
        **YARN,
        "kv_channels": 64,
        "yarn_original_max_position_embeddings": 4096,
        "yarn_beta_fast": 32.0,
        "yarn_beta_slow": 1.0,
        "yarn_correction_range_round_to_int": False,
    },
    "not squeezed": {**YARN, "rotary_scaling_factor": 1.0},
    "mscale alone": {**YARN, "mscale": 0.707},
    "latent": LATENT,
    "latent with lengths": {
        **LATENT,
        "rope_type": "yarn",
        "original_max_position_embeddings": 8192,
        "beta_fast": 16,
        "beta_slow": 2,
        "mscale": 1.0,
        "mscale_all_dim": 0.8,
    },
}


@pytest.mark.parametrize("name", ROPE)
def test_rope(name):
    args = arguments(**ROPE[name])
    if args.kv_channels is None:  # validate_args fills it in
        args.kv_channels = args.hidden_size // args.num_attention_heads
    schedule = Schedule.from_config(arguments(**ROPE[name]))
    assert torch.equal(schedule.inv_freq.float(), rotary_embedding(args))
    assert schedule.attention_factor == 1.0


@pytest.mark.parametrize("name", EMBEDDED_BY_YARN)
def test_yarn(name):
    args = arguments(**EMBEDDED_BY_YARN[name])
    inv_freq, attention_factor = yarn_embedding(args)
    schedule = Schedule.from_config(args)
    assert torch.equal(schedule.inv_freq.float(), inv_freq)
    assert schedule.attention_factor == attention_factor


@pytest.mark.parametrize("name", [*ROPE, *EMBEDDED_BY_YARN])
def test_dicts(name):
    """With what is not None: the rest is as if it was not said."""
    args = arguments(**{**ROPE, **EMBEDDED_BY_YARN}[name])
    assert Schedule.from_config(vars(args)) == Schedule.from_config(args)
    said = {key: value for key, value in vars(args).items() if value is not None}
    assert Schedule.from_config(said) == Schedule.from_config(args)


@pytest.mark.parametrize("scaled", [False, True])
def test_interpolation(scaled):
    """Megatron-LM squeezes positions, we frequencies: three roundings of 6e-8 on either side."""
    args = arguments(rotary_seq_len_interpolation_factor=3, use_rope_scaling=scaled)
    positions = torch.arange(1.0, 100.0)
    expected = torch.outer(positions * (1 / 3), rotary_embedding(args))
    inv_freq = Schedule.from_config(args).inv_freq.float()
    torch.testing.assert_close(torch.outer(positions, inv_freq), expected, rtol=3.6e-7, atol=0)


def test_model_config():
    """GPTModelConfig has two of these by other names."""
    config = {
        "position_embedding_type": "rope",
        "rotary_base": 500000,
        "rope_scaling": True,
        "rope_scaling_factor": 8.0,
        "seq_len_interpolation_factor": 2.0,
        "kv_channels": 128,
    }
    expected = arguments(
        rotary_base=500000, use_rope_scaling=True, rotary_seq_len_interpolation_factor=2
    )
    assert Schedule.from_config(config) == Schedule.from_config(expected)


def test_equals_the_configuration():
    """Llama 3.1's, to the bit."""
    scaling = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}
    scaling.update(low_freq_factor=1.0, high_freq_factor=4.0)
    config = {"rope_theta": 500000.0, "head_dim": 128, "rope_scaling": scaling}
    args = arguments(rotary_base=500000, use_rope_scaling=True)
    assert Schedule.from_config(args) == Schedule.from_config(config)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"position_embedding_type": "none"}, "one of rope, yarn, mrope, got 'none'"),
        ({"position_embedding_type": "learned_absolute"}, "yarn, mrope, got 'learned_absolute'"),
        ({"position_embedding_type": None}, "one of rope, yarn, mrope, got None"),
        ({"rope_banana": 1}, "unknown key rope_banana"),
        ({"rotary_banana": 1}, "unknown key rotary_banana"),
        ({"yarn_banana": 1}, "unknown key yarn_banana"),
        ({"rotary_base": None}, "rotary_base is missing"),
        ({"rotary_base": "10000"}, "rotary_base must be a number, got '10000'"),
        ({"kv_channels": None, "hidden_size": None}, "kv_channels, or hidden_size and"),
        ({**LATENT, "qk_pos_emb_head_dim": None}, "qk_pos_emb_head_dim is missing"),
        ({**LATENT, "rope_type": "mrope"}, "rope_type must be rope or yarn, got 'mrope'"),
        ({"rope_type": "yarn"}, "rope_type must be rope or None here, got 'yarn'"),
        ({**YARN, "rotary_scaling_factor": None}, "rotary_scaling_factor is missing"),
        ({**YARN, "rotary_percent": 0.5}, "rotary_percent is given, but Megatron-LM ignores it"),
        ({**YARN, "use_rope_scaling": True}, "use_rope_scaling is given, but Megatron-LM ignores"),
        ({**MROPE, "use_rope_scaling": True}, "use_rope_scaling is given, but Megatron-LM ignores"),
        ({**YARN, "rotary_seq_len_interpolation_factor": 2}, "interpolation_factor is given, but"),
        ({**YARN, "beta_fast": 32}, "beta_fast is given, but Megatron-LM ignores it with yarn"),
        (
            {**LATENT, "yarn_beta_fast": 32},
            "yarn_beta_fast is given, but Megatron-LM ignores it with multi_latent_attention",
        ),
        ({"rope_theta": 1e4}, "keys of different formats: qk_pos_emb_head_dim, rope_theta"),
        ({"rope_scaling": {"type": "linear"}}, "keys of different formats"),
        ({"rope_scaling": 8.0}, "keys of different formats"),
    ],
)
def test_refused(given, said):
    args = arguments(**given)
    before = dict(vars(args))
    with pytest.raises(ValueError, match=r"^Schedule\.from_config: ") as caught:
        Schedule.from_config(args)
    assert said in str(caught.value)
    assert vars(args) == before


def test_refused_layer_type():
    with pytest.raises(ValueError, match="layer_type must be None for Megatron-LM's arguments"):
        Schedule.from_config(arguments(), "full_attention")
