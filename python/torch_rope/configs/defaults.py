"""What a dict leaves to the class of its model: the keys that have to be there, by model_type.

transformers' classes fill in what a file does not say. A dict of such a model without the key is
refused: the frequencies would be of another width or scale than the model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch_rope.configs.fields import Fields, refuse

_HEAD_DIM = """
    axk1 axk2 bailing_hybrid beam deepseek_v2 deepseek_v3 deepseek_v32 deepseek_v4 dia_encoder
    diffusion_gemma_text dots3_note_text embedding_gemma2_text ernie4_5 flint gemma gemma2
    gemma3_text gemma4_text gemma4_unified_text glm4_moe_lite glm_moe_dsa gpt_oss hy_v3 hy_v4 jetmoe
    kolibri1 laguna longcat_flash mellum mimo_v2_flash minicpm3 minimax_m2 minimax_m3_vl_text
    mistral4 mistral_large4_text muse_glimmer_assistant openai_privacy_filter paddleocr_vl_text
    qwen3_5_moe_text qwen3_next qwen4_exp_text seed_oss solar_open step3p5 t5_gemma_module
    t5gemma2_text vaultgemma youtu zaya
"""
_PARTIAL = """
    bamba dots3_note_audio_encoder efficientloftr glm glm4 glm4_moe glm4v_moe_text glmasr_encoder
    gpt_neox laguna lfm3 mimo_v2_flash moonshine_streaming nemotron nemotron3_5_transcribe_asr_audio
    neomme persimmon phi qwen3_5_moe_text qwen3_5_text qwen3_next recurrent_gemma stablelm
    zaya
"""
_SCALING = """
    apertus cwm gpt_oss higgs_audio_v2 lfm3 ministral3 mistral4 mistral_large4_text
    openai_privacy_filter
"""
# The first name is the one to be asked for.
_KEYS = (
    (_HEAD_DIM, ("head_dim", "qk_rope_head_dim", "attention_head_dim", "kv_channels")),
    (
        _PARTIAL,
        ("partial_rotary_factor", "rotary_pct", "rope_pct", "rotary_dim", "qk_rope_head_dim"),
    ),
    (_SCALING, ("rope_type", "type")),
    ("zamba2", ("attention_head_dim",)),
)


def refuse_missing(fields: Fields, given: Mapping[str, Any]) -> None:
    """given: the parameters of the layer, of version 4 or 5."""
    if not fields.is_dict:
        return
    model_type = fields.get("model_type")
    for model_types, names in _KEYS:
        says = fields.get(*names) is not None or any(given.get(name) is not None for name in names)
        if model_type in model_types.split() and not says:
            refuse(
                f"{names[0]} is missing, and {model_type} has a default of its class, which a dict"
                " does not carry: give the config object, or the key"
            )
