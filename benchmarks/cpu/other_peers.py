"""mlx's fast.rope on its CPU and rotary-embedding-torch. For providers.py alone.

Both make their angles in float32 from frequencies, which agreement.py allows for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.cpu.call import Call, Missing, from_pair
from benchmarks.cpu.peers import installed
from benchmarks.cpu.workload import Pair, Workload

# The period is rounded to float32, its reciprocal, and the position's product with that.
MLX_ANGLE_ROUNDINGS = 3
# The frequency is rounded to float32, and the position's product with it.
ROTARY_EMBEDDING_ANGLE_ROUNDINGS = 2


def mlx(work: Workload) -> list[Call]:
    """It works on arrays of its own, which cannot be torch's memory: (B, H, S, D), its layout."""
    mx, case = installed("mlx.core"), work.case
    if case.shuffled:
        raise Missing("it takes consecutive positions only")
    mx.set_default_device(mx.cpu)
    dtype = getattr(mx, str(case.dtype).removeprefix("torch."))
    first = work.pos.reshape(case.batch, -1)[:, 0]
    where = int(first[0]) if case.batch == 1 else mx.array(first.numpy())
    settings = {"traditional": case.interleaved, "base": None, "scale": 1.0, "offset": where}
    periods = mx.array((1 / work.inv_freq).float().numpy())

    def array(x: Tensor) -> Any:
        # By float32, since numpy has no bfloat16: exact.
        return mx.array(x.transpose(1, 2).contiguous().float().numpy()).astype(dtype)

    def rotated(x: Any) -> Any:
        end = mx.fast.rope(x[..., case.rotary_offset :], case.rotary_dim, freqs=periods, **settings)
        if not case.rotary_offset:
            return end
        return mx.concatenate([x[..., : case.rotary_offset], end], axis=-1)

    def call(pair: Pair) -> Call:
        inputs, latest = [array(x) for x in pair], []
        mx.eval(inputs)

        def run() -> None:
            latest[:] = [rotated(x) for x in inputs]
            mx.eval(latest)

        return Call(run, lambda: Pair(*(_tensor(mx, x) for x in latest)))

    return [call(pair) for pair in work.sets]


def _tensor(mx: Any, x: Any) -> Tensor:
    """(B, S, H, D) of (B, H, S, D), in float32, which holds all values of the narrower types."""
    return torch.from_numpy(installed("numpy").array(x.astype(mx.float32))).transpose(1, 2)


def rotary_embedding_torch(work: Workload) -> list[Call]:
    """Its angles are made beforehand, from float32 positions: its own rotate_queries_or_keys makes
    positions in q's type, and 16 bits do not hold them."""
    module, case = installed("rotary_embedding_torch"), work.case
    if not case.interleaved:
        raise Missing("it rotates interleaved pairs only")
    frequencies = work.inv_freq.float()
    embedding = module.RotaryEmbedding(case.rotary_dim, custom_freqs=frequencies)
    angles = embedding(work.pos.float())[..., None, :]  # (…, S, 1, 2n)

    def rotated(x: Tensor) -> Tensor:
        return module.apply_rotary_emb(angles, x, start_index=case.rotary_offset)

    return [from_pair(lambda pair=pair: (rotated(pair.q), rotated(pair.k))) for pair in work.sets]
