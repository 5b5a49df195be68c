"""Calls of the operators under torch.func.vmap, for test_vmap.py and test_vmap_transforms.py."""

import torch
from cases import random
from torch.func import vmap

V, B, S, H, D, N = 3, 2, 5, 4, 16, 8


def heads(device, *extents, seed=0):
    return random(*extents, H, D, dtype=torch.float32, device=device, seed=seed)


def positions(device, *extents):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(-(2**40), 2**40, extents, generator=generator).to(device)


def frequencies(device, *extents):
    return torch.rand(*extents, N, dtype=torch.float64, device=device) + 0.1


def table(device, rows, *extents):
    """A table by position for each of extents."""
    inv_freq = (
        frequencies(device, *extents).flatten(0, -2) if extents else frequencies(device)[None]
    )
    tables = [torch.ops.rope.cos_sin_table(own, rows) for own in inv_freq]
    return torch.stack(tables).reshape(*extents, rows, 2 * N)


def halves(cos_sin):
    return dict(zip(("cos", "sin"), cos_sin.chunk(2, -1), strict=True))


class Call:
    """Arguments of rotate, the mapped ones with V examples in front, and which these are."""

    def __init__(self, x, pos=None, mapped=("x",), **keywords):
        self.arguments = {"x": x, "pos": pos, **keywords}
        self.mapped = mapped

    def rest(self):
        return {name: v for name, v in self.arguments.items() if name not in self.mapped}

    def values(self):
        return [self.arguments[name] for name in self.mapped]

    def under_vmap(self, op, **options):
        def one(*values):
            return op(**dict(zip(self.mapped, values, strict=True)), **self.rest())

        return vmap(one, **options)(*self.values())

    def one_by_one(self, op):
        rows = zip(*(value.unbind() for value in self.values()), strict=True)
        return torch.stack(
            [op(**dict(zip(self.mapped, row, strict=True)), **self.rest()) for row in rows]
        )


# How many calls it takes: one where the examples fit into the batch.
CALLS = {
    "x": (1, lambda d: Call(heads(d, V, B, S))),
    "x-pos": (1, lambda d: Call(heads(d, V, B, S), positions(d, V, S), ("x", "pos"))),
    "x-pos-1": (1, lambda d: Call(heads(d, V, B, S), positions(d, V, 1, S), ("x", "pos"))),
    "x-pos-batch": (1, lambda d: Call(heads(d, V, B, S), positions(d, V, B, S), ("x", "pos"))),
    "pos": (1, lambda d: Call(heads(d, B, S), positions(d, V, S), ("pos",))),
    "shared-pos": (1, lambda d: Call(heads(d, V, B, S), positions(d, S))),
    "shared-pos-1": (1, lambda d: Call(heads(d, V, B, S), positions(d, 1, S))),
    "shared-pos-batch": (1, lambda d: Call(heads(d, V, B, S), positions(d, B, S))),
    "bhsd": (
        1,
        lambda d: Call(
            heads(d, V, B, S).transpose(2, 3), positions(d, V, S), ("x", "pos"), layout="bhsd"
        ),
    ),
    "sbhd": (
        1,
        lambda d: Call(
            heads(d, V, S, B), positions(d, V, B, S), ("x", "pos"), layout="sbhd", interleaved=True
        ),
    ),
    "thd": (1, lambda d: Call(heads(d, V, S), positions(d, V, S), ("x", "pos"), layout="thd")),
    "thd-rank": (1, lambda d: Call(heads(d, V, S), positions(d, S), rotary_dim=6)),
    "offsets": (
        1,
        lambda d: Call(heads(d, V, B, S), mapped=("x", "offsets"), offsets=positions(d, V, B)),
    ),
    "shared-offsets": (1, lambda d: Call(heads(d, V, B, S), offsets=positions(d, B))),
    "thd-offsets": (1, lambda d: Call(heads(d, V, S), offsets=positions(d, 1))),
    "skip_negative": (
        1,
        lambda d: Call(
            heads(d, V, B, S), positions(d, V, S), ("x", "pos"), skip_negative=True, inverse=True
        ),
    ),
    "axes": (
        1,
        lambda d: Call(
            heads(d, V, B, S), positions(d, V, 2, S), ("x", "pos"), inv_freq=frequencies(d, 2)
        ),
    ),
    "axes-batch": (
        1,
        lambda d: Call(heads(d, V, B, S), positions(d, 2, B, S), inv_freq=frequencies(d, 2)),
    ),
    "heads": (1, lambda d: Call(heads(d, V, B, S), inv_freq=frequencies(d, 1, H))),
    "table": (1, lambda d: Call(heads(d, V, B, S), cos_sin=table(d, S))),
    "rows-of-tokens": (1, lambda d: Call(heads(d, V, B, S), cos_sin=table(d, S, B))),
    "shared-rows-of-tokens": (1, lambda d: Call(heads(d, V, B, S), cos_sin=table(d, S, 1))),
    "mapped-rows-of-tokens": (
        1,
        lambda d: Call(heads(d, V, B, S), mapped=("x", "cos_sin"), cos_sin=table(d, S, V, 1)),
    ),
    "cos-sin-of-tokens": (
        1,
        lambda d: Call(heads(d, V, B, S), mapped=("x", "cos"), **{
            "cos": table(d, S, V, B)[..., :N], "sin": table(d, S, B)[..., N:]
        }),
    ),
    "cos-sin-of-heads": (
        1,
        lambda d: Call(
            heads(d, V, 1, S), **halves(table(d, S, 1)[:, :, None].expand(-1, -1, H, -1))
        ),
    ),
    "frequencies": (
        V,
        lambda d: Call(heads(d, V, B, S), mapped=("x", "inv_freq"), inv_freq=frequencies(d, V)),
    ),
    "mapped-table": (
        V,
        lambda d: Call(heads(d, V, B, S), mapped=("x", "cos_sin"), cos_sin=table(d, S, V)),
    ),
    "ragged": (
        V,
        lambda d: Call(
            heads(d, V, S), cu_seqlens=torch.tensor([0, 2, S], device=d), offsets=positions(d, 2)
        ),
    ),
}  # fmt: skip
