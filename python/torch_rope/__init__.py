"""Rotary position embeddings for PyTorch: exact phases, one rotation on CPU and CUDA.

`import torch_rope` loads torch.ops.rope.*; the functions here are those operators with types.
"""

from torch_rope import _fake as _fake
from torch_rope import compat, reference, schedules
from torch_rope import integrations as integrations
from torch_rope._library import cmake_prefix_path
from torch_rope.coordinates import fixed_point
from torch_rope.module import RotaryEmbedding
from torch_rope.ops import (
    apply,
    apply_qkv,
    build_info,
    cos_sin_table,
    explain,
    rerotate,
    rotate,
    rotate_qk,
    turns,
)
from torch_rope.schedule import Schedule
from torch_rope.weights import to_half_split, to_interleaved

__version__: str = build_info()["version"]

__all__ = [
    "RotaryEmbedding",
    "Schedule",
    "__version__",
    "apply",
    "apply_qkv",
    "build_info",
    "cmake_prefix_path",
    "compat",
    "cos_sin_table",
    "explain",
    "fixed_point",
    "reference",
    "rerotate",
    "rotate",
    "rotate_qk",
    "schedules",
    "to_half_split",
    "to_interleaved",
    "turns",
]
