"""Configurations as their models were published with, in published/*.json, and transformers' own
rotation for one of them: the module that holds its frequencies, and what it makes of q and k.

`source` is the file that was published, `seen_in` where it was read if not there. Of each, the keys
that say something of the rotation are kept. `oracle` is the model_type whose class is meant where
transformers has none of the file's.
"""

import copy
import functools
import importlib
import inspect
import json
from pathlib import Path

import torch
from transformers import AutoConfig

FILES = sorted((Path(__file__).parent / "published").glob("*.json"))
MAKES_THEM = "compute_default_rope_parameters"
HALF_SPLIT, INTERLEAVED = "half-split", "interleaved"


def published():
    """Name to entry."""
    return {
        name: entry
        for path in FILES
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items()
    }


def layers_of(entry):
    """(layer type, rotary_dim, base): once for all layers, or for each type."""
    if isinstance(entry["base"], dict):
        return [(name, entry["rotary_dim"][name], base) for name, base in entry["base"].items()]
    return [(None, entry["rotary_dim"], entry["base"])]


def config_of(entry):
    """The configuration object of the language model."""
    # Its class writes into the dicts that it is given.
    fields = copy.deepcopy(entry["config"].get("text_config", entry["config"]))
    scaling = fields.get("rope_scaling") or {}
    if scaling.get("type") == "su":  # LongRoPE's first name, which it no longer knows
        scaling["type"] = "longrope"
    model_type = fields.pop("model_type")
    config = AutoConfig.for_model(entry.get("oracle", model_type), **fields)
    return config.get_text_config()


def modeling_of(config):
    package = type(config).__module__.rsplit(".", 1)[0]
    return importlib.import_module(f"{package}.modeling_{package.rsplit('.', 1)[1]}")


def rotary_of(config):
    """transformers' rotary embedding of this configuration; None: a table is made without one."""
    for member in vars(modeling_of(config)).values():
        if inspect.isclass(member) and hasattr(member, MAKES_THEM) and "Vision" not in str(member):
            return member(config)
    return None


def frequencies_of(config, layer_type, seq_len):
    """(inv_freq, attention factor) after a call on seq_len positions; None: after none."""
    rotary = rotary_of(config)
    if seq_len is not None:
        rotary(torch.zeros(1), torch.tensor([[seq_len - 1]]))
    prefix = f"{layer_type}_" if layer_type else ""
    return getattr(rotary, f"{prefix}inv_freq"), getattr(rotary, f"{prefix}attention_scaling")


def rotated(config, layer_type, q, k, positions):
    """q and k (batch, heads, sequence, rotary_dim), rotated by transformers; in some models with
    the components in another order, the same in both."""
    modeling, rotary = modeling_of(config), rotary_of(config)
    if rotary is None:
        sine, cosine = modeling.create_sinusoidal_positions(64, q.shape[-1])[positions].chunk(2, -1)
        apply = functools.partial(modeling.apply_rotary_pos_emb, sin=sine[None], cos=cosine[None])
        return [apply(x.transpose(1, 2)).transpose(1, 2) for x in (q, k)]
    angles = rotary(q, positions[None], **({"layer_type": layer_type} if layer_type else {}))
    if hasattr(modeling, "apply_rotary_emb"):
        return modeling.apply_rotary_emb(q, k, angles)
    if getattr(config, "rope_interleave", False):
        return modeling.apply_rotary_pos_emb_interleave(q, k, *angles)
    if "x" in inspect.signature(modeling.apply_rotary_pos_emb).parameters:
        return [modeling.apply_rotary_pos_emb(x, *angles) for x in (q, k)]
    return modeling.apply_rotary_pos_emb(q, k, *angles)
