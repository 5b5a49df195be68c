"""Builds the kernels with every compiler of the matrix (builds.py), without torch and CUDA, and
checks the hashes of tests/golden on every instruction set of this processor. Behind make same-bits.

Usage: .venv/bin/python scripts/same_bits/run.py [--list] [--only NAME …] [--write]
--write makes tests/golden/hashes.inc anew instead: after a change of the cases there or in
tests/cpp/corpus.cpp, or one that is meant to change results. What then differs, git shows.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment import cmake, packages, system
from environment.report import ROOT, Failure, guarded, leave_out, required
from same_bits.builds import BUILDS, Build

SOURCE = ROOT / "tests" / "golden"
HASHES = SOURCE / "hashes.inc"
FOLDER = ROOT / "build" / "same-bits"
# What program.cpp says of each instruction set.
VERDICT = re.compile(r"^(\S+): (\d+) of (\d+) hashes$", re.MULTILINE)
ERROR = re.compile(r"\berror:|CMake Error|undefined reference|multiple definition")
MOST_LINES = 12
WRITER = "g++-O2"


@dataclass(frozen=True)
class Result:
    build: Build
    checked: str  # what was checked and agrees
    complaint: str | None
    seconds: float


def provide(build: Build) -> str | None:
    """Installs what is missing, if this can be done; why the build cannot be tried, or None."""
    for program in build.programs:
        if program.path() is None:
            system.apt_install(program.package)
        if program.path() is None:
            return f"no {program.names[0]}; install it (apt-get install {program.package})"
    return build.missing_here()


def run(*command: str) -> tuple[int, str]:
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=packages.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return result.returncode, result.stdout


def compiled(build: Build) -> str:
    """On one core; what went wrong, or nothing."""
    folder = str(FOLDER / build.name)
    generator = ["-G", "Ninja"] if packages.program("ninja") else []
    configure = ["cmake", "-S", str(SOURCE), "-B", folder, *generator, *build.configure()]
    status, output = run(*configure)
    if status:  # CMake refuses the cache of a checkout that was moved.
        status, output = run(*configure, "--fresh")
    if not status:
        status, output = run("cmake", "--build", folder, "--parallel", "1")
    if not status:
        return ""
    lines = output.splitlines()
    return "\n".join(([line for line in lines if ERROR.search(line)] or lines)[:MOST_LINES])


def judged(status: int, output: str) -> tuple[str, str | None]:
    """What agrees, and what does not, of a program that ended with status and said output."""
    verdicts = VERDICT.findall(output)
    agreeing = [name for name, right, all_ in verdicts if right == all_ != "0"]
    if status == 0 and verdicts and len(agreeing) == len(verdicts):
        return f"{verdicts[0][2]} hashes on {', '.join(agreeing)}", None
    lines = output.splitlines()
    shown = [line for line in lines if not VERDICT.match(line)][:MOST_LINES]
    shown += [line for line in lines if VERDICT.match(line)]
    return "", "\n".join([*shown, f"status {status}"])


def examine(build: Build) -> Result:
    start = time.monotonic()
    trouble = compiled(build)
    if trouble:
        return Result(build, "", trouble, time.monotonic() - start)
    checked, complaint = judged(*run(*build.command(FOLDER / build.name / "golden")))
    return Result(build, checked, complaint, time.monotonic() - start)


def tell(result: Result) -> None:
    verdict = "FAILED" if result.complaint else f"ok: {result.checked}"
    print(f"{result.build.name:<9} {result.seconds:5.1f} s  {verdict}", flush=True)
    for line in (result.complaint or "").splitlines():
        print(f"    {line}", flush=True)


def check(builds: Sequence[Build]) -> int:
    """One build a core: most of a build's steps use no more."""
    missing = {build: reason for build in builds if (reason := provide(build))}
    here = [build for build in builds if build not in missing]
    good = 0
    with ThreadPoolExecutor(cmake.jobs()) as pool:
        for result in pool.map(examine, here):
            tell(result)
            good += result.complaint is None
    for build, reason in missing.items():
        print(f"{build.name:<9}          NOT CHECKED: {reason}", flush=True)
    print(f"{good} of {len(builds)} builds have the committed hashes", flush=True)
    if missing and not required() and good == len(here):
        leave_out(f"{', '.join(build.name for build in missing)}: see above.")
        return 0
    return 0 if good == len(builds) else 1


def write(build: Build) -> int:
    HASHES.touch()
    trouble = provide(build) or compiled(build)
    if trouble:
        raise Failure(f"{build.name} does not build:\n{trouble}")
    status, text = run(*build.command(FOLDER / build.name / "golden"), "--print")
    if status:
        raise Failure(f"The program of {build.name} failed:\n{text}")
    old = set(HASHES.read_text(encoding="utf-8").splitlines())
    new = set(text.splitlines())
    HASHES.write_text(text, encoding="utf-8")
    print(f"{HASHES.relative_to(ROOT)}: {len(new - old)} lines added, {len(old - new)} removed")
    return 0


def main(arguments: Sequence[str]) -> int:
    named = {build.name: build for build in BUILDS}
    parser = argparse.ArgumentParser(description="The same hashes from every compiler.")
    parser.add_argument("--list", action="store_true", help="only list the builds")
    parser.add_argument("--only", nargs="+", choices=named, default=list(named), metavar="NAME")
    parser.add_argument("--write", action="store_true", help="make hashes.inc anew")
    options = parser.parse_args(arguments)
    if options.list:
        for build in BUILDS:
            print(f"{build.name:<9} {build.compiler.names[0]} {build.flags}")
        return 0
    if options.write:
        return write(named[WRITER])
    return check([named[name] for name in options.only])


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
