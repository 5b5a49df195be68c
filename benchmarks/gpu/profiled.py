"""What tools.py profiles: python -m benchmarks.gpu.profiled TOKENS [DEVICE] rotates a Llama-3-8B's
q and k in place, with a table, and marks one call for the profiler: not the first one, which finds
nothing in the instruction cache."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from benchmarks.gpu.cases import LLAMA, Case, Workload
from benchmarks.gpu.providers import ours


def main(arguments: Sequence[str]) -> int:
    tokens, device = [*arguments, "cuda"][:2]
    work = Workload(Case(int(tokens), **LLAMA), torch.device(device), 2)
    first, second = ours(work, table=True)
    first()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.cudart().cudaProfilerStart()
    second()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.cudart().cudaProfilerStop()
    print(f"{tokens} tokens, {work.case.counted_bytes} bytes counted a call")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
