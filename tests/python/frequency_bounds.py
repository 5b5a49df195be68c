"""How far the gradient to learned frequencies may be off. For test_frequency_gradients.py.

Exactly, the gradient to inv_freq[a, h, i] is the sum over tokens, and over heads that share it, of
pos[a] * (x' gy - y' gx), with (x', y') the rotated pair and (gx, gy) the gradient to it. The
operator takes x' and y' as it returned them, each off by at most what error_bound says. Its two
products and their difference are rounded to float32 (u = 2^-24): 2 u (|x' gy| + |y' gx|), 2.1 u
with the terms of second order. Positions and sums are float64, whose own roundings (2^-53 each, up
to 2^20 terms of a sum in a row) another 0.1 u covers many times. The sum is rounded once to
inv_freq's type.
"""

import torch
from bounds import FLOAT32_UNIT, error_bound

from torch_rope import reference


def pairs_of(x, start, rotary_dim, interleaved):
    rotated = x[..., start : start + rotary_dim].double()
    return (rotated[..., ::2], rotated[..., 1::2]) if interleaved else rotated.chunk(2, dim=-1)


def exact_gradient(x, upstream, pos, inv_freq, **keywords):
    """Returns float64 autograd's gradient to inv_freq through the reference."""
    exact = inv_freq.detach().double().requires_grad_()
    reference.rotate(x.detach(), pos, inv_freq=exact, **keywords).backward(upstream.double())
    return exact.grad


def gradient_bound(
    x,
    upstream,
    pos,
    inv_freq,
    exact,
    *,
    largest_position,
    rotary_offset=0,
    interleaved=False,
    attention_factor=1.0,
    **keywords,
):
    """Returns the largest allowed error, (A, H or 1, n), for (B, S, H, D) in layout "bshd".

    exact: the gradient. largest_position: of |p| on any axis, offsets included.
    """
    width = 2 * inv_freq.shape[-1]
    start = rotary_offset % x.shape[-1]
    keywords |= {"rotary_offset": rotary_offset, "interleaved": interleaved}
    rotated = reference.rotate(
        x.detach(),
        pos,
        inv_freq=inv_freq.detach(),
        attention_factor=attention_factor,
        **keywords,
    )
    window = slice(start, start + width)
    off = error_bound(
        x.detach()[..., window],
        rotated[..., window],
        rotary_dim=width,
        interleaved=interleaved,
        largest_position=largest_position * (inv_freq.shape[0] if inv_freq.dim() > 1 else 1),
        factor=attention_factor,
    )
    real, imaginary = pairs_of(rotated, start, width, interleaved)
    off_real, off_imaginary = pairs_of(off, 0, width, interleaved)
    by_real, by_imaginary = (part.abs() for part in pairs_of(upstream, start, width, interleaved))
    terms = off_real * by_imaginary + off_imaginary * by_real
    products = (real.abs() + off_real) * by_imaginary + (imaginary.abs() + off_imaginary) * by_real
    terms = largest_position * (terms + 2.2 * FLOAT32_UNIT * products)
    summed = terms.sum((0, 1)) if inv_freq.dim() == 3 else terms.sum((0, 1, 2))
    last = torch.finfo(inv_freq.dtype).eps / 2
    return summed + last * (exact.abs() + summed)
