"""Who is measured: transformers' own rotary code, a model of __sincosf, and torch_rope; and the
oracle. For measure.py and rotations.py.

All get transformers' float32 frequencies for HEAD_DIM and BASE and, but for what "powers" says, are
judged as if these were exact: a model was trained with them. The oracle is torch_rope.reference,
float64 without any code of the kernels, right to 1e-15 (tests/python/test_reference.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama

import torch_rope

HEAD_DIM = 128
PAIRS = HEAD_DIM // 2
BASE = 500000.0

# Start and number of consecutive positions → cos and sin, (rows, PAIRS) each.
Table = Callable[[int, int], tuple[Tensor, Tensor]]
# x (1, S, H, D), positions int64 (S,) → like x
Rotate = Callable[[Tensor, Tensor], Tensor]

_CONFIG = LlamaConfig(
    hidden_size=HEAD_DIM,
    num_attention_heads=1,
    head_dim=HEAD_DIM,
    rope_parameters={"rope_type": "default", "rope_theta": BASE},
)
_ROTARY = modeling_llama.LlamaRotaryEmbedding(_CONFIG)
FREQUENCIES: Tensor = _ROTARY.inv_freq
POWERS: Tensor = torch_rope.schedules.default(dim=HEAD_DIM, base=BASE).inv_freq

# nvcc 13.0 compiles __sincosf, for sm_90, to FMUL.RZ by this float32 and then MUFU.SIN, MUFU.COS.
_INVERSE_TWO_PI = float.fromhex("0x1.45f306p-3")


def transformers_table(dtype: torch.dtype) -> Table:
    """cos and sin as a model of this type gets them; its doubled halves once."""

    def table(start: int, rows: int) -> tuple[Tensor, Tensor]:
        cos, sin = _transformers_cos_sin(torch.arange(start, start + rows), dtype)
        return cos[0, :, :PAIRS], sin[0, :, :PAIRS]

    return table


def _transformers_cos_sin(positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(1, S, HEAD_DIM) each."""
    return _ROTARY(torch.empty(0, dtype=dtype), positions[None])


def truncated(x: Tensor) -> Tensor:
    """float64 → float32, toward zero."""
    nearest = x.float()
    inward = torch.nextafter(nearest, torch.zeros_like(nearest))
    return torch.where(nearest.double().abs() > x.abs(), inward, nearest)


def sincosf_table(start: int, rows: int) -> tuple[Tensor, Tensor]:
    """A model of __sincosf of the float32 angle: its product with 1/2π, and then no further error.

    That product, of two float32, is exact in float64 before it is cut off. The error of the MUFU
    unit itself is left out: 2^-21.2 in [-π, π], as the CUDA C++ Programming Guide has it.
    """
    angles = torch.arange(start, start + rows).float()[:, None] * FREQUENCIES
    turns = truncated(angles.double() * _INVERSE_TWO_PI).double()
    reduced = 2 * math.pi * (turns - turns.round())
    return reduced.cos(), reduced.sin()


def float64_table(frequencies: Tensor) -> Table:
    """Angles, cosines and sines in float64, rounded to float32 at the end."""

    def table(start: int, rows: int) -> tuple[Tensor, Tensor]:
        positions = torch.arange(start, start + rows)
        angles = positions.double()[:, None] * frequencies.double()
        return angles.cos().float(), angles.sin().float()

    return table


def our_table(frequencies: Tensor) -> Table:
    def table(start: int, rows: int) -> tuple[Tensor, Tensor]:
        cos, sin = torch_rope.cos_sin_table(frequencies, rows, start=start).chunk(2, dim=-1)
        return cos, sin

    return table


def exact_table(frequencies: Tensor) -> Table:
    """What the oracle makes of the pair (1, 0): its cosine and sine, in float64."""
    unit = torch.cat((torch.ones(PAIRS), torch.zeros(PAIRS))).double()

    def table(start: int, rows: int) -> tuple[Tensor, Tensor]:
        x = unit.expand(rows, 1, HEAD_DIM)
        pos = torch.arange(start, start + rows)
        rotated = torch_rope.reference.rotate(x, pos, inv_freq=frequencies)
        cos, sin = rotated[:, 0].chunk(2, dim=-1)
        return cos, sin

    return table


def exact(x: Tensor, positions: Tensor) -> Tensor:
    """float64, whatever x is."""
    return torch_rope.reference.rotate(x, positions, inv_freq=FREQUENCIES)


def exact_rounded(x: Tensor, positions: Tensor) -> Tensor:
    """What nobody can do better than in x's type."""
    return exact(x, positions).to(x.dtype)


def transformers_rotate(x: Tensor, positions: Tensor) -> Tensor:
    """As a transformers model of x's type does it: cos and sin in x's type, on (B, H, S, D)."""
    cos, sin = _transformers_cos_sin(positions, x.dtype)
    heads = x.transpose(1, 2)
    return modeling_llama.apply_rotary_pos_emb(heads, heads, cos, sin)[0].transpose(1, 2)


def ours_on_transformers_table(x: Tensor, positions: Tensor) -> Tensor:
    """torch_rope.rotate on the float32 values that transformers computes."""
    cos, sin = _transformers_cos_sin(positions, torch.float32)
    return torch_rope.rotate(x, cos=cos[..., :PAIRS], sin=sin[..., :PAIRS])


def ours(x: Tensor, positions: Tensor) -> Tensor:
    return torch_rope.rotate(x, positions, inv_freq=FREQUENCIES)


@dataclass(frozen=True)
class TableSide:
    name: str
    table: Table
    exact: Table


GIVEN, OF_POWERS = exact_table(FREQUENCIES), exact_table(POWERS)

TABLE_SIDES = (
    TableSide("transformers: float32 angle", transformers_table(torch.float32), GIVEN),
    TableSide("the same, as a bfloat16 model gets it", transformers_table(torch.bfloat16), GIVEN),
    TableSide("a model of `__sincosf` of that angle", sincosf_table, GIVEN),
    TableSide("float64 angle, float32 table", float64_table(FREQUENCIES), GIVEN),
    TableSide("torch_rope", our_table(FREQUENCIES), GIVEN),
)
POWER_SIDES = (
    TableSide("transformers: float32 angle", transformers_table(torch.float32), OF_POWERS),
    TableSide("float64 angle, float32 table", float64_table(POWERS), OF_POWERS),
    TableSide("torch_rope", our_table(POWERS), OF_POWERS),
)
ROTATIONS: dict[str, Rotate] = {
    "transformers": transformers_rotate,
    "torch_rope on transformers' table": ours_on_transformers_table,
    "torch_rope": ours,
    "exact, rounded once": exact_rounded,
}
