"""`make demo`: transformers' Llama, GLM and GPT-NeoX read this repository's README with their own
rotary functions and, after `enable(model)`, with torch_rope's. Every number that is printed was
measured in the same run.

_models.py holds the models; _logits.py, _figure.py and _speed.py compare, _report.py prints.
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
from _logits import show_architectures, show_errors, show_logits
from _models import BASE, LLAMA3, Llama, Settings, logits
from _report import Report
from _speed import show_times, show_what_ran

import torch_rope
from torch_rope.integrations.transformers import enable

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FIGURE = ROOT / "build" / "demo" / "scores.svg"


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
            enable(llama.enabled, frequencies=schedule)
            result = logits(llama.enabled, llama.text[:, :long])
            finite = bool(result.isfinite().all())
        usual = result if usual is None else usual
        change = float((result[:short] - usual[:short]).double().square().mean().sqrt())
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
    report.title("torch_rope in models of transformers")
    report.say(
        "Models with random weights read a real text twice: with transformers' own rotary "
        "function, then with torch_rope's, after enable(model). Same weights, same frequencies; "
        "only the rotation differs. (Random weights write nonsense, so no text is shown.)"
    )
    with report.step("building the Llama"):
        llama = Llama(settings, text)
    with report.step(f"caching cos and sin of {settings.table_rows:,} positions, once a model"):
        rope = llama.embedding(settings.table_rows)
    show_setting(llama, report, text)
    show_architectures(settings, llama.text, report)
    show_logits(llama, report)
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
