"""Schedules from GGUF metadata, with the angles that llama.cpp makes of it.

llama.cpp computes them in float32; here they are exact, so that only its roundings differ. It
always rounds the ends of YaRN's ramp to whole pairs, also where transformers does not (gpt-oss).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torch_rope import schedules
from torch_rope.configs.fields import Fields, checked_seq_len, refuse
from torch_rope.configs.single import yarn_magnitude
from torch_rope.schedule import Schedule

_ARCHITECTURE = "general.architecture"
_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_KEYS = {
    "dimension_count",
    "dimension_count_swa",
    "dimension_sections",  # the axes of pairs, which change no frequency
    "freq_base",
    "freq_base_swa",
    "scale_linear",  # the older name of scaling.factor
    "scaling.type",
    "scaling.factor",
    "scaling.alpha",
    "scaling.attn_factor",
    "scaling.original_context_length",
    "scaling.finetuned",
    "scaling.yarn_log_multiplier",
    "scaling.yarn_ext_factor",
    "scaling.yarn_attn_factor",
    "scaling.yarn_beta_fast",
    "scaling.yarn_beta_slow",
}
_TYPES = ("none", "linear", "yarn", "longrope")
_LAYER_TYPES = ("full_attention", "sliding_attention")
# llama.cpp has numbers of these architectures in its code: bases of layers with a sliding window
# (None: that of the others), which are not squeezed, ...
_SLIDING_BASES = {"gemma3": 1e4, "gemma3n": 1e4, "gemma-embedding": 1e4, "olmo2": None}
# ... whose attention factor is 1, ...
_UNSCALED = {"olmo2"}
# ... or which do without rope_freqs.weight, ...
_FULL_FACTORS = {"gemma4"}
# ... and what it makes of yarn_log_multiplier, YaRN's mscale_all_dim: one tenth of it is written
# for DeepSeek, whose mscale is the same number; elsewhere mscale is 1.
_EQUAL_MSCALES = {"deepseek2"}
_MSCALES = {"mistral3"}


def mark(fields: Fields) -> str | None:
    """A key that tells this format from others."""
    if not fields.is_dict:
        return None
    return next((name for name in fields if name == _ARCHITECTURE or ".rope." in name), None)


def schedule(fields: Fields, layer_type: str | None, seq_len: int | None) -> Schedule:
    """Raises ValueError for what is missing, unknown or not told by the metadata, naming it."""
    metadata = _Metadata(fields)
    rotation = _of_layer(metadata, layer_type)
    factors = _factors(metadata, rotation, checked_seq_len(seq_len))
    inv_freq = schedules.default(rotation.dim, rotation.base).inv_freq / factors
    if not rotation.extension:
        return Schedule(inv_freq / rotation.factor, rotation.attention_factor)
    kept = rotation.extension * _kept(metadata, rotation)
    return Schedule(
        inv_freq / rotation.factor * (1 - kept) + inv_freq * kept,
        rotation.attention_factor * _magnitude(metadata, rotation.factor),
    )


class _Metadata:
    def __init__(self, fields: Fields) -> None:
        architecture = fields.get(_ARCHITECTURE)
        if not isinstance(architecture, str):
            refuse(f"{_ARCHITECTURE} must be a string, got {architecture!r}")
        self.architecture = architecture
        self.fields = fields
        known = {f"{architecture}.rope.{key}" for key in _KEYS}.union(_TENSORS)
        for name in fields:
            if "rope" in name and name not in known:
                refuse(f"unknown key {name}")
        if not any(f"{architecture}.rope." in name for name in fields):
            refuse(f"no key of a rotary embedding: {architecture}.rope.* is needed")

    def name(self, key: str) -> str:
        return f"{self.architecture}.{key}"

    def get(self, key: str) -> Any:
        return self.fields.get(self.name(key))

    def number(self, key: str) -> float | None:
        return self.fields.number(self.name(key))

    def needed(self, key: str) -> float:
        value = self.number(key)
        if value is None:
            refuse(f"{self.name(key)} is missing")
        return value

    def scaling_type(self) -> str:
        scaling = self.get("rope.scaling.type")
        if scaling is not None and scaling not in _TYPES:
            refuse(f"{self.name('rope.scaling.type')} must be one of {_TYPES}, got {scaling!r}")
        return scaling or "linear"

    def original_length(self) -> float:
        length = self.number("rope.scaling.original_context_length")
        return self.needed("context_length") if length is None else length


@dataclass(frozen=True)
class _Rotation:
    """Of one layer, as ggml is asked for it."""

    base: float
    dim: int
    factor: float  # by how much positions are squeezed
    extension: float  # how much of YaRN there is: 0 is none
    attention_factor: float
    has_factors: bool  # whether the tensors count in it


def _of_layer(metadata: _Metadata, layer_type: str | None) -> _Rotation:
    names = ", ".join(_LAYER_TYPES)
    if layer_type is not None and layer_type not in _LAYER_TYPES:
        refuse(f"layer_type must be one of {names}, got {layer_type!r}")
    full = _full(metadata)
    if not _differs_by_layer(metadata):
        return full
    if layer_type is None:
        refuse(f"the rotation differs by layer: layer_type must be one of {names}")
    return full if layer_type == "full_attention" else _sliding(metadata, full)


def _differs_by_layer(metadata: _Metadata) -> bool:
    keys = ("rope.freq_base_swa", "rope.dimension_count_swa")
    if any(metadata.get(key) is not None for key in keys):
        return True
    return metadata.architecture in _SLIDING_BASES and bool(
        metadata.number("attention.sliding_window")
    )


def _full(metadata: _Metadata) -> _Rotation:
    factor = metadata.number("rope.scaling.factor")
    if factor is None:
        factor = metadata.number("rope.scale_linear")
    scaling = metadata.scaling_type()
    extension = metadata.number("rope.scaling.yarn_ext_factor")
    if extension is None or extension < 0:
        extension = float(scaling == "yarn")
    dim = _dim(metadata)
    attention_factor = metadata.number("rope.scaling.attn_factor")
    return _Rotation(
        base=_base(metadata, dim),
        dim=dim,
        factor=float(factor) if factor and scaling != "none" else 1.0,
        extension=float(extension),
        attention_factor=1.0 if attention_factor is None else float(attention_factor),
        has_factors=True,
    )


def _sliding(metadata: _Metadata, full: _Rotation) -> _Rotation:
    architecture = metadata.architecture
    known = architecture in _SLIDING_BASES
    if not known and (full.factor != 1 or full.extension or full.attention_factor != 1):
        refuse(f"the metadata of {architecture} does not tell whether sliding_attention is scaled")
    has_factors = architecture not in _FULL_FACTORS
    if not known and has_factors and metadata.fields.get(*_TENSORS) is not None:
        refuse(f"the metadata of {architecture} does not tell whether sliding_attention is divided")
    base = metadata.number("rope.freq_base_swa")
    if base is None:
        if not known:
            refuse(f"{metadata.name('rope.freq_base_swa')} is missing")
        base = _SLIDING_BASES[architecture] or full.base
    dim = metadata.number("rope.dimension_count_swa")
    return _Rotation(
        base=float(base),
        dim=full.dim if dim is None else int(dim),
        factor=1.0,
        extension=0.0,
        attention_factor=1.0 if architecture in _UNSCALED else full.attention_factor,
        has_factors=has_factors,
    )


def _dim(metadata: _Metadata) -> int:
    dim = metadata.number("rope.dimension_count")
    if dim is None:
        dim = metadata.number("attention.key_length")
    if dim is None:
        dim = metadata.needed("embedding_length") // metadata.needed("attention.head_count")
    if dim == 0:
        refuse(f"{metadata.name('rope.dimension_count')} is 0: these layers are not rotated")
    return int(dim)


def _base(metadata: _Metadata, dim: int) -> float:
    base = metadata.number("rope.freq_base")
    base = 10000.0 if base is None else float(base)  # what a file without it means
    alpha = metadata.number("rope.scaling.alpha")
    if not alpha:
        return base
    if not metadata.architecture.startswith("hunyuan"):
        refuse(f"{metadata.name('rope.scaling.alpha')} is of Hunyuan's models alone")
    head_dim = metadata.number("attention.key_length") or dim
    return float(base * alpha ** (head_dim / (head_dim - 2)))


def _factors(metadata: _Metadata, rotation: _Rotation, seq_len: int | None) -> Tensor:
    """What the frequencies are divided by."""
    ones = torch.ones(rotation.dim // 2, dtype=torch.float64, device="cpu")
    if not rotation.has_factors:
        return ones
    of_all, long, short = _TENSORS
    name = of_all
    if metadata.fields.get(of_all) is None:
        if metadata.fields.get(long, short) is None and not _is_longrope(metadata):
            return ones
        is_long = seq_len is not None and seq_len > metadata.original_length()
        name = long if is_long else short
    given = metadata.fields.get(name)
    if given is None:
        refuse(f"LongRoPE needs the tensor {name}: add it to the metadata under this name")
    factors = torch.as_tensor(given, dtype=torch.float64, device="cpu")
    if factors.shape != ones.shape:
        shape = tuple(factors.shape)
        refuse(f"{name} must have {len(ones)} entries, one for each pair, got shape {shape}")
    return factors


def _is_longrope(metadata: _Metadata) -> bool:
    if metadata.scaling_type() == "longrope":
        return True
    # Files of Phi-3 say it by a factor of attention alone.
    is_extended = metadata.number("rope.scaling.attn_factor") is not None
    return metadata.architecture == "phi3" and is_extended


def _kept(metadata: _Metadata, rotation: _Rotation) -> Tensor:
    """How much of the unscaled frequency each pair keeps."""

    def pair_of(key: str, otherwise: float) -> float:
        rotations = metadata.number(f"rope.scaling.{key}")
        rotations = otherwise if rotations is None else rotations
        turned = metadata.original_length() / (rotations * 2 * math.pi)
        return rotation.dim * math.log(turned) / (2 * math.log(rotation.base))

    low = max(0, math.floor(pair_of("yarn_beta_fast", 32.0)))
    high = min(rotation.dim - 1, math.ceil(pair_of("yarn_beta_slow", 1.0)))
    pairs = torch.arange(rotation.dim // 2, dtype=torch.float64, device="cpu")
    return 1 - ((pairs - low) / max(0.001, high - low)).clamp(0, 1)


def _magnitude(metadata: _Metadata, factor: float) -> float:
    """YaRN's own attention factor, by which llama.cpp multiplies scaling.attn_factor."""
    magnitude = yarn_magnitude(factor)
    all_dim = metadata.number("rope.scaling.yarn_log_multiplier")
    if all_dim:
        if metadata.architecture not in _EQUAL_MSCALES | _MSCALES:
            name = metadata.name("rope.scaling.yarn_log_multiplier")
            refuse(f"{name} is not supported: its meaning differs by architecture")
        is_equal = metadata.architecture in _EQUAL_MSCALES
        magnitude = 1.0 if is_equal else magnitude / yarn_magnitude(factor, all_dim)
    # Converted from a configuration's attention_factor, and not read: right where it says the same.
    given = metadata.number("rope.scaling.yarn_attn_factor")
    if given is not None and given != 1 and not math.isclose(given, magnitude, rel_tol=1e-5):
        name = metadata.name("rope.scaling.yarn_attn_factor")
        refuse(f"{name} is {given}, but llama.cpp does not read it and has {magnitude:.6g}")
    return magnitude
