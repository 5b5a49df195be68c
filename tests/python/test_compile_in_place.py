"""What Inductor makes of `rotate` and `rotate_qk`: `apply`, only where nobody sees the difference.

Projections are matrix products, for which Inductor generates no kernel: nearly nothing is compiled
by a C++ compiler.
"""

import json
import zipfile

import pytest
import torch
from cases import random
from inductor_programs import assert_same, compile_afresh, run_with_programs

pytestmark = pytest.mark.usefixtures("no_compiler_caches")

B, S, H, D = 2, 7, 4, 16
WIDTH = H * D

rotate, rotate_qk = torch.ops.rope.rotate, torch.ops.rope.rotate_qk


def heads(x, w):
    """A projection as heads: memory that only the compiled program knows."""
    return (x @ w).view(B, S, H, D)


def transposed(x, w, pos):
    return rotate(heads(x, w).transpose(1, 2), pos, layout="bhsd")


def read_before(x, w, pos):
    y = x @ w
    z = y @ w
    return rotate(y.view(B, S, H, D), pos, inv_freq=z[0, 0, : D // 2])


def half_of_it(x, w, pos):
    half, rest = heads(x, w).chunk(2)
    return rotate(half, pos), rest


def twice(x, w, pos):
    return rotate(rotate(heads(x, w), pos), pos)


# What is called, how many tensors of the projection's extents are allocated, and for how many
# products with a number there is a kernel: a copy would be one more of either.
IN_PLACE = {
    "projection": (lambda x, w, pos: rotate(heads(x, w), pos), ["apply"], 1, 0),
    "keywords": (lambda x, w, pos: rotate(heads(x, w), base=500.0, inverse=True), ["apply"], 1, 0),
    "computed": (lambda x, w, pos: rotate((x * 2).view(B, S, H, D), pos), ["apply"], 1, 1),
    "q-and-k": (lambda x, w, pos: rotate_qk(heads(x, w), heads(x, 2 * w), pos), ["apply"], 2, 1),
    "transposed": (transposed, ["apply"], 1, 0),
    "read-before": (read_before, ["apply"], 2, 0),
    "half-of-it": (half_of_it, ["apply"], 1, 0),
    "twice": (twice, ["apply", "apply"], 1, 0),
}


def constant(x, w, pos):
    return rotate(torch.tensor([[[[1.0, 2.0]]]]), pos[:1].cpu())


def used_again(x, w, pos):
    y = heads(x, w)
    return rotate(y, pos), y @ w[:D]


def view_used_again(x, w, pos):
    y = x @ w
    return rotate(y.view(B, S, H, D), pos), y[0]


def assigned_later(x, w, pos):
    rotated = rotate(x, pos[:B], layout="thd")
    x.zero_()
    return rotated


def q_is_k(x, w, pos):
    y = heads(x, w)
    return rotate_qk(y, y, pos)


def q_overlaps_k(x, w, pos):
    y = x @ torch.cat([w, w], dim=1)
    return rotate_qk(y.view(2 * B, S, H, D)[:3], y.view(2 * B, S, H, D)[1:], pos)


def k_used_again(x, w, pos):
    k = heads(x, 2 * w)
    return rotate_qk(heads(x, w), k, pos), k @ w[:D]


def packed(x, w, pos):
    return rotate_qk(*heads(x, w).split((3, 1), dim=2), pos)


def strided(x, w, pos):
    return rotate(heads(x, w)[:, :, 1:], pos)


def expanded(x, w, pos):
    return rotate(heads(x, w)[:, :, :1].expand(B, S, H, D), pos)


def table_in_the_same_memory(x, w, pos):
    y = x @ w
    return rotate(y.view(B, S, H, D), cos_sin=y[:, :, :D])


NEW_MEMORY = {
    "constant": (constant, ["rotate"]),
    "used-again": (used_again, ["rotate"]),
    "view-used-again": (view_used_again, ["rotate"]),
    "input": (lambda x, w, pos: rotate(x.view(B, S, H, D), pos), ["rotate"]),
    "part-of-an-input": (lambda x, w, pos: rotate(x.view(B, S, H, D)[1:], pos), ["rotate"]),
    "copy-of-an-input": (lambda x, w, pos: rotate(x.clone().view(B, S, H, D), pos), ["rotate"]),
    "assigned-later": (assigned_later, ["rotate"]),
    "q-is-k": (q_is_k, ["rotate_qk"]),
    "q-overlaps-k": (q_overlaps_k, ["rotate_qk"]),
    "k-used-again": (k_used_again, ["rotate_qk"]),
    "packed": (packed, ["rotate_qk"]),
    "strided": (strided, ["rotate"]),
    "expanded": (expanded, ["rotate"]),
    "table-in-the-same-memory": (table_in_the_same_memory, ["rotate"]),
}


def inputs(device):
    x = random(B, S, WIDTH, dtype=torch.float32, device=device)
    w = random(WIDTH, WIDTH, dtype=torch.float32, device=device, seed=1)
    return x, w, torch.arange(3, 3 + S, device=device)


@torch.no_grad()
def compile_and_compare(device, function):
    """Returns the program; results and inputs have the bits and strides of eager mode, twice."""
    given = inputs(device)
    expected = function(*given), given
    compiled = compile_afresh(function)
    given = inputs(device)
    result, [program] = run_with_programs(lambda: compiled(*given))
    assert_same((result, given), expected)
    given = inputs(device)
    assert_same((compiled(*given), given), expected)
    return program


@pytest.mark.parametrize(
    ("function", "rotations", "made", "kernels"), IN_PLACE.values(), ids=IN_PLACE
)
def test_in_place(device, function, rotations, made, kernels):
    program = compile_and_compare(device, function)
    assert program.rotations() == rotations
    assert program.allocations().count(B * S * WIDTH) == made
    assert len(program.kernels()) == kernels


@pytest.mark.parametrize(("function", "rotations"), NEW_MEMORY.values(), ids=NEW_MEMORY)
def test_new_memory(device, function, rotations):
    assert compile_and_compare(device, function).rotations() == rotations


def saved(x, w, pos):
    """The gradient of w needs y, which the forward pass does not read again."""
    y = x @ w
    z = y @ w
    return rotate(y.view(B, S, H, D), pos) @ w[:D, :D], z


def not_saved(x, w, pos):
    q, k = rotate_qk(heads(x, w), heads(x, 2 * w), pos)
    return q @ w[:D, :D], k @ w[:D, :D]


def learned(x, w, pos):
    """The gradient of the frequencies needs the result, and reads the gradient of the result."""
    return rotate(heads(x, w), pos, inv_freq=w[0, : D // 2]) @ w[:D, :D], x @ w


TRAINED = {
    "saved": (saved, ["rotate"], ["apply"]),
    "not-saved": (not_saved, ["apply"], ["apply"]),
    "learned": (learned, ["apply"], ["rotate"]),
}


@pytest.mark.parametrize(("function", "forward", "backward"), TRAINED.values(), ids=TRAINED)
def test_gradients(device, function, forward, backward):
    def trained(run):
        x, w, pos = inputs(device)
        w.requires_grad_()
        results = run(x, w, pos)
        torch.autograd.backward(results, results)
        return results, w.grad

    expected = trained(function)
    compiled = compile_afresh(function)
    result, programs = run_with_programs(lambda: trained(compiled))
    assert_same(result, expected)
    assert [program.rotations() for program in programs] == [forward, backward]


class Projected(torch.nn.Module):
    def forward(self, x, w, pos):
        return rotate_qk(heads(x, w), heads(x, 2 * w), pos)


@torch.no_grad()
def test_aotinductor_is_given_every_argument(tmp_path):
    """In torch 2.11 a call without one of the integers fails, and the program goes on."""
    inputs = torch.randn(B, S, WIDTH), torch.randn(WIDTH, WIDTH), torch.arange(S)
    program = torch.export.export(Projected(), inputs)
    package = torch._inductor.aoti_compile_and_package(
        program,
        package_path=str(tmp_path / "model.pt2"),
        # Nothing is compiled.
        inductor_configs={
            "aot_inductor.package_cpp_only": True,
            "aot_inductor.precompile_headers": False,
        },
    )
    with zipfile.ZipFile(package) as files:
        texts = [files.read(name) for name in files.namelist() if name.endswith("wrapper.json")]
    (call,) = [node["node"] for text in texts for node in json.loads(text).get("nodes", ())]
    assert call["target"] == "rope::apply"
    given = [argument["name"] for argument in call["inputs"]]
    assert given == [argument.name for argument in torch.ops.rope.apply.default._schema.arguments]
