"""enable on every causal language model of the installed transformers that can be made small: its
logits are those of stock within rounding, or it has no rotations and is refused.
"""

from pathlib import Path

import pytest
import torch
import transformers
from tiny_models import rms, tokens
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from torch_rope.integrations.transformers import enable

# Of fields by these names, where a configuration has them as a number.
SIZES = {
    "attention_heads": 4,
    "d_model": 64,
    "decoder_layers": 2,
    "embedding_size": 64,
    "expert_ffn_hidden_size": 32,
    "ffn_dim": 64,
    "ffn_hidden_size": 64,
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_size": 64,
    "intermediate_size": 64,
    "kv_lora_rank": 16,
    "linear_key_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_value_head_dim": 16,
    "mlp_hidden_size": 64,
    "moe_intermediate_size": 32,
    "n_ctx": 64,
    "n_embd": 64,
    "n_group": 1,
    "n_head": 4,
    "n_inner": 64,
    "n_layer": 2,
    "n_positions": 64,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_attention_heads": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_kv_heads": 2,
    "num_local_experts": 4,
    "q_lora_rank": 16,
    "qk_head_dim": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "rotary_dim": 8,
    "shared_expert_intermediate_size": 32,
    "topk_group": 1,
    "v_head_dim": 16,
    "vocab_size": 96,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# What single architectures need beside them; None: these keep theirs.
SPECIAL = {
    "bamba": {
        "layer_types": None,
        "attn_layer_indices": [0, 1],
        "mamba_n_heads": 4,
        "mamba_d_head": 32,
    },
    "deepseek_v2": {"num_experts_per_tok": 2, "topk_method": "greedy"},
    "dots1": {
        "first_k_dense_replace": 1,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
    },
    "falcon_h1": {"layer_types": None, "mamba_n_heads": 4, "mamba_d_ssm": 64, "mamba_d_head": 16},
    "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 96},
    "gemma4_text": {
        "head_dim": None,
        "num_key_value_heads": None,
        "num_kv_shared_layers": 0,
        "vocab_size_per_layer_input": 96,
    },
    "gemma4_unified_text": {
        "head_dim": None,
        "num_key_value_heads": None,
        "num_kv_shared_layers": 0,
    },
    "granitemoehybrid": {
        "layer_types": ["attention", "attention"],
        "position_embedding_type": "rope",
    },
    "recurrent_gemma": {"layer_types": None, "num_hidden_layers": 3},
    "zaya": {"num_experts_per_tok": 1},
}
# None there means that they follow from others.
FOLLOWING = ("head_dim", "intermediate_size", "num_key_value_heads", "q_lora_rank")
LARGEST = 20_000_000  # parameters
REASON = "no module of it calls a rotary function of transformers"
TEXT = tokens(2, 24)
ROOT = Path(__file__).resolve().parents[2]


def small_config(model_type):
    kind = CONFIG_MAPPING[model_type]
    default = kind()
    default.allow_global_per_layer_attribute_access = True  # as Gemma 4's ask for
    sizes = dict(SIZES)
    if hasattr(default, "kv_lora_rank"):  # there head_dim is that of the rotated part
        sizes |= {"head_dim": 8, "num_key_value_heads": 4}
    given = {}
    for name, size in sizes.items():
        value = getattr(default, name, None)
        is_followed = value is None and name in FOLLOWING and hasattr(default, name)
        if (isinstance(value, int) or is_followed) and not has_property(kind, name):
            given[name] = size
    layers = getattr(default, "layer_types", None)
    if isinstance(layers, list) and not has_property(kind, "layer_types"):
        kinds = list(dict.fromkeys(layers))
        given["layer_types"] = (2 * kinds)[: max(2, len(kinds))]
        given["num_hidden_layers"] = len(given["layer_types"])
    given |= SPECIAL.get(model_type, {})
    return kind(**{name: value for name, value in given.items() if value is not None})


def has_property(kind, name):
    return isinstance(getattr(kind, name, None), property)


@torch.no_grad()
def logits(model):
    return model(TEXT).logits


def small_model(model_type):
    """A model that runs, and its logits; None where these sizes do not make one."""
    try:
        config = small_config(model_type)
        with torch.device("meta"):
            whole = AutoModelForCausalLM.from_config(config)
        if sum(parameter.numel() for parameter in whole.parameters()) > LARGEST:
            return None
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        return model, logits(model)
    except Exception:  # of transformers' own checks, and its models' assumptions on sizes
        return None


def reason_against(model):
    """Why enable refuses it; None where it does not."""
    try:
        enable(model)
    except ValueError as error:
        return str(error).partition(" is not supported: ")[2]
    return None


@pytest.mark.filterwarnings("ignore")
def test_every_causal_language_model(capsys):
    equal, refused, not_made = [], [], []
    for model_type in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        made = small_model(model_type)
        if made is None:
            not_made.append(model_type)
            continue
        model, stock = made
        reason = reason_against(model)
        if reason is not None:
            assert reason == REASON, model_type
            refused.append(model_type)
            continue
        # Both are off by some float32 roundings of their layers; tests/python/test_enable.py
        # compares with float64.
        assert rms(logits(model) - stock) < 1e-5 * rms(stock), model_type
        equal.append(model_type)
    with capsys.disabled():
        print(f"\nenable: {len(equal)} models as in transformers {transformers.__version__}")
        print(f"    {len(refused)} refused: {REASON}: {' '.join(refused)}")
        print(f"    {len(not_made)} not made small: {' '.join(not_made)}")
    assert len(equal) >= 100
    for page in ("docs/transformers.md", "README.md"):
        assert f"{len(equal)} architectures" in (ROOT / page).read_text(encoding="utf-8"), page
