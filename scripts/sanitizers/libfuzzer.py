"""The libFuzzer programs of tests/fuzz: short and always alike for CI, or long with a new seed and
with what earlier long runs have found worth keeping. For run.py.
"""

import secrets
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from environment import cmake, packages, system
from environment.report import ROOT, Failure, leave_out, show_end
from same_bits.builds import CLANG_14

TARGETS = ("plan", "overlap", "rotation", "table", "schedules")
# Inputs are numbers in a row: long ones from the start, and no time spent on ranking them.
OPTIONS = ("-max_len=1024", "-len_control=0", "-entropic=0", "-timeout=60", "-print_final_stats=1")
SHORT_SEED = 1


@dataclass(frozen=True)
class Result:
    target: str
    runs: int
    status: int
    log: str
    seconds: float


def has_clang() -> bool:
    if CLANG_14.path() is None:
        system.apt_install(CLANG_14.package)
    if CLANG_14.path() is not None:
        return True
    leave_out(f"fuzzing below torch: no clang; apt-get install {CLANG_14.package}.")
    return False


def run_target(folder: Path, target: str, seconds: int, seed: int, keep: bool) -> Result:
    findings = folder / "findings"
    findings.mkdir(exist_ok=True)
    corpus = folder / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    command = [str(folder / "tests" / "fuzz" / f"{target}_fuzz"), *OPTIONS]
    command += [f"-max_total_time={seconds}", f"-seed={seed}"]
    command += [f"-artifact_prefix={findings}/{target}-"]
    start = time.monotonic()
    process = subprocess.run(
        [*command, *([str(corpus)] if keep else [])],
        cwd=ROOT,
        env=packages.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    lines = process.stdout.splitlines()
    units = [line.split()[-1] for line in lines if line.startswith("stat::number_of_executed")]
    runs = int(units[-1]) if units else 0
    return Result(target, runs, process.returncode, process.stdout, time.monotonic() - start)


def tell(result: Result) -> None:
    verdict = "nothing found" if result.status == 0 else f"FAILED, status {result.status}"
    line = f"{result.target:<9} {result.runs:>10} inputs in {result.seconds:5.0f} s  {verdict}"
    print(line, flush=True)
    if result.status:
        said = [line for line in result.log.splitlines() if not line.startswith(("#", "stat::"))]
        show_end("\n".join(said))


def run(only: Sequence[str], seconds: int, long: bool, seed: int | None) -> None:
    """Each target for that many seconds, one a core."""
    if not has_clang():
        return
    cmake.build("fuzz")
    folder = ROOT / "build" / "fuzz"
    if seed is None:
        seed = 1 + secrets.randbelow(2**31 - 1) if long else SHORT_SEED
    print(f"libFuzzer, seed {seed}", flush=True)
    with ThreadPoolExecutor(cmake.jobs()) as pool:
        results = list(pool.map(lambda name: run_target(folder, name, seconds, seed, long), only))
    for result in results:
        tell(result)
    failed = [result.target for result in results if result.status or not result.runs]
    if failed:
        raise Failure(
            f"A fault was found by {', '.join(failed)}: the inputs are in build/fuzz/findings; "
            "repeat one with build/fuzz/tests/fuzz/NAME_fuzz FILE."
        )
