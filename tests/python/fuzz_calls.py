"""Valid calls of the operators, drawn by hypothesis over every argument. For test_fuzz.py."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from fuzz_judge import batch_and_sequence
from fuzz_tensors import INT64, Guarded, frequencies, guarded, integers, random_values, rows
from hypothesis import strategies as st
from torch import Tensor

DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])
TO_LAYOUT = {
    "bshd": lambda b, s, h, d: (b, s, h, d),
    "bhsd": lambda b, s, h, d: (b, h, s, d),
    "sbhd": lambda b, s, h, d: (s, b, h, d),
    "thd": lambda b, s, h, d: (s, h, d),
}


@dataclass
class Call:
    """The arguments of one apply: keywords as they are given, q and k guarded."""

    q: Guarded
    k: Guarded | None
    pos: Tensor | None
    keywords: dict[str, Any] = field(default_factory=dict)
    start_q: int = 0  # where the rotated components start
    start_k: int = 0
    rotary_dim: int = 0

    def heads(self):
        """Each guarded tensor with its rotated components."""
        found = [(self.q, slice(self.start_q, self.start_q + self.rotary_dim))]
        if self.k is not None:
            found.append((self.k, slice(self.start_k, self.start_k + self.rotary_dim)))
        return found

    def copy(self):
        k = None if self.k is None else self.k.copy()
        return replace(self, q=self.q.copy(), k=k)

    def arguments(self):
        return (self.q.view, None if self.k is None else self.k.view, self.pos)

    def named(self):
        return dict(zip(("q", "k", "pos"), self.arguments(), strict=True)) | self.keywords

    def __repr__(self):
        def text(value):
            if not isinstance(value, Tensor):
                return repr(value)
            kind = str(value.dtype).removeprefix("torch.")
            shown = f" {value.tolist()}" if not value.is_floating_point() else ""
            return f"{kind}{tuple(value.shape)} strides {value.stride()}{shown}"

        return ", ".join(f"{name}={text(value)}" for name, value in self.named().items())


@dataclass
class _Extents:
    layout: str
    batches: int
    tokens: int
    heads_q: int
    heads_k: int | None
    pairs: int


@st.composite
def _extents(draw, equal_heads):
    layout = draw(st.sampled_from(list(TO_LAYOUT)))
    heads_q = draw(st.integers(0, 4))
    heads_k = draw(st.one_of(st.none(), st.just(heads_q) if equal_heads else st.integers(0, 3)))
    return _Extents(
        layout,
        1 if layout == "thd" else draw(st.sampled_from([1, 2, 3, 0])),
        draw(st.sampled_from([1, 2, 3, 5, 0])),
        heads_q,
        heads_k,
        draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 17, 24, 33, 64])),
    )


@st.composite
def _angles(draw, kind, e, dtype):
    """The keywords of a source of angles, and how many axes positions have."""
    n = e.pairs
    if kind == "base":
        return {"base": draw(st.sampled_from([1e4, 5e5, 1.0, 0.25, 1e300]))}, 1
    if kind == "frequencies":
        axes = draw(st.integers(1, 4))
        shape = (n,) if axes == 1 and draw(st.booleans()) else (axes, n)
        return {"inv_freq": draw(frequencies(shape))}, axes
    if kind == "per-head":
        axes = draw(st.integers(1, 4))
        return {"inv_freq": draw(frequencies((axes, e.heads_q, n)))}, axes
    if kind == "table":
        values = draw(rows((draw(st.sampled_from([0, 1, 4, 30])), 2 * n), dtype))
        padded = torch.cat((values, torch.full((len(values), 3), 9.0).to(values)), dim=-1)
        given = {"cos_sin": padded[:, : 2 * n] if draw(st.booleans()) else values}
    elif kind == "cos-and-sin":
        shape = (draw(st.sampled_from([0, 1, 4, 30])), n)
        given = draw(_cos_and_sin(shape, dtype))
    elif kind == "token-rows":
        first = draw(st.sampled_from([1, e.batches]))
        if draw(st.booleans()):
            return {"cos_sin": draw(rows((first, e.tokens, 2 * n), dtype))}, 0
        return draw(_cos_and_sin((first, e.tokens, n), dtype)), 0
    else:
        return draw(_cos_and_sin((e.batches, e.tokens, e.heads_q, n), dtype)), 0
    if draw(st.booleans()):
        given["inv_freq"] = draw(frequencies((n,)))
    return given, 1


@st.composite
def _cos_and_sin(draw, shape, dtype):
    """Two tensors of one type: apart, as doubled halves, or as parts of complex numbers."""
    both = draw(rows((2, *shape), dtype))
    how = draw(st.sampled_from(["apart", "repeated", "complex"]))
    if how == "repeated":
        both = both.repeat_interleave(2, dim=-1)[..., ::2]
    if how == "complex":
        both = both.movedim(0, -1).contiguous().movedim(-1, 0)
    return {"cos": both[0], "sin": both[1]}


@st.composite
def _positions(draw, e, axes):
    """pos, offsets and cu_seqlens."""
    given = {}
    if axes == 0:
        return None, given
    sequences = e.batches
    if e.layout == "thd" and draw(st.booleans()):
        inner = draw(st.lists(st.integers(0, e.tokens), max_size=3))
        bounds = [0, *sorted(inner), e.tokens]
        given["cu_seqlens"] = torch.tensor(
            bounds, dtype=draw(st.sampled_from([torch.int32, torch.int64]))
        )
        sequences = len(bounds) - 1
    if draw(st.booleans()):
        given["offsets"] = draw(integers((sequences,)))
    forms = [(e.tokens,)]
    if e.layout != "thd":
        forms += [(1, e.tokens), (e.batches, e.tokens)]
    shape = draw(st.sampled_from(forms))
    if axes > 1:
        return draw(integers((axes, *shape))), given
    return (draw(integers(shape)) if draw(st.booleans()) else None), given


KINDS = [
    "base",
    "frequencies",
    "per-head",
    "table",
    "cos-and-sin",
    "token-rows",
    "token-and-head-rows",
]


@st.composite
def calls(draw, with_k=None):
    """A call that rope::apply accepts. with_k: True or False decides about k."""
    kind = draw(st.sampled_from(KINDS))
    e = draw(_extents(equal_heads=kind in ("per-head", "token-and-head-rows")))
    if with_k is not None:
        e.heads_k = None if not with_k else e.heads_q if e.heads_k is None else e.heads_k
    dtype = draw(DTYPES)
    rotary_dim = 2 * e.pairs
    angles, axes = draw(_angles(kind, e, dtype))
    pos, keywords = draw(_positions(e, axes))
    keywords |= angles

    # Where the rotated components lie: counted from the start of the head or from its end.
    room = st.sampled_from([0, 0, 1, 2, 7])
    from_end = draw(st.booleans())
    fixed, free_q, free_k = draw(room), draw(room), draw(room)
    if draw(st.booleans()):
        keywords["rotary_dim"] = rotary_dim
    elif kind == "base":
        # Implied by the head: nothing may follow the rotated components.
        fixed, free_q, free_k = (0, free_q, free_k) if from_end else (fixed, 0, 0)
    if from_end:
        keywords["rotary_offset"] = -(rotary_dim + fixed)
    elif fixed:
        keywords["rotary_offset"] = fixed
    start_q, start_k = (free_q, free_k) if from_end else (fixed, fixed)

    def heads(count, free):
        shape = TO_LAYOUT[e.layout](e.batches, e.tokens, count, rotary_dim + fixed + free)
        return draw(guarded(draw(random_values(shape, dtype))))

    for name in ("interleaved", "inverse", "skip_negative"):
        if draw(st.booleans()):
            keywords[name] = draw(st.booleans())
    if draw(st.booleans()):
        keywords["attention_factor"] = draw(st.sampled_from([1.0, 1.2079441541679836, 0.25]))
    if e.layout != "bshd" and not (e.layout == "thd" and draw(st.booleans())):
        keywords["layout"] = e.layout
    q = heads(e.heads_q, free_q)
    k = None if e.heads_k is None else heads(e.heads_k, free_k)
    return Call(q, k, pos, keywords, start_q, start_k, rotary_dim)


@st.composite
def rerotations(draw):
    """A call that rope::rerotate accepts: k, old_pos, new_pos, keywords, rotary_dim and start."""
    call = draw(calls(with_k=False).filter(lambda c: _is_computed(c.keywords)))
    e = call.keywords
    batches, tokens = batch_and_sequence(call.q.view, e)
    forms = [(tokens,)] if call.q.view.dim() == 3 else [(tokens,), (1, tokens), (batches, tokens)]
    keywords = {
        name: e[name]
        for name in ("base", "rotary_dim", "rotary_offset", "interleaved", "layout")
        if name in e
    }
    n = call.rotary_dim // 2
    positions = []
    for name in ("old", "new"):
        axes = draw(st.sampled_from([1, 1, 2, 4]))
        if axes > 1 or draw(st.booleans()):
            keywords[f"{name}_inv_freq"] = draw(frequencies((axes, n) if axes > 1 else (n,)))
        own = axes
        if name == "new" and "new_inv_freq" not in keywords and "old_inv_freq" in keywords:
            own = len(keywords["old_inv_freq"]) if keywords["old_inv_freq"].dim() > 1 else 1
        form = draw(st.sampled_from(forms))
        positions.append(draw(integers((own, *form) if own > 1 else form, INT64)))
    if not any(name.endswith("inv_freq") for name in keywords) and "rotary_dim" not in keywords:
        keywords["rotary_dim"] = call.rotary_dim
    if draw(st.booleans()):
        keywords["scale"] = draw(st.sampled_from([1.0, 0.8278, 1.25]))
    if draw(st.booleans()):
        keywords["skip_negative"] = draw(st.booleans())
    return replace(call, pos=positions, keywords=keywords)


def _is_computed(keywords):
    return not {"cos_sin", "cos"} & keywords.keys() and keywords.get("inv_freq", _ONE).dim() < 3


_ONE = torch.ones(1)
