"""Small models of transformers' architectures, with random weights, and what they should compute.

The oracle is the model itself with every operation in float64: its own code, none of ours. The demo
compares with the same one, and tests/python/test_demo.py sees that it computes nothing in less.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen2VLForConditionalGeneration
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
if str(EXAMPLES) not in sys.path:
    sys.path.append(str(EXAMPLES))

from _float64 import Float64Twin  # noqa: E402

VOCABULARY = 96
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    # Large enough for attention to depend on positions.
    "initializer_range": 0.15,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GPT = {"head_dim": None, "num_key_value_heads": None, "rotary_dim": 8, "n_inner": 64}
_EXPERTS = {"num_experts_per_tok": 2}
_FOUR_HEADS = {"num_key_value_heads": 4}

# model_type -> what its configuration needs beside the sizes; None: it has no such field.
ARCHITECTURES = {
    "codegen": {**_GPT, "n_ctx": 256},
    "cohere": {},
    "deepseek_v3": {
        **_EXPERTS,
        **_FOUR_HEADS,
        "head_dim": None,
        "moe_intermediate_size": 32,
        "n_routed_experts": 4,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 16,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
    "falcon": {"head_dim": None, "multi_query": False},
    "gemma2": {},
    "gemma3_text": {"layer_types": ["sliding_attention", "full_attention"]},
    "glm": {},
    "gpt_neox": {**_FOUR_HEADS},
    "gptj": {**_GPT},
    "llama": {},
    "mistral": {},
    "mixtral": {**_EXPERTS, "num_local_experts": 4},
    "olmo2": {},
    "phi": {},
    "phi3": {},
    "qwen2": {},
    "qwen2_vl": {},
    "qwen3": {},
    "stablelm": {},
}

# One of each way to rotate, without routers, which choose other experts for a last bit.
WAYS = ["cohere", "falcon", "gemma3_text", "glm", "gpt_neox", "llama", "olmo2", "phi3", "qwen2_vl"]


def build(model_type, **changes):
    """In float32, not in training; the same weights every time."""
    torch.manual_seed(0)
    if model_type == "qwen2_vl":
        return _qwen2_vl(changes).eval()
    config = config_of(model_type, **changes)
    # The other implementations know no float64.
    config._experts_implementation = "eager"
    return AutoModelForCausalLM.from_config(config).eval()


def config_of(model_type, **changes):
    sizes = {**SIZES, **ARCHITECTURES[model_type], **changes}
    return CONFIG_MAPPING[model_type](
        **{name: value for name, value in sizes.items() if value is not None}
    )


def _qwen2_vl(changes):
    text = {name: value for name, value in {**SIZES, **changes}.items() if value is not None}
    text.setdefault(
        "rope_parameters",
        {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    )
    vision = {"depth": 1, "embed_dim": 32, "num_heads": 2, "hidden_size": 64}
    config = CONFIG_MAPPING["qwen2_vl"](text_config=text, vision_config=vision)
    return Qwen2VLForConditionalGeneration(config)


def float64_twin(model):
    return Float64Twin(model)


def tokens(batch, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (batch, length), generator=generator)


def rms(x):
    return x.double().pow(2).mean().sqrt().item()
