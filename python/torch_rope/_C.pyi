"""The extension module: what the operators' library offers apart from operators."""

from typing import Any

from torch import Tensor

def explain(
    q: Tensor, k: Tensor | None = None, pos: Tensor | None = None, **keywords: Any
) -> dict[str, Any]: ...
def build_info() -> dict[str, Any]: ...

# (inv_freq, attention_factor): float64 (n,) or (A, n) on the CPU, radians per position.
# ValueError on bad values.
def schedules_default(dim: int, base: float, /) -> tuple[Tensor, float]: ...
def schedules_linear(dim: int, base: float, factor: float, /) -> tuple[Tensor, float]: ...
def schedules_ntk(dim: int, base: float, alpha: float, /) -> tuple[Tensor, float]: ...
def schedules_dynamic_ntk(
    dim: int, base: float, factor: float, max_position_embeddings: float, seq_len: float, /
) -> tuple[Tensor, float]: ...
def schedules_yarn(
    dim: int,
    base: float,
    factor: float,
    original_max_position_embeddings: float,
    beta_fast: float,
    beta_slow: float,
    mscale: float | None,
    mscale_all_dim: float | None,
    truncate: bool,
    attention_factor: float | None,
    /,
) -> tuple[Tensor, float]: ...
def schedules_longrope(
    dim: int,
    base: float,
    short_factor: list[float],
    long_factor: list[float],
    original_max_position_embeddings: float,
    max_position_embeddings: float | None,
    factor: float | None,
    seq_len: float | None,
    attention_factor: float | None,
    /,
) -> tuple[Tensor, float]: ...
def schedules_llama3(
    dim: int,
    base: float,
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    original_max_position_embeddings: float,
    /,
) -> tuple[Tensor, float]: ...
def schedules_proportional(
    dim: int, base: float, partial_rotary_factor: float, factor: float, /
) -> tuple[Tensor, float]: ...
def schedules_mrope(
    dim: int, base: float, sections: list[int], interleaved: bool, /
) -> tuple[Tensor, float]: ...
def schedules_axial(axes_dim: list[int], base: float, shared: bool, /) -> tuple[Tensor, float]: ...
