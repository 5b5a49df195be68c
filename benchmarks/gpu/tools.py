"""The steps of main.py that run under NVIDIA's tools: compute-sanitizer on the tests, and Nsight
Compute on the main kernel. Each is skipped where its tool is not installed. Standard library only.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.gpu.steps import Command, Skip, Step

GPU_REQUIRED = {"ROPE_REQUIRE_CUDA": "1"}
# Every kernel, in a grid of surplus threads; positions that tables have no rows for.
SANITIZED = "*Executor/*_crowded_*:*OnTheDevice/bf16_*shorttable*:*OnTheDevice/bf16_*foreigntable*"
# Its other tests make the runtime report errors.
SANITIZED_STREAM = "CudaStream.*"
SANITIZED_FEW = "*Executor/bf16_split_*_crowded_*"

# For each launch: bytes to and from memory, sectors a request (32 lanes of 16 bytes touch 16),
# L2's share, registers, and what occupancy came of them.
METRICS = (
    *("gpu__time_duration.sum", "dram__bytes_read.sum", "dram__bytes_write.sum"),
    "l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_ld.ratio",
    "l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_st.ratio",
    *("lts__t_sectors_op_read.sum", "lts__t_sectors_op_write.sum", "lts__t_sector_hit_rate.pct"),
    *("launch__registers_per_thread", "launch__grid_size", "launch__block_size"),
    *("sm__warps_active.avg.pct_of_peak_sustained_active", "smsp__inst_executed.sum"),
)
SECTIONS = ("SpeedOfLight", "Occupancy", "LaunchStats", "WarpStateStats")
PROFILED_TOKENS = (8192, 1)


def sanitized(tool: str, build: Path, tests: Sequence[Sequence[str]]) -> list[Command]:
    program = shutil.which("compute-sanitizer")
    if program is None:
        raise Skip("no compute-sanitizer")
    options = ["--tool", tool, "--error-exitcode", "86"]
    return [
        Command(
            [program, *options, str(build / "tests" / name), *filters, "--gtest_brief=1"],
            GPU_REQUIRED,
        )
        for name, *filters in tests
    ]


def memcheck(_limit: float, build: Path) -> list[Command]:
    parity = ("cuda_parity_test", f"--gtest_filter={SANITIZED}")
    stream = ("cuda_stream_test", f"--gtest_filter={SANITIZED_STREAM}")
    return sanitized("memcheck", build, [parity, stream, ("cuda_table_test",)])


def initcheck(_limit: float, build: Path) -> list[Command]:
    return sanitized("initcheck", build, [("cuda_parity_test", f"--gtest_filter={SANITIZED_FEW}")])


def racecheck(_limit: float, build: Path) -> list[Command]:
    return sanitized("racecheck", build, [("cuda_parity_test", f"--gtest_filter={SANITIZED_FEW}")])


def profile(_limit: float, packages: Path) -> list[Command]:
    """Of one call, which profiled.py marks. The clocks of the card stay as they are."""
    program = shutil.which("ncu")
    if program is None:
        raise Skip("no ncu")
    options = ["--clock-control", "none", "--profile-from-start", "off"]
    options += ["--metrics", ",".join(METRICS)]
    options += [word for section in SECTIONS for word in ("--section", section)]
    one_call = [sys.executable, "-m", "benchmarks.gpu.profiled"]
    return [
        Command([program, *options, *one_call, str(tokens)], {"PYTHONPATH": str(packages)})
        for tokens in PROFILED_TOKENS
    ]


def steps(build: Path, packages: Path) -> list[Step]:
    """What is left for after the measurement, in the order of what is needed most."""
    made = {"log": "sanitizer.log", "needs": ("configure",)}
    made["headline"] = r"ERROR SUMMARY|RACECHECK SUMMARY"
    return [
        Step("memcheck", limit=75, commands=partial(memcheck, build=build), reserve=20, **made),
        Step(
            "profile",
            "profile.log",
            60,
            partial(profile, packages=packages),
            optional=True,
            needs=("install",),
            headline=r"ERR_|dram__bytes_read",
            others=True,
        ),
        Step(
            "initcheck",
            limit=40,
            commands=partial(initcheck, build=build),
            optional=True,
            **made,
        ),
        Step(
            "racecheck",
            limit=40,
            commands=partial(racecheck, build=build),
            optional=True,
            **made,
        ),
    ]
