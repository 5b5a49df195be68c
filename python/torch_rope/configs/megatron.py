"""Schedules from Megatron-LM's arguments, in the float32 arithmetic of its embeddings, which is
transformers' own but for what these call by another name and for positions that are interpolated.
"""

from __future__ import annotations

from typing import Any

from torch_rope.configs import single
from torch_rope.configs.fields import Fields, checked_seq_len, refuse
from torch_rope.configs.parameters import Parameters
from torch_rope.schedule import Schedule

_TYPE = "position_embedding_type"
_INTERPOLATION = ("rotary_seq_len_interpolation_factor", "seq_len_interpolation_factor")
_SCALED = ("use_rope_scaling", "rope_scaling")
_YARN_LENGTH = "yarn_original_max_position_embeddings"
# Names that no other library has.
_MARKS = {
    "rotary_base",
    "rotary_percent",
    "rotary_seq_len_interpolation_factor",
    "use_rope_scaling",
    "rope_scaling_factor",
    "rotary_interleaved",
    "use_rotary_position_embeddings",
    "rotary_scaling_factor",
    "qk_pos_emb_head_dim",
}
_READ = {
    *_MARKS,
    *_INTERPOLATION,
    *_SCALED,
    "rope_type",
    "mscale",
    "mscale_all_dim",
    _YARN_LENGTH,
    "yarn_beta_fast",
    "yarn_beta_slow",
    "yarn_correction_range_round_to_int",
}
# Of multi-latent attention's YaRN alone.
_LATENT = ("original_max_position_embeddings", "beta_fast", "beta_slow")
# The pairing, which layers are rotated and by which kernel: nothing that changes a frequency.
_HARMLESS = {
    "apply_rope_fusion",
    "dsa_indexer_rope_interleaved",
    "fused_single_qkv_rope",
    "mla_rotary_interleaved",
    "mrope_section",
    "no_rope_freq",
    "use_flashinfer_fused_rope",
}
_ROTARY = ("rope", "yarn", "mrope")
# Llama 3's, which Megatron-LM has as numbers.
_LLAMA3 = {
    "low_freq_factor": 1,
    "high_freq_factor": 4,
    "original_max_position_embeddings": 8192,
}


def mark(fields: Fields) -> str | None:
    """A key that tells this format from others."""
    return next((name for name in sorted(_MARKS) if fields.get(name) is not None), None)


def schedule(fields: Fields, layer_type: str | None, seq_len: int | None) -> Schedule:
    """Raises ValueError for what is missing, unknown or ignored by Megatron-LM, naming it."""
    _refuse_unknown(fields)
    _refuse_other_embeddings(fields)
    if layer_type is not None:
        refuse(f"layer_type must be None for Megatron-LM's arguments, got {layer_type!r}")
    kind = _kind(fields)
    width, partial = _width(fields), 1.0
    if kind == "yarn":
        given = _yarn(fields)
    else:
        partial = _number(fields, "rotary_percent", 1.0)
        given = _llama3(fields) if kind == "llama3" else {}
    parameters = Parameters(
        rope_type=kind,
        base=_needed(fields, "rotary_base"),
        head_dim=width,
        rotary_dim=int(width * partial) if partial < 1 else width,
        partial=partial,
        max_position_embeddings=None,
        seq_len=checked_seq_len(seq_len),
        given=given,
    )
    inv_freq, attention_factor = single.FREQUENCIES[kind](parameters)
    interpolation = fields.number(*_INTERPOLATION)
    if interpolation is not None:
        inv_freq = inv_freq * (1 / interpolation)
    return Schedule(inv_freq, attention_factor)


def _number(fields: Fields, name: str, otherwise: float) -> float:
    value = fields.number(name)
    return otherwise if value is None else value


def _needed(fields: Fields, name: str) -> float:
    value = fields.number(name)
    if value is None:
        refuse(f"{name} is missing")
    return value


