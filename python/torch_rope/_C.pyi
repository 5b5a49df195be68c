"""The extension module: what the operators' library offers apart from operators."""

from typing import Any

from torch import Tensor

def explain(
    q: Tensor, k: Tensor | None = None, pos: Tensor | None = None, **keywords: Any
) -> dict[str, Any]: ...
def build_info() -> dict[str, Any]: ...

# Frequencies in radians per position: float64, (dim / 2,), on the CPU. ValueError on bad values.
def schedules_default(dim: int, base: float) -> Tensor: ...
def schedules_linear(dim: int, base: float, factor: float) -> Tensor: ...
def schedules_ntk(dim: int, base: float, alpha: float) -> Tensor: ...
def schedules_llama3(
    dim: int,
    base: float,
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    original_max_position_embeddings: float,
) -> Tensor: ...
