"""What explain tells of a call's costs: copies, launches, where frequencies lie, and the plan.

Most of it is about GPUs, and asked of fake tensors, so that no GPU is needed. Without one explain
plans for 132 multiprocessors of 2048 threads; nothing here depends on their number.
"""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode

import torch_rope

B, S, H, D = 2, 5, 4, 64
N = D // 2


def explain(**keywords):
    """Says what happens on fake tensors; keywords are functions that make arguments."""
    with FakeTensorMode():
        q = torch.empty(B, S, H, D, dtype=torch.bfloat16, device="cuda")
        made = {name: make() for name, make in keywords.items()}
        return torch_rope.explain(**{"q": q, **made})


def gpu(*extents, dtype=torch.float32):
    return torch.empty(extents, dtype=dtype, device="cuda")


def transposed(*extents):
    return gpu(*extents[:-2], extents[-1], extents[-2]).mT


# What is given, which of it is copied, how many launches that makes in all, where frequencies lie.
CALLS = {
    "base": ({}, [], 1, "base"),
    "host": ({"inv_freq": lambda: torch.ones(N)}, [], 1, "host"),
    "host-turns": ({"inv_freq": lambda: torch.ones(N, dtype=torch.int64)}, [], 1, "host"),
    "host-strided": ({"inv_freq": lambda: torch.ones(2 * N)[::2]}, ["inv_freq"], 1, "host"),
    "device": ({"inv_freq": lambda: gpu(N)}, [], 2, "device"),
    "device-float64": ({"inv_freq": lambda: gpu(N, dtype=torch.float64)}, [], 2, "device"),
    "device-turns": ({"inv_freq": lambda: gpu(N, dtype=torch.int64)}, [], 1, "device"),
    "device-strided": ({"inv_freq": lambda: gpu(2 * N)[::2]}, ["inv_freq"], 3, "device"),
    "table": ({"cos_sin": lambda: gpu(9, D)}, [], 1, None),
    "padded-table": ({"cos_sin": lambda: gpu(9, D + 8)[:, :D]}, [], 1, None),
    "table-and-frequencies": (
        {"cos_sin": lambda: gpu(9, D), "inv_freq": lambda: gpu(N)},
        [],
        2,
        "device",
    ),
    "table-and-host": (
        {"cos_sin": lambda: gpu(9, D), "inv_freq": lambda: torch.ones(N)},
        [],
        1,
        "host",
    ),
    "cos-sin": ({"cos": lambda: gpu(9, N), "sin": lambda: gpu(9, N)}, [], 1, None),
    "cos-sin-strided": (
        {"cos": lambda: gpu(9, D)[:, ::2], "sin": lambda: gpu(9, D)[:, ::2]},
        [],
        1,
        None,
    ),
    "cos-sin-of-other-strides": (
        {"cos": lambda: gpu(9, N), "sin": lambda: transposed(9, N)},
        ["cos", "sin"],
        3,
        None,
    ),
    "everything": (
        {
            "cos": lambda: gpu(9, N),
            "sin": lambda: transposed(9, N),
            "inv_freq": lambda: gpu(2 * N)[::2],
        },
        ["cos", "sin", "inv_freq"],
        5,
        "device",
    ),
    "int-offset": ({"offsets": lambda: 3}, [], 2, "base"),
    "nothing-to-do": ({"q": lambda: gpu(0, S, H, D), "inv_freq": lambda: gpu(N)}, [], 0, "device"),
}


@pytest.mark.parametrize(("keywords", "copies", "launches", "place"), CALLS.values(), ids=CALLS)
def test_hidden_costs(keywords, copies, launches, place):
    said = explain(**keywords)
    assert said["error"] is None
    assert said["backend"] == "cuda"
    assert (said["copies"], said["launches"], said["frequencies"]) == (copies, launches, place)
    assert said["angles"] == ("table" if {"cos_sin", "cos"} & keywords.keys() else "computed")


@pytest.mark.parametrize("rank", [3, 4], ids=["by-token", "by-head"])
def test_copies_are_made_where_they_are_told(device, rank):
    """Rows of each token or head too; the calls themselves are judged in test_token_tables.py."""
    q = torch.ones(B, S, H, D, device=device)
    cos = torch.ones(B, S, *[H] * (rank - 3), N, device=device)
    sin = torch.ones(B, S, *[H] * (rank - 3), D, device=device)[..., ::2]
    assert torch_rope.explain(q, cos=cos, sin=cos.clone())["copies"] == []
    said = torch_rope.explain(q, cos=cos, sin=sin)
    assert (said["copies"], said["launches"]) == (["cos", "sin"], 3 if device == "cuda" else None)


