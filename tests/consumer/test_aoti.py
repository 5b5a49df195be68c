"""A model that AOTInductor has compiled runs in C++, without Python.

The program is built on the package as pip has installed it, and only links it: librope.so registers
the operators that the model's package names.
"""

import re
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from programs import succeed
from torch import nn
from torch.export import Dim
from torch.nn.functional import scaled_dot_product_attention

import torch_rope
from torch_rope import RotaryEmbedding, schedules

HERE = Path(__file__).resolve().parent
H, K, D = 4, 2, 16
WIDTH = H * D


class Attention(nn.Module):
    """One that rotates a packed projection in place, then one on separate projections."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.packed, self.q, self.k, self.v = (
            nn.Parameter(torch.randn(WIDTH, heads * D, generator=generator) / 8)
            for heads in (H + 2 * K, H, K, K)
        )
        self.rope = RotaryEmbedding(schedules.default(D, 10000.0), table_rows=8)

    def forward(self, x, pos):
        qkv = (x @ self.packed).unflatten(-1, (-1, D))
        torch_rope.apply_qkv(qkv, pos, num_heads_q=H, num_heads_k=K)
        x = self.attend(*qkv.split((H, K, K), dim=2))
        q, k, v = ((x @ w).unflatten(-1, (-1, D)) for w in (self.q, self.k, self.v))
        return self.attend(*self.rope(q, k, pos), v)

    def attend(self, *heads):
        q, k, v = (t.transpose(1, 2) for t in heads)
        result = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return result.transpose(1, 2).flatten(2)


def inputs(tokens):
    x = torch.randn(2, tokens, WIDTH, generator=torch.Generator().manual_seed(tokens))
    return x, torch.arange(3, 3 + tokens)


@pytest.fixture(scope="module")
def prefix():
    return torch_rope.cmake_prefix_path


@pytest.fixture
def run_in_cpp(build, tmp_path, toolless):
    """run_in_cpp(package, x, pos) returns the result of the C++ program, which has x's extents."""
    program = build(HERE / "aoti", f"Python_EXECUTABLE={sys.executable}") / "run"
    files = [tmp_path / name for name in ("x", "positions", "result")]

    def run(package, *given):
        for file, tensor in zip(files, given, strict=False):
            file.write_bytes(tensor.numpy().tobytes())
        succeed(program, package, given[1].numel(), *files, env=toolless)
        result = bytearray(files[-1].read_bytes())
        return torch.frombuffer(result, dtype=torch.float32).view_as(given[0])

    return run


def operators_of(package):
    """Of rope, that the package calls: rotate_qk was found to need no memory of its own."""
    with zipfile.ZipFile(package) as files:
        text = b"".join(files.read(name) for name in files.namelist() if name.endswith(".json"))
    return [name.decode() for name in re.findall(rb'"target": "(rope::\w+)"', text)]


@torch.no_grad()
def test_model(run_in_cpp, tmp_path):
    """The bits of eager mode, in C++ and where Python loads the package, for other extents too."""
    attention = Attention()
    tokens = Dim("tokens", max=4096)
    program = torch.export.export(
        attention, inputs(7), dynamic_shapes=({1: tokens}, {0: tokens}), strict=True
    )
    # As little work for the C++ compiler as can be.
    quick = {
        "aot_inductor.compile_wrapper_opt_level": "O0",
        "aot_inductor.precompile_headers": False,
    }
    package = torch._inductor.aoti_compile_and_package(
        program, package_path=str(tmp_path / "model.pt2"), inductor_configs=quick
    )
    loaded = torch._inductor.aoti_load_package(package)
    assert operators_of(package) == ["rope::apply_qkv", "rope::apply"]
    for extent in (7, 12, 33):
        given = inputs(extent)
        expected = attention(*given)
        assert torch.equal(loaded(*given), expected)
        assert torch.equal(run_in_cpp(package, *given), expected)
