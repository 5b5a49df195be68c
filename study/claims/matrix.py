"""Claims: the block-diagonal matrix equals the cheap vector form; two modules of the article that
are no rotations.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

import torch_rope

HEAD_DIM = 128
TOKENS = 512
SECONDS = 0.3  # for each time

Module = Callable[[Tensor, Tensor], Tensor]  # x (N, D) float64, positions (N,) → (N, D)


def block_diagonal(pos: Tensor, dim: int = HEAD_DIM, base: float = 10000.0) -> Tensor:
    """The paper's R: (N, dim, dim), float64, 2 × 2 rotations of neighbours down the diagonal."""
    matrix = torch.zeros(len(pos), dim, dim, dtype=torch.float64)
    for pair in range(dim // 2):
        angle = pos.double() * base ** (-2 * pair / dim)
        first, second = 2 * pair, 2 * pair + 1
        matrix[:, first, first] = matrix[:, second, second] = angle.cos()
        matrix[:, second, first], matrix[:, first, second] = angle.sin(), -angle.sin()
    return matrix


def vector_form(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The article's: x ⊗ cos + (x with neighbours exchanged, one of them negated) ⊗ sin."""
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return x * cos + turned * sin


def _table(pos: Tensor) -> tuple[Tensor, Tensor]:
    inv_freq = torch_rope.schedules.default(HEAD_DIM, 10000.0).inv_freq
    angle = (pos.double()[:, None] * inv_freq).repeat_interleave(2, dim=-1)
    return angle.cos().float(), angle.sin().float()


def equality() -> dict[str, float]:
    """Largest difference of the operator (float32) from the float64 matrix, of a pair's length."""
    pos = torch.arange(TOKENS)
    x = torch.randn(TOKENS, HEAD_DIM, generator=torch.Generator().manual_seed(0))
    exact = torch.einsum("nij,nj->ni", block_diagonal(pos), x.double())
    ours = torch_rope.rotate(x[:, None], pos, interleaved=True)[:, 0].double()
    length = torch.hypot(exact[:, ::2], exact[:, 1::2])
    apart = torch.hypot(*(ours - exact).unflatten(-1, (-1, 2)).unbind(-1))
    return {"operator": float((apart / length).max())}


def times() -> dict[str, float]:
    """µs for TOKENS vectors in float32 on one thread; matrices and tables are made beforehand."""
    pos = torch.arange(TOKENS)
    x = torch.randn(TOKENS, 1, HEAD_DIM, generator=torch.Generator().manual_seed(0))
    cos, sin = (part[:, None] for part in _table(pos))
    table = torch_rope.schedules.default(HEAD_DIM, 10000.0).table(TOKENS)
    matrix = block_diagonal(pos).float()
    calls: dict[str, Callable[[], object]] = {
        "matrix": lambda: torch.bmm(matrix, x.transpose(1, 2)),
        "vector": lambda: vector_form(x, cos, sin),
        "operator": lambda: torch_rope.apply(x, None, pos, cos_sin=table, interleaved=True),
    }
    return {
        name: Timer("call()", globals={"call": call}).blocked_autorange(min_run_time=SECONDS).median
        * 1e6
        for name, call in calls.items()
    }


def cosine_matrix(dim: int) -> Tensor:
    """The article's "rotation matrix": entry (i, j) is cos(i·j·0.01), float64."""
    index = torch.arange(dim, dtype=torch.float64)
    return (index[:, None] * index * 0.01).cos()


def _times_matrix(x: Tensor, pos: Tensor) -> Tensor:
    return x @ cosine_matrix(x.shape[-1])


def _plus_table(x: Tensor, pos: Tensor) -> Tensor:
    """The article's position table, added: row m, column j holds cos(m·j·0.01)."""
    columns = torch.arange(x.shape[-1], dtype=torch.float64)
    return x + (pos.double()[:, None] * columns * 0.01).cos()


def _ours(x: Tensor, pos: Tensor) -> Tensor:
    return torch_rope.rotate(x.float()[:, None], pos, interleaved=True)[:, 0].double()


MODULES: dict[str, Module] = {"matrix": _times_matrix, "table": _plus_table, "ours": _ours}


def wrong_modules() -> dict[str, dict[str, float]]:
    """What a rotary embedding has to do, of three modules, 0 where it is done. norm: largest
    relative change of a length. shift: largest change of a score when both tokens move by 100, of
    |q||k|. order: largest difference that a position makes to a vector, of its length; here 0 is
    the fault."""
    random = torch.Generator().manual_seed(0)
    q, k = (torch.randn(64, HEAD_DIM, generator=random).double() for _ in range(2))
    at = torch.arange(64)
    lengths = q.norm(dim=-1) * k.norm(dim=-1)
    found = {}
    for name, module in MODULES.items():
        rotated = module(q, at)
        here = (rotated * module(k, 0 * at)).sum(dim=-1)
        moved = (module(q, at + 100) * module(k, 0 * at + 100)).sum(dim=-1)
        found[name] = {
            "norm": float((rotated.norm(dim=-1) / q.norm(dim=-1) - 1).abs().max()),
            "shift": float(((moved - here).abs() / lengths).max()),
            "order": float(((rotated - module(q, 0 * at)).norm(dim=-1) / q.norm(dim=-1)).max()),
        }
    return found


def cosine_matrix_facts() -> dict[str, float]:
    """How far MᵀM is from the identity, and M's largest singular value over its smallest."""
    matrix = cosine_matrix(HEAD_DIM)
    apart = matrix.T @ matrix - torch.eye(HEAD_DIM, dtype=torch.float64)
    singular = torch.linalg.svdvals(matrix)
    return {
        "from_identity": float(apart.abs().max()),
        "condition": float(singular[0] / singular[-1]),
    }
