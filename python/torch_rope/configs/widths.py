"""How wide a head is and how much of it is rotated, as transformers' configurations say it: whole
heads, a part of them, a part that is a tensor of its own, or other heads in some layers.
"""

from __future__ import annotations

from torch_rope.configs.fields import Fields, refuse


def layer_config(fields: Fields, layer_type: str | None) -> Fields:
    """Gemma 4 has heads of different widths; transformers keeps a configuration for each type."""
    if layer_type is None or not fields.get("is_heterogeneous"):
        return fields
    try:
        return Fields(fields.get("per_layer_config")[layer_type])
    except ValueError:  # layers of this type differ among themselves, but not in this
        return fields


def head_dim_of(fields: Fields, layer_type: str | None) -> int:
    # DeepSeek rotates a part of the head that is a tensor of its own. Its class calls that part
    # head_dim; a file of its does not, or means the whole.
    names = ["head_dim", "attention_head_dim", "kv_channels"]
    head_dim = fields.number(*(["qk_rope_head_dim"] if fields.is_dict else []), *names)
    if fields.is_dict and layer_type is not None:
        head_dim = _head_dim_in_file(fields, layer_type) or head_dim
    if head_dim is None:
        width = fields.number("hidden_size", "n_embd", "d_model")
        heads = fields.number("num_attention_heads", "n_head", "n_heads")
        if width is None or heads is None:
            refuse("head_dim, or hidden_size and num_attention_heads, must be given")
        head_dim = width // heads
    return int(head_dim)


def _head_dim_in_file(fields: Fields, layer_type: str) -> int | None:
    """What a file of Gemma 4 says of these layers alone."""
    if layer_type == "full_attention" and fields.get("global_head_dim") is not None:
        return int(fields.get("global_head_dim"))
    own = {int(layer): config for layer, config in (fields.get("per_layer_config") or {}).items()}
    layers = [
        layer for layer, name in enumerate(fields.get("layer_types") or ()) if name == layer_type
    ]
    widths = {own.get(layer, {}).get("head_dim") for layer in layers}
    if len(widths) > 1:
        refuse(f"per_layer_config: layers of {layer_type} have heads of different widths")
    return widths.pop() if widths else None


def rotary_dim_of(fields: Fields, partial: float | None, head_dim: int) -> int:
    if partial is not None:
        part = fields.number("qk_rope_head_dim") if fields.is_dict else None
        return int(head_dim * partial) if part is None else _latent(fields, partial, int(part))
    # A class of version 5 has made a partial_rotary_factor of it, or does not use it.
    counts = fields.is_dict or fields.get("rope_parameters") is None
    return int((fields.number("rotary_dim") if counts else None) or head_dim)


def _latent(fields: Fields, partial: float, part: int) -> int:
    """Of a file that has the part that is rotated twice: in components, and of the whole head."""
    whole = fields.number("head_dim")
    if whole is None:
        whole = (fields.number("qk_nope_head_dim") or 0) + part
    if part not in (int(part * partial), int(whole * partial)):
        refuse(f"partial_rotary_factor {partial} of {whole} contradicts qk_rope_head_dim {part}")
    return part