class Operators(TorchDispatchMode):
    """Lists the operators of torch's that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_looking_runs_nothing(device):
    """Not even the copies that the call would make."""
    q = torch.ones(B, S, H, D, device=device)
    cos, sin = torch.ones(9, N, device=device), torch.ones(N, 9, device=device).mT
    with Operators() as operators:
        assert torch_rope.explain(q, cos=cos, sin=sin)["copies"] == ["cos", "sin"]
    assert operators.names == []


# q's storage offset, its row length, how much is rotated; and what one access of 2-byte elements
# can then be: the greatest power of two up to 16 that divides all addresses in bytes.
WIDTHS = {
    "aligned": (0, D, 64, 16),
    "one-element-in": (1, D, 64, 2),
    "two-elements-in": (2, D, 64, 4),
    "four-elements-in": (4, D, 64, 8),
    "eight-elements-in": (8, D, 64, 16),
    "odd-rows": (0, D + 1, 64, 2),
    "rows-of-66": (0, D + 2, 64, 4),
    "rotary-dim-24": (0, D, 24, 8),
    "rotary-dim-6": (0, D, 6, 2),
}


@pytest.mark.parametrize(("first", "row", "rotary_dim", "width"), WIDTHS.values(), ids=WIDTHS)
def test_width_of_fake_tensors(first, row, rotary_dim, width):
    def q():
        flat = gpu(first + S * H * row, dtype=torch.bfloat16)
        return flat[first:].view(1, S, H, row)[..., :D]

    said = explain(q=q, rotary_dim=lambda: rotary_dim)
    assert (said["error"], said["vector_bytes"]) == (None, width)


@pytest.mark.parametrize(
    ("tokens", "batches"),
    [(2**40, 1), (3, 2**36), (2**36, 70000)],
    ids=["tokens", "batches", "both"],
)
def test_launches_past_the_limits_of_a_grid(tokens, batches):
    """Counted, not enumerated: a grid has at most 2^31 - 1 blocks in x and 65535 in z, and the
    launches together cover every token once."""
    said = explain(q=lambda: gpu(1, 1, 1, 2).expand(1, 1, 1, 2).new_empty(batches, tokens, 1, 2))
    tokens_each = said["grid"][0] * said["block"][2]
    expected = -(-tokens // min(tokens, tokens_each)) * -(-batches // said["grid"][2])
    assert said["launches"] == expected


def plan(q):
    said = torch_rope.explain(q)
    return {key: said[key] for key in ("vector_bytes", "heads_per_thread", "grid", "block")}


@pytest.mark.cuda
@pytest.mark.parametrize("tokens", [1, 7, 4096])
def test_fake_tensors_are_planned_like_real_ones(tokens):
    real = torch.empty(2, tokens, 40, 128, dtype=torch.bfloat16, device="cuda")
    with FakeTensorMode():
        fake = torch.empty(2, tokens, 40, 128, dtype=torch.bfloat16, device="cuda")
        said = plan(fake)
    assert said == plan(real)


@pytest.mark.parametrize("angles", ["shared", "frequencies-by-head", "table-by-head"])
def test_heads_that_share_angles(device, angles):
    q = torch.ones(B, 512, H, D, device=device)
    rows = torch.ones(B, 512, H, N, device=device)
    keywords = {
        "shared": {},
        "frequencies-by-head": {"inv_freq": torch.ones(1, H, N, device=device)},
        "table-by-head": {"cos": rows, "sin": rows.clone()},
    }[angles]
    share = torch_rope.explain(q, **keywords)["heads_per_thread"]
    assert share == 1 if angles != "shared" else share >= 1
    if device == "cpu":
        assert share == (H if angles == "shared" else 1)


def test_bytes():
    """q and k read and written, an int64 position and a float32 row for each token."""
    q, k = torch.ones(B, S, H, D), torch.ones(B, S, 1, D)
    tokens = B * S
    rotated = 2 * tokens * (H + 1) * D * 4
    assert torch_rope.explain(q, k)["bytes"] == rotated
    assert torch_rope.explain(q, k, torch.arange(S))["bytes"] == rotated + tokens * 8
    assert torch_rope.explain(q, k, cos_sin=torch.ones(9, D))["bytes"] == rotated + tokens * D * 4
    assert torch_rope.explain(q, k, rotary_dim=16)["bytes"] == rotated // 4


def test_meta_tensors_run_nothing():
    said = torch_rope.explain(torch.empty(B, S, H, D, device="meta"))
    assert said["backend"] == "meta"
    assert said["error"] is None
    assert said["bytes"] == 2 * B * S * H * D * 4
    assert said["vector_bytes"] is said["grid"] is said["launches"] is None


def test_symbolic_extents():
    """What is known without them is told."""
    mode = FakeTensorMode(shape_env=ShapeEnv())
    q = mode.from_tensor(torch.ones(7, S, H, D), static_shapes=False)
    with mode:
        said = torch_rope.explain(q)
    assert (said["backend"], said["angles"], said["frequencies"]) == ("cpu", "computed", "base")
    assert said["error"] is None
    assert said["bytes"] is said["copies"] is said["vector_bytes"] is said["launches"] is None
