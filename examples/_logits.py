"""What enabling a model changes: nothing but float32's roundings, and those for the better.

For transformers_llama.py.
"""

import torch
from _float64 import Float64Twin
from _models import ARCHITECTURES, Llama, Settings, build, continued, enabled, logits
from _report import Report
from torch import Tensor

import torch_rope


def largest(difference: Tensor) -> str:
    return f"{float(difference.abs().max()):.1e}"


def show_architectures(settings: Settings, text: Tensor, report: Report) -> None:
    """Three that rotate otherwise, each with enable(model)."""
    rows, agree = [], 0
    text = text[:, : settings.few_tokens]
    for name, make in ARCHITECTURES.items():
        with report.step(f"{name}: stock, enabled and in float64"):
            model = build(make, settings)
            ours, as_stock = enabled(model), enabled(model, "stock")
            twin = Float64Twin(model)
            for start in (0, settings.far):
                exact = logits(twin, text, start)
                sides = [logits(side, text, start) - exact for side in (model, as_stock, ours)]
                at = f"  at {start:,} … {start + settings.few_tokens - 1:,}"
                rows += [(name, "", "", "")] if start == 0 else []
                rows.append((at, *map(largest, sides)))
            same = [continued(side, text, settings.new_tokens) for side in (model, as_stock, ours)]
            agree += all(torch.equal(one, same[0]) for one in same)
    report.table(
        f"enable(model): largest error of a logit, {settings.few_tokens} tokens",
        ("architecture and positions", "transformers", 'enabled,\n"stock"', 'enabled,\n"model"'),
        rows,
        'each against the same weights in float64, so smaller is better. "stock" keeps the '
        'model\'s own float32 angles, which lose digits with the position; "model", the '
        "default, takes its frequencies as exact and makes the angles without error. The "
        f"{settings.new_tokens} tokens that each writes next, through its cache, are the same in "
        f"all three columns for {agree} of {len(ARCHITECTURES)} architectures.",
    )


def show_logits(llama: Llama, report: Report) -> None:
    tokens, far = llama.settings.tokens, llama.settings.far
    starts, text = (0, far), llama.text[:, :tokens]
    with report.step("reading the text in float64 throughout, the reference"):
        twin = Float64Twin(llama.model)
        exact = [logits(twin, text, start) for start in starts]
    with report.step("reading it with transformers' rotation"):
        stock = [logits(llama.model, text, start).double() for start in starts]
    with report.step("reading it with torch_rope's rotation"):
        ours = [logits(llama.enabled, text, start).double() for start in starts]
    rows = [
        (
            f"at {start:,} … {start + tokens - 1:,}",
            largest(stock[index] - exact[index]),
            largest(ours[index] - exact[index]),
            largest(ours[index] - stock[index]),
        )
        for index, start in enumerate(starts)
    ]
    moved = [largest(read[1] - read[0]) for read in (stock, ours, exact)]
    rows.append(("from the first to the second", moved[0], moved[1], ""))
    report.table(
        f"Logits: largest difference, {tokens} tokens",
        (
            "positions of the text",
            "transformers\n− float64",
            "torch_rope\n− float64",
            "torch_rope −\ntransformers",
        ),
        rows,
        "float64 is the same model without float32's rounding, so smaller is better; the logits' "
        f"standard deviation is {float(exact[0].std()):.2f}. Rotary attention sees distances "
        "only: moving the whole text should change no logit. The last line is by how much each "
        f"side's logits do change (in float64: {moved[2]}).",
    )


def largest_error(result: Tensor, exact: Tensor) -> str:
    """Largest error of a component, over the length of the pair (i, i + n) that it belongs to."""
    length = torch.hypot(*exact.chunk(2, dim=-1)).repeat(1, 1, 1, 2)
    return f"{float(((result.double() - exact).abs() / length).max()):.1e}"


def show_errors(llama: Llama, report: Report, rope: torch_rope.RotaryEmbedding) -> None:
    tokens = llama.text.shape[1]
    rows = []
    with report.step("rotating the first layer's queries in float32, bfloat16 and float64"):
        for dtype in (torch.float32, torch.bfloat16):
            q, k = llama.first_layer(tokens, dtype)
            for start in (0, llama.settings.far):
                positions = llama.positions(start, tokens)
                exact = llama.exact(q, positions)
                stock, _ = llama.stock_rotation(q, k, *llama.cos_and_sin(q, positions))
                ours, _ = rope(q, k, positions)
                rows.append(
                    (
                        f"{str(dtype).removeprefix('torch.')}, {start:,} … {start + tokens - 1:,}",
                        largest_error(stock, exact),
                        largest_error(ours, exact),
                        largest_error(exact.to(dtype), exact),
                    )
                )
    report.table(
        "The rotation alone: largest error against torch_rope.reference (float64)",
        ("dtype and positions", "transformers", "torch_rope", "best possible"),
        rows,
        "errors are fractions of the length of the pair that is rotated. The last column is the "
        "float64 result rounded once to the dtype; nothing that returns this dtype can do better. "
        "Where torch_rope agrees with it, the rounding of the output is the whole error.",
    )