def _refuse_unknown(fields: Fields) -> None:
    for name in fields:
        is_ours = any(word in name for word in ("rope", "rotary", "yarn"))
        if is_ours and name not in _READ | _HARMLESS:
            refuse(f"unknown key {name}")
    for name in _SCALED:
        if not isinstance(fields.get(name), (bool, type(None))):
            refuse(f"{name} must be a bool beside Megatron-LM's arguments")


def _refuse_other_embeddings(fields: Fields) -> None:
    kind = "rope" if fields.get("use_rotary_position_embeddings") else fields.get(_TYPE)
    if kind not in _ROTARY:
        refuse(f"{_TYPE} must be one of {', '.join(_ROTARY)}, got {kind!r}")


def _kind(fields: Fields) -> str:
    """The type of scaling; raises for keys that Megatron-LM ignores with it."""
    is_latent = bool(fields.get("multi_latent_attention"))
    kind = _embedding(fields, is_latent)
    flags = [name for name in _SCALED if fields.get(name)]
    ignored: list[str] = []
    if kind == "yarn" or is_latent:
        ignored += [*_INTERPOLATION, *flags]
    if kind == "mrope":
        ignored += flags
    if kind == "yarn":
        ignored += _LATENT if not is_latent else ()
        ignored += ["rotary_percent"] if _number(fields, "rotary_percent", 1.0) != 1 else []
    if is_latent:
        ignored += [name for name in sorted(_READ) if name.startswith("yarn_")]
    for name in ignored:
        if fields.get(name) is not None:
            what = "multi_latent_attention" if is_latent else kind
            refuse(f"{name} is given, but Megatron-LM ignores it with {what}")
    if kind == "yarn":
        return kind
    return "llama3" if flags else "default"


def _embedding(fields: Fields, is_latent: bool) -> str:
    if is_latent:  # it has an embedding of its own, in each layer
        kind = fields.get("rope_type") or "yarn"
        if kind not in ("rope", "yarn"):
            refuse(f"rope_type must be rope or yarn, got {kind!r}")
        return str(kind)
    if fields.get("rope_type") not in (None, "rope"):
        refuse(f"rope_type must be rope or None here, got {fields.get('rope_type')!r}")
    return "rope" if fields.get("use_rotary_position_embeddings") else str(fields.get(_TYPE))


def _width(fields: Fields) -> int:
    if fields.get("multi_latent_attention"):
        return int(_needed(fields, "qk_pos_emb_head_dim"))
    width = fields.number("kv_channels")
    if width is None:
        hidden, heads = fields.number("hidden_size"), fields.number("num_attention_heads")
        if hidden is None or heads is None:
            refuse("kv_channels, or hidden_size and num_attention_heads, must be given")
        width = hidden // heads
    return int(width)


def _llama3(fields: Fields) -> dict[str, Any]:
    return {**_LLAMA3, "factor": _number(fields, "rope_scaling_factor", 8.0)}


def _yarn(fields: Fields) -> dict[str, Any]:
    """What is not given is what Megatron-LM's embedding then takes."""
    prefix = "" if fields.get("multi_latent_attention") else "yarn_"
    factor = _needed(fields, "rotary_scaling_factor")
    mscale, all_dim = _number(fields, "mscale", 1.0), _number(fields, "mscale_all_dim", 0.0)
    truncate = fields.get("yarn_correction_range_round_to_int")
    return {
        "factor": factor,
        "original_max_position_embeddings": _number(
            fields, f"{prefix}original_max_position_embeddings", 4096
        ),
        "beta_fast": _number(fields, f"{prefix}beta_fast", 32.0),
        "beta_slow": _number(fields, f"{prefix}beta_slow", 1.0),
        "truncate": truncate is None or truncate,
        # With mscale_all_dim 0 too, where transformers would leave mscale alone.
        "attention_factor": single.yarn_magnitude(factor, mscale)
        / single.yarn_magnitude(factor, all_dim),
    }
