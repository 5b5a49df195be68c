"""How long a rotation takes, and what ran. For transformers_llama.py."""

import torch
from _models import Llama, logits
from _report import Report, seconds, take_turns

import torch_rope

TIMED = ("transformers", "new tensors", "in place")


def milliseconds(taken: float) -> str:
    return f"{1e3 * taken:.0f} ms" if taken >= 0.1 else f"{1e3 * taken:.2f} ms"


def rotation_times(
    llama: Llama, rope: torch_rope.RotaryEmbedding, dtype: torch.dtype
) -> dict[str, float]:
    """Seconds a call for one layer's queries and keys."""
    tokens = llama.text.shape[1]
    q, k = llama.first_layer(tokens, dtype)
    positions = llama.positions(0, tokens)
    cos, sin = llama.cos_and_sin(q, positions)
    sides = {
        "transformers": lambda: llama.stock_rotation(q, k, cos, sin),
        "new tensors": lambda: rope(q, k, positions),
        "in place": lambda: rope.apply(q, k, positions),
    }
    return take_turns(sides, llama.settings.rotation_seconds, llama.device)


def show_times(llama: Llama, report: Report, rope: torch_rope.RotaryEmbedding) -> None:
    settings, length = llama.settings, llama.text.shape[1]
    text = llama.text[:, : settings.tokens]
    times = {}
    with report.step("timing the rotation, the two sides taking turns"):
        for dtype in (torch.float32, torch.bfloat16):
            name = str(dtype).removeprefix("torch.")
            times[f"{name}, one layer"] = rotation_times(llama, rope, dtype)
        q, _ = llama.first_layer(length, torch.float32)
        positions = llama.positions(0, length)
        angles = min(
            seconds(lambda: llama.cos_and_sin(q, positions), llama.device) for _ in range(5)
        )
    with report.step("timing the whole forward pass, the two sides taking turns"):
        sides = {
            "transformers": lambda: logits(llama.model, text),
            "in place": lambda: logits(llama.enabled, text),
        }
        times["float32, whole model"] = take_turns(sides, settings.forward_seconds, llama.device)
    rows = [
        (
            name,
            *(milliseconds(taken[side]) if side in taken else "" for side in TIMED),
            f"{taken['transformers'] / taken['in place']:.2f} ×",
        )
        for name, taken in times.items()
    ]
    report.table(
        f"Time a call: a layer's rotation of {length:,} tokens, a model's reading of "
        f"{settings.tokens:,}",
        ("", "transformers", "torch_rope,\nnew tensors", "torch_rope,\nin place", "speed-up"),
        rows,
        "mean of the fastest tenth of the calls (one at least). Speed-up is transformers, which "
        "returns new tensors, over in place. A layer rotates q and k, here the same tensors again "
        "and again (so out of the caches where they fit) and without the angles: transformers "
        f"makes them for each forward pass ({milliseconds(angles)} here), torch_rope once, in its "
        "table; in an enabled model it too makes them for each pass. The whole model does much "
        "else, so a few percent there, or more on a busy machine, are noise.",
    )


def show_what_ran(llama: Llama, report: Report) -> None:
    """torch_rope.explain on the tensors that the attention layers hand over."""
    length = llama.text.shape[1]
    q, k = llama.first_layer(length, torch.float32)
    positions, table = llama.positions(0, length), llama.schedule.table(length, llama.device)
    plan = torch_rope.explain(q, k, positions, cos_sin=table, **llama.schedule.kwargs(llama.device))
    facts = [(name, str(value)) for name, value in plan.items() if value is not None]
    report.facts(f"What ran: torch_rope.explain for one layer, {length:,} tokens, float32", facts)
