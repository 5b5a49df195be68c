"""Frequencies in transformers' own float32 arithmetic, so that they are its own to the bit.

The builders of torch_rope.schedules are the exact ones, with the formulas and their sources; here
only the order of roundings matters. Tensors are float32, numbers Python's float64, on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torch_rope.configs.fields import refuse
from torch_rope.configs.parameters import Parameters

Result = tuple[Tensor, float]


def _powers(base: float | Tensor, dim: int, width: int | None = None) -> Tensor:
    """base^(2i/width) of the pairs i of dim components; width None: as wide as these."""
    exponents = torch.arange(0, dim, 2, dtype=torch.float32, device="cpu") / (width or dim)
    powers: Tensor = base**exponents
    return powers


def _default(parameters: Parameters) -> Result:
    return 1.0 / _powers(parameters.base, parameters.rotary_dim), 1.0


def _linear(parameters: Parameters) -> Result:
    inv_freq, _ = _default(parameters)
    return inv_freq / parameters.given["factor"], 1.0


def _dynamic(parameters: Parameters) -> Result:
    base, dim, given = parameters.base, parameters.rotary_dim, parameters.given
    if "alpha" in given:  # Hunyuan's: the same for every length
        return 1.0 / _powers(base * given["alpha"] ** (dim / (dim - 2)), dim), 1.0
    if "factor" not in given:
        refuse("rope_type dynamic needs factor")
    length = parameters.length()
    if parameters.seq_len is None or parameters.seq_len <= length:
        return _default(parameters)
    # A model finds the length in its positions: from there on it is a tensor, and float32.
    seq_len = torch.tensor(parameters.seq_len, device="cpu")
    factor = given["factor"]
    stretched = base * ((factor * seq_len / length) - (factor - 1)) ** (dim / (dim - 2))
    return 1.0 / _powers(stretched, dim), 1.0


def yarn_magnitude(factor: float, weight: float = 1) -> float:
    """By how much YaRN enlarges cos and sin, with an mscale as weight."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def yarn_factors(parameters: Parameters) -> tuple[float, float]:
    """By how much positions are squeezed, and the attention factor."""
    given = parameters.given
    factor = given.get("factor")
    if factor is None:
        factor = parameters.length() / parameters.original_length()
    attention_factor = given.get("attention_factor")
    if attention_factor is None:
        mscale, all_dim = given.get("mscale"), given.get("mscale_all_dim")
        attention_factor = yarn_magnitude(factor)
        if mscale and all_dim:
            attention_factor = yarn_magnitude(factor, mscale) / yarn_magnitude(factor, all_dim)
    return factor, float(attention_factor)


def _yarn(parameters: Parameters) -> Result:
    base, dim, given = parameters.base, parameters.rotary_dim, parameters.given
    length = parameters.original_length()
    factor, attention_factor = yarn_factors(parameters)

    def pair_of(rotations: float) -> float:
        return (dim * math.log(length / (rotations * 2 * math.pi))) / (2 * math.log(base))

    low = pair_of(given.get("beta_fast") or 32)
    high = pair_of(given.get("beta_slow") or 1)
    if given.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    pairs = torch.arange(dim // 2, dtype=torch.float32, device="cpu")
    kept = 1 - torch.clamp((pairs - low) / (high - low), 0, 1)
    powers = _powers(base, dim)
    inv_freq = (1.0 / (factor * powers)) * (1 - kept) + (1.0 / powers) * kept
    return inv_freq, attention_factor


def _longrope(parameters: Parameters) -> Result:
    given = parameters.given
    length = parameters.original_length()
    factor = given.get("factor")
    if factor is None:
        factor = parameters.length() / length
    attention_factor = given.get("attention_factor")
    if attention_factor is None:
        growth = math.log(factor) / math.log(length) if factor > 1.0 else 0.0
        attention_factor = math.sqrt(1 + growth)
    is_long = parameters.seq_len is not None and parameters.seq_len > length
    name = "long_factor" if is_long else "short_factor"
    factors = torch.tensor(given[name], dtype=torch.float32, device="cpu")
    powers = _powers(parameters.base, parameters.rotary_dim)
    if len(factors) != len(powers):
        refuse(f"{name} must have {len(powers)} entries, one for each pair, got {len(factors)}")
    return 1.0 / (factors * powers), float(attention_factor)


def _llama3(parameters: Parameters) -> Result:
    given = parameters.given
    length = parameters.original_length()
    factor, low, high = (given[k] for k in ("factor", "low_freq_factor", "high_freq_factor"))
    inv_freq, _ = _default(parameters)
    wavelength = 2 * math.pi / inv_freq
    is_long, is_short = wavelength > length / low, wavelength < length / high
    scaled = torch.where(is_long, inv_freq / factor, inv_freq)
    smooth = (length / wavelength - low) / (high - low)
    between = (1 - smooth) * scaled / factor + smooth * scaled
    return torch.where(~is_short * ~is_long, between, scaled), 1.0


def _proportional(parameters: Parameters) -> Result:
    head_dim = parameters.head_dim
    partial = parameters.partial
    turning = int(partial * head_dim // 2)
    inv_freq = torch.zeros(head_dim // 2, dtype=torch.float32, device="cpu")
    inv_freq[:turning] = 1.0 / _powers(parameters.base, 2 * turning, head_dim)
    return inv_freq / parameters.given.get("factor", 1.0), 1.0


FREQUENCIES: dict[str, Callable[[Parameters], Result]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
    "proportional": _proportional,
}
