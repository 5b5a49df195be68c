"""Other libraries' rotary functions, with their names and arguments, on these operators.

A module for each library: what calls `vllm`'s function can import the one of `compat.vllm`. What an
argument means is as that library documents it; what is not served raises. None of the libraries is
imported.
"""

from torch_rope.compat import (
    diffusers,
    flash_attn,
    flashinfer,
    liger,
    llama,
    onnx,
    transformer_engine,
    vllm,
)

__all__ = [
    "diffusers",
    "flash_attn",
    "flashinfer",
    "liger",
    "llama",
    "onnx",
    "transformer_engine",
    "vllm",
]
