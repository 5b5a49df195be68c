"""`make demo`: a transformers Llama reads this repository's README, with its own rotary function
and with torch_rope's. Every number that is printed was measured in the same run.

swap_rotary.py is the part to copy; _llama.py holds the model, _figure.py draws, _report.py prints.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from _figure import figure_path, show_figure
from _llama import BASE, LLAMA3, Llama, Settings, float64_twin
from _report import Report, seconds, take_turns
from swap_rotary import rotation
from torch import Tensor

import torch_rope

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FIGURE = ROOT / "build" / "demo" / "scores.svg"
TIMED = ("transformers", "new tensors", "in place")


def show_setting(llama: Llama, report: Report, text: Path) -> None:
    settings, device = llama.settings, llama.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    model = (
        f"LlamaForCausalLM, {settings.num_layers} layers, hidden size {settings.hidden_size}, "
        f"{settings.num_heads_q} query and {settings.num_heads_k} key heads of "
        f"{settings.head_dim}, llama3 frequencies; float32, random weights (seed 0)"
    )
    size, needed = text.stat().st_size, llama.text.shape[1]
    length = f"{size:,} bytes" + (f", repeated to make {needed:,}" if size < needed else "")
    exact = torch_rope.schedules.llama3(dim=settings.head_dim, base=BASE, **LLAMA3).inv_freq
    apart = float(((llama.schedule.inv_freq - exact).abs() / exact).max())
    rows = [
        ("versions", f"torch {torch.__version__}, transformers {transformers.__version__}"),
        ("device", f"{name}; torch uses {torch.get_num_threads()} CPU threads"),
        ("load", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; other work slows the times"),
        ("model", model),
        ("text", f"{text.name}, {length}; each byte is a token"),
        (
            "frequencies",
            "those of the model, taken as exact, for both sides and the reference. transformers "
            f"computed them in float32: at most {apart:.0e} (relative) from "
            "torch_rope.schedules.llama3, which computes in float64",
        ),
    ]
    report.facts("What is compared", rows)


def largest(difference: Tensor) -> str:
    return f"{float(difference.abs().max()):.1e}"


def show_logits(llama: Llama, report: Report, rope: torch_rope.RotaryEmbedding) -> None:
    tokens, far = llama.settings.tokens, llama.settings.far
    starts = (0, far)
    with report.step("reading the text in float64 throughout, the reference"):
        twin = float64_twin(llama.model)
        exact = [llama.logits(llama.exact_rotation, tokens, start, twin) for start in starts]
    with report.step("reading it with transformers' rotation"):
        stock = [llama.logits(None, tokens, start).double() for start in starts]
    with report.step("reading it with torch_rope's rotation"):
        ours = [llama.logits(rotation(rope), tokens, start).double() for start in starts]
    rows = [
        (
            f"at {start:,} … {start + tokens - 1:,}",
            largest(stock[index] - exact[index]),
            largest(ours[index] - exact[index]),
            largest(ours[index] - stock[index]),
        )
        for index, start in enumerate(starts)
    ]
    moved = [largest(logits[1] - logits[0]) for logits in (stock, ours, exact)]
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
            "transformers": lambda: llama.logits(None, settings.tokens),
            "in place": lambda: llama.logits(rotation(rope), settings.tokens),
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
        "table. The whole model does much else, so a few percent there, or more on a busy "
        "machine, are noise.",
    )


def show_what_ran(llama: Llama, report: Report) -> None:
    """torch_rope.explain on the tensors that the attention layers hand over."""
    length = llama.text.shape[1]
    q, k = llama.first_layer(length, torch.float32)
    positions, table = llama.positions(0, length), llama.schedule.table(length, llama.device)
    plan = torch_rope.explain(q, k, positions, cos_sin=table, **llama.schedule.kwargs(llama.device))
    facts = [(name, str(value)) for name, value in plan.items() if value is not None]
    report.facts(f"What ran: torch_rope.explain for one layer, {length:,} tokens, float32", facts)


def show_longer(llama: Llama, report: Report) -> None:
    """Position interpolation and NTK-aware scaling: the same weights over a longer text."""
    settings, factor = llama.settings, llama.settings.stretch
    short, long = settings.tokens, settings.tokens * factor
    dim, schedules = settings.head_dim, torch_rope.schedules
    plain = schedules.default(dim=dim, base=BASE)
    candidates = {
        "unscaled": plain,
        f"linear × {factor}": schedules.linear(dim=dim, base=BASE, factor=factor),
        f"NTK-aware × {factor}": schedules.ntk(dim=dim, base=BASE, alpha=factor),
    }
    rows, usual = [], None
    for name, schedule in candidates.items():
        with report.step(f"reading {long:,} tokens, {name}"):
            logits = llama.logits(rotation(llama.embedding(schedule, long)), long)
            finite = bool(logits.isfinite().all())
        usual = logits if usual is None else usual
        change = float((logits[:short] - usual[:short]).double().square().mean().sqrt())
        reach = (schedule.inv_freq * (long - 1)) / (plain.inv_freq * (short - 1))
        rows.append(
            (
                name,
                f"{float(schedule.inv_freq[0]):.2f} rad",
                f"{float(reach[0]):.1f} to {float(reach[-1]):.1f} ×",
                f"{change:.2f}",
                "all finite" if finite else "NOT FINITE",
            )
        )
    report.table(
        f"{factor} × the length: {long:,} tokens, as if {short} had been the trained length",
        (
            "frequencies",
            "fastest pair,\na token",
            "range, fastest\nto slowest pair",
            "logits\nchange by",
            "logits\nare",
        ),
        rows,
        f"range is the last token's angle over that of token {short}; above 1 a model trained on "
        f"{short} tokens meets angles new to it. Linear interpolation brings every pair back to 1 "
        "and neighbouring tokens closer together; NTK-aware scaling leaves the fastest pair as it "
        f"is and brings the slowest back. Change: root mean square over the first {short} tokens, "
        "against unscaled. What serves a trained model better, random weights cannot show.",
    )


def run(settings: Settings, text: Path, figure: Path, report: Report) -> None:
    report.title("torch_rope in a transformers Llama")
    report.say(
        "A Llama with random weights reads a real text twice: with transformers' own rotary "
        "function, then with torch_rope's. Same weights, same frequencies; only the rotation "
        "differs. (Random weights write nonsense, so no text is generated.)"
    )
    with report.step("building the model"):
        llama = Llama(settings, text)
    with report.step(f"caching cos and sin of {settings.table_rows:,} positions, once a model"):
        rope = llama.embedding(llama.schedule, settings.table_rows)
    show_setting(llama, report, text)
    show_logits(llama, report, rope)
    show_errors(llama, report, rope)
    show_figure(llama, report, rope, figure)
    show_times(llama, report, rope)
    show_what_ran(llama, report)
    show_longer(llama, report)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="a transformers Llama on torch_rope's rotation")
    parser.add_argument("--text", type=Path, default=README, help="a file for the model to read")
    devices = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    parser.add_argument("--device", choices=devices, default=devices[0])
    parser.add_argument(
        "--figure", type=figure_path, default=FIGURE, help="the .svg or .png to write"
    )
    chosen = parser.parse_args(arguments)
    if not chosen.text.is_file() or not chosen.text.stat().st_size:
        print(f"{chosen.text} has no text to read: name another file with --text", file=sys.stderr)
        return 1
    try:
        chosen.figure.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"no figure can be written there: {error}", file=sys.stderr)
        return 1
    transformers.logging.set_verbosity_error()
    start = time.perf_counter()
    report = Report()
    with torch.inference_mode():
        run(Settings(torch.device(chosen.device)), chosen.text, chosen.figure, report)
    report.say(f"Done in {time.perf_counter() - start:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
