"""What a configuration of transformers says about its rotation, in one form: version 4 keeps it in
`rope_scaling` and fields of the configuration itself, version 5 in `rope_parameters`, where a model
whose layers differ nests one for each type of layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch_rope.configs.defaults import refuse_missing
from torch_rope.configs.fields import Fields, checked_seq_len, refuse
from torch_rope.configs.widths import head_dim_of, layer_config, rotary_dim_of

# Names of types that stand for another: what Phi-3 called LongRoPE, and M-RoPE, whose sections say
# which axis a pair counts and leave its frequency alone.
_ALIASES = {"su": "longrope", "mrope": "default", "none": "default"}
_COMMON = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
# Of the rotation, but not of its frequencies: the axes of pairs, and a factor of q that depends on
# the position (Ministral 3), which is to be multiplied to q.
_BESIDE = {"mrope_section", "mrope_interleaved", "llama_4_scaling_beta", "max_position_embeddings"}
_LENGTH = "original_max_position_embeddings"
_KEYS: dict[str, set[str]] = {
    "default": set(),
    "linear": {"factor"},
    "dynamic": {"factor", "alpha"},
    "yarn": {
        "factor",
        _LENGTH,
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "truncate",
    },
    "longrope": {"factor", _LENGTH, "attention_factor", "short_factor", "long_factor"},
    "llama3": {"factor", _LENGTH, "low_freq_factor", "high_freq_factor"},
    "proportional": {"factor"},
}
_NEEDED: dict[str, set[str]] = {
    "linear": {"factor"},
    "longrope": {"short_factor", "long_factor"},
    "llama3": {"factor", "low_freq_factor", "high_freq_factor"},
}
_EXTENDING = {"yarn", "longrope", "llama3"}  # from a length that they know
_BASES = ("rope_theta", "rotary_emb_base", "rotary_embedding_base", "global_rope_theta")
# Their model code has it as a number.
_FIXED_BASES = {"gptj": 10000.0, "codegen": 10000.0}
# Fields of a configuration itself, one of which has to be there.
SAYING = {
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "rotary_emb_base",
    "rotary_embedding_base",
    "global_rope_theta",
    "local_rope_theta",
    "rope_local_base_freq",
    "rotary_dim",
    "rotary_pct",
    "rope_pct",
    "qk_rope_head_dim",
}
# By the model, or by a field that says it: what no schedule of one layer's frequencies can be.
UNSUPPORTED = {
    "eomt_dinov3": "its positions are coordinates in a picture: see torch_rope.fixed_point",
    "ernie4_5_vl_moe": "its frequencies are in the order of M-RoPE's sections",
    "ernie4_5_vl_moe_text": "its frequencies are in the order of M-RoPE's sections",
}
UNSUPPORTED_FIELDS = {
    "layer_rope_theta": "each layer has a base of its own",
    "rope_scaling_layers": "some layers alone are scaled",
}
# Names with "rope" or "rotary" that change no frequency: the pairing, whether or in which layers
# there is a rotation, what is in rope_parameters too, and what transformers notes for itself.
_HARMLESS = {
    "rope_interleave",
    "rope_interleaved",
    "no_rope_layers",
    "no_rope_layer_interval",
    "partial_rotary_factor",
    "use_mem_rope",
    "compress_rope_theta",
    "ignore_keys_at_rope_validation",
    "indexer_rope_interleave",
    "rotary",
    "_rope_type_labels",
}


@dataclass(frozen=True)
class Parameters:
    rope_type: str
    base: float
    head_dim: int
    rotary_dim: int  # an odd one is rounded up where pairs are made
    partial: float  # the part of the head that turns
    max_position_embeddings: int | None
    seq_len: int | None
    given: Mapping[str, Any] = field(default_factory=dict)  # the type's own keys

    def length(self) -> int:
        """max_position_embeddings, where a type needs it."""
        if self.max_position_embeddings is None:
            refuse(f"rope_type {self.rope_type} needs max_position_embeddings")
        return self.max_position_embeddings

    def original_length(self) -> int:
        """Of the context that a type extends: max_position_embeddings where none is given."""
        length: int = self.given[_LENGTH] if _LENGTH in self.given else self.length()
        return length


def read(fields: Fields, layer_type: str | None, seq_len: int | None) -> Parameters:
    """Raises ValueError for what is missing, unknown or contradictory, naming the key."""
    inner = fields.of_language_model
    if inner is not None and not _says_anything(fields):
        return read(inner, layer_type, seq_len)
    _refuse_unsupported(fields)
    _refuse_unknown_fields(fields)
    if not _says_anything(fields):
        refuse(f"no key of a rotary embedding: one of {', '.join(sorted(SAYING))} is needed")
    given, is_nested = _of_layer(fields, layer_type)
    refuse_missing(fields, given)
    rope_type = _type_of(given)
    _refuse_unknown_keys(rope_type, given)
    # transformers looks for this one beside the nested parameters, where it is not.
    if is_nested:
        given.pop("truncate", None)
    layer = layer_config(fields, layer_type)
    head_dim = head_dim_of(layer, layer_type)
    partial = given.get("partial_rotary_factor")
    if partial is None:
        partial = layer.number("partial_rotary_factor", "rotary_pct", "rope_pct")
    if rope_type in _EXTENDING and not is_nested and fields.get(_LENGTH) is not None:
        given[_LENGTH] = fields.get(_LENGTH)
    return Parameters(
        rope_type=rope_type,
        base=_base(fields, given),
        head_dim=head_dim,
        rotary_dim=rotary_dim_of(layer, partial, head_dim),
        partial=1.0 if partial is None else partial,
        max_position_embeddings=layer.get("max_position_embeddings"),
        seq_len=checked_seq_len(seq_len),
        given={key: given[key] for key in _KEYS[rope_type] if given.get(key) is not None},
    )


def _says_anything(fields: Fields) -> bool:
    # Dots 3's layers differ in others of these, which transformers then raises for when read.
    if fields.get("rope_parameters") is not None:
        return True
    return any(fields.get(name) is not None for name in SAYING)


def _refuse_unsupported(fields: Fields) -> None:
    reason = UNSUPPORTED.get(fields.get("model_type") or "")
    if reason is not None:
        refuse(f"model_type {fields.get('model_type')} is not supported: {reason}")
    for name, reason in UNSUPPORTED_FIELDS.items():
        if fields.get(name) is not None:
            refuse(f"{name} is not supported: {reason}")
    if fields.get("rotary") is False:
        refuse("rotary is False: there is no rotation")


def _refuse_unknown_fields(fields: Fields) -> None:
    known = SAYING | _HARMLESS
    for name in fields:
        if ("rope" in name or "rotary" in name) and name not in known:
            refuse(f"unknown key {name}")


def _refuse_unknown_keys(rope_type: str, given: Mapping[str, Any]) -> None:
    known = _COMMON | _BESIDE | _KEYS[rope_type]
    for key in given:
        if key not in known:
            refuse(f"unknown key {key} of rope_type {rope_type}")
    for key in _NEEDED.get(rope_type, ()):
        if given.get(key) is None:
            refuse(f"rope_type {rope_type} needs {key}")


def _of_layer(fields: Fields, layer_type: str | None) -> tuple[dict[str, Any], bool]:
    """A copy of the parameters of these layers without what is None, and whether they are nested
    by types of layers."""
    raw = fields.get("rope_parameters", "rope_scaling") or {}
    if not isinstance(raw, Mapping):
        refuse(f"rope_parameters must be a dict, got {raw!r}")
    labels = [key for key, value in raw.items() if isinstance(value, Mapping)]
    if labels:
        if layer_type is None:
            refuse(f"the parameters differ by layer: layer_type must be one of {', '.join(labels)}")
        if not isinstance(raw.get(layer_type), Mapping):
            refuse(f"layer_type must be one of {', '.join(labels)}, got {layer_type!r}")
        raw = raw[layer_type]
    elif layer_type is not None:
        raw = _of_version_4(fields, layer_type) or raw
    return {key: value for key, value in raw.items() if value is not None}, bool(labels)


def _of_version_4(fields: Fields, layer_type: str) -> Mapping[str, Any] | None:
    """Gemma 3 and ModernBERT had a base of its own for layers with a sliding window, OLMo 3 the
    same without the scaling."""
    types = fields.get("layer_types")
    if types is not None and layer_type not in types:
        names = ", ".join(sorted(set(types)))
        refuse(f"layer_type must be one of {names}, got {layer_type!r}")
    local = fields.get("rope_local_base_freq", "local_rope_theta")
    if local is None and fields.get("model_type") == "olmo3":
        local = fields.number("rope_theta")
    if layer_type == "sliding_attention" and local is not None:
        return {"rope_type": "default", "rope_theta": local}
    return None


def _type_of(given: Mapping[str, Any]) -> str:
    name = given.get("rope_type", given.get("type", "default"))
    rope_type = _ALIASES.get(name, name)
    if rope_type not in _KEYS:
        refuse(f"rope_type must be one of {', '.join(_KEYS)}, got {name!r}")
    return str(rope_type)


def _base(fields: Fields, given: Mapping[str, Any]) -> float:
    base = given.get("rope_theta")
    if base is None:
        base = fields.number(*_BASES)
    if base is None and fields.get("model_type") in _FIXED_BASES:
        base = _FIXED_BASES[fields.get("model_type")]
    if base is None:
        refuse("rope_theta is missing, and a dict carries no default of its class")
    return float(base)
