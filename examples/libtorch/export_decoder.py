"""Writes the folder that the C++ program runs: a decoder, compiled, and what Python makes of it.

    python export_decoder.py OUT [--device cuda] [--dtype bfloat16] [--layers 8] …

OUT/model.pt2     code alone: "prefill" takes any number of tokens into an empty cache, "decode" one
OUT/weights.pt    name → tensor, for both
OUT/expected.pt   a prompt, the tokens that this model chooses after it, the logits of each token,
                  and by how much the program's logits may differ
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from expected import expected_results
from model import Decoder, Sizes
from torch import Tensor
from torch._inductor.package import package_aoti
from torch.export import Dim

# As little work for the C++ compiler as can be.
QUICK = {"aot_inductor.compile_wrapper_opt_level": "O0", "aot_inductor.precompile_headers": False}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compiles a small decoder for the C++ program.")
    parser.add_argument("out", type=Path, help="folder to write; made if it is not there")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--heads-q", type=int, default=8)
    parser.add_argument("--heads-k", type=int, default=2)
    parser.add_argument("--head-dim", type=int, default=32)
    parser.add_argument("--capacity", type=int, default=2048, help="tokens that a cache holds")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, which are random")
    parser.add_argument("--prompt", default="The position of a token is an angle.")
    parser.add_argument("--tokens", type=int, default=64, help="to choose after the prompt")
    parser.add_argument("--quick", action="store_true", help="compile quickly, for tests")
    chosen = parser.parse_args()
    length = len(chosen.prompt.encode())
    if length < 2 or chosen.tokens < 1 or length + chosen.tokens > chosen.capacity:
        parser.error(
            f"a prompt of {length} bytes and {chosen.tokens} tokens: at least 2 and 1,"
            f" together at most the capacity, {chosen.capacity}"
        )
    return chosen


def compiled(
    model: Decoder, num_tokens: int | None, cache: list[Tensor], options: dict[str, Any]
) -> Any:
    """The files of AOTInductor for num_tokens tokens, or for as many as are in the cache."""
    # Export takes an extent of 1 for a constant, which is why these are two models.
    largest = model.rope.table_rows
    total = Dim("total", min=2 if num_tokens is None else 1, max=largest)
    tokens = torch.zeros(1, num_tokens or cache[0].shape[1], dtype=torch.int64)
    tokens_shape = {1: total} if num_tokens is None else {}
    program = torch.export.export(
        model,
        (tokens.to(cache[0].device), *cache),
        dynamic_shapes=(tokens_shape, tuple({1: total} for _ in cache)),
        strict=False,
    )
    args, kwargs = program.example_inputs
    return torch._inductor.aot_compile(
        program.module(check_guards=False), args, kwargs, options=options
    )


def compile_package(model: Decoder, sizes: Sizes, path: Path, quick: bool) -> None:
    of_cache = {
        name: getattr(sizes, name) for name in ("layers", "capacity", "heads_k", "head_dim")
    }
    options: dict[str, Any] = {
        "aot_inductor.package": True,
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.metadata": {name: str(value) for name, value in of_cache.items()},
        **(QUICK if quick else {}),
    }
    files = {}
    for name, num_tokens in (("prefill", None), ("decode", 1)):
        start = time.perf_counter()
        files[name] = compiled(model, num_tokens, model.cache(8), dict(options))
        print(f"{name:8} compiled in {time.perf_counter() - start:.0f} s", flush=True)
    package_aoti(str(path), files)


def weights_of(model: Decoder) -> dict[str, Tensor]:
    """By the names that the compiled models know them by; the C++ side moves them to its device."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach().cpu() for name, tensor in named.items()}


@torch.no_grad()
def main() -> None:
    chosen = arguments()
    sizes = Sizes(**{name: getattr(chosen, name) for name in Sizes.__dataclass_fields__})
    torch.manual_seed(chosen.seed)
    model = Decoder(sizes).to(chosen.device, DTYPES[chosen.dtype])
    chosen.out.mkdir(parents=True, exist_ok=True)
    prompt = torch.tensor([list(chosen.prompt.encode())], device=chosen.device)

    expected = expected_results(model, prompt, chosen.tokens)
    compile_package(model, sizes, chosen.out / "model.pt2", chosen.quick)
    torch.save(weights_of(model), chosen.out / "weights.pt")
    torch.save(expected, chosen.out / "expected.pt")
    print(f"written: model.pt2, weights.pt and expected.pt in {chosen.out}")


if __name__ == "__main__":
    main()
