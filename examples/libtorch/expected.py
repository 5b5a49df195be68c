"""What the C++ program is judged by: the model in eager mode, and how far rounding may lead away.

The allowed difference. Two evaluations of one model in one type differ by their roundings, whose
effect on a logit is all but normally distributed: a sum of very many small ones. How large it is
for these weights and this text is measured: E is the largest difference of the eager model's logits
from those of the same weights in float64, over all N logits. The compiled model rounds in the same
places or in fewer, in another order, so the largest of its N differences is near E as well. It is
allowed 4 E. Even if tails were no thinner than exp(-x), which puts E near ln(N), as many draws
would exceed 4 E with a probability of N exp(-4 ln N) = N^-3. From the eager logits it is then at
most 5 E away.

A bound for the worst case would be no use: over four layers it grows beyond the logits themselves.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from model import Decoder
from torch import Tensor


def prefill_then_decode(model: Decoder, prompt: Tensor, num_tokens: int) -> tuple[Tensor, Tensor]:
    """The prompt and num_tokens tokens chosen after it; the logits of all but the last of them."""
    length = prompt.shape[1]
    cache = model.cache(length + num_tokens)
    logits = [model(prompt, *(one[:, :length] for one in cache))]
    tokens = [prompt, logits[-1][:, -1:].argmax(-1)]
    for total in range(length + 1, length + num_tokens):
        logits.append(model(tokens[-1], *(one[:, :total] for one in cache)))
        tokens.append(logits[-1].argmax(-1))
    return torch.cat(tokens, 1), torch.cat(logits, 1)


def expected_results(model: Decoder, prompt: Tensor, num_tokens: int) -> dict[str, Any]:
    tokens, logits = prefill_then_decode(model, prompt, num_tokens)
    read = tokens[:, :-1]
    exact_model = copy.deepcopy(model).double()
    exact = exact_model(read, *exact_model.cache(read.shape[1]))
    at_once = model(read, *model.cache(read.shape[1]))
    error = max(float((one.double() - exact).abs().max()) for one in (logits, at_once))
    refuse_another_function(error, exact, logits.dtype, len(model.attentions))

    tolerance = 5 * error
    tell_near_ties(logits[0, prompt.shape[1] - 1 :], tolerance)
    return {
        "tokens": tokens[0].cpu(),
        "prompt_length": prompt.shape[1],
        "logits": logits[0].cpu(),
        "tolerance": tolerance,
    }


def refuse_another_function(error: float, exact: Tensor, dtype: torch.dtype, layers: int) -> None:
    """E says nothing where the eager model computes something else, with a wrong rotation say.

    Independent errors of layers add up in squares. 32 is more than twice what widths of 64 to 512,
    2 to 8 layers and all three types have shown; another function is off by the logits themselves.
    """
    unit = torch.finfo(dtype).eps / 2
    ceiling = 32 * layers**0.5 * unit * float(exact.abs().max())
    if error > ceiling:
        sys.exit(f"eager mode is {error:.2g} away from float64: roundings explain {ceiling:.2g}")


def tell_near_ties(logits: Tensor, tolerance: float) -> None:
    """Logits that differ by less than two tolerances may change places."""
    best = logits.double().topk(2).values
    margin = best[:, 0] - best[:, 1]
    print(f"logits may differ by {tolerance:.2g}; the best two are {float(margin.min()):.2g} apart")
    near = int((margin <= 2 * tolerance).sum())
    if near:
        print(
            f"near ties: at {near} of {len(margin)} tokens the best two are at most two tolerances"
            " apart, and the program may choose the other; try another --prompt or --seed"
        )
