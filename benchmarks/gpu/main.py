"""The steps of benchmarks/gpu.sh, which says what they are for. Usage, from the checkout's root:
python3 -m benchmarks.gpu.main OUT_DIR. Standard library only: torch may be what does not work.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import facts, tools
from benchmarks.gpu.bring import brought
from benchmarks.gpu.steps import Command, Failed, Run, Skip, Step, on_termination
from benchmarks.gpu.tools import GPU_REQUIRED

ROOT = facts.ROOT
BUILD = ROOT / "build" / "cuda"
SCALE_BUILD = ROOT / "build" / "cuda-scale"
PEERS_BUILD = ROOT / "build" / "cuda-peers"
# A package of its own, so that an editable install of this checkout stays as it is.
PACKAGES = BUILD / "python"
# Seconds for everything: a command may take ten minutes where GPUs are lent, files included.
TIME_LIMIT = 555.0
# Where nothing tells the GPU's architecture, so that at least the build is tried.
FALLBACK_ARCHITECTURE = "90-real"
GTEST_INSTALLED = (Path("/usr/include/gtest/gtest.h"), Path("/usr/src/googletest/CMakeLists.txt"))
GTEST_BROUGHT = ROOT / "third_party" / "googletest"
SHOWN_PREFIX = "| "  # of the benchmark's lines for people
BYTES_PER_JOB = 2 << 30  # what g++ takes for a file that includes torch


class Context:
    """What the steps share. report: what report.json will hold."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.report: dict[str, Any] = {"facts": None}
        self.architecture = FALLBACK_ARCHITECTURE

    def write_report(self, run: Run) -> None:
        content = {**self.report, "failed": run.failed, "steps": run.report()}
        (self.out / "report.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")

    def look(self, limit: float) -> list[Command]:
        """In a process of its own: importing torch may fail in any way."""
        command = [sys.executable, "-m", "benchmarks.gpu.facts"]
        try:
            result = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=True
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{error}: {error.stderr or ''}"[:300]) from error
        self.report["facts"] = json.loads(result.stdout)
        found = facts.architecture()
        self.architecture = found or FALLBACK_ARCHITECTURE
        self.report["architecture"] = self.architecture
        if found is None:
            raise Failed(f"nvidia-smi tells of no GPU; the build is for {FALLBACK_ARCHITECTURE}")
        return []

    def configure(self, _limit: float) -> list[Command]:
        forget_if_stale()
        source = googletest()
        arguments = [f"-DPython_EXECUTABLE={sys.executable}", *generator(BUILD)]
        arguments.append(f"-DROPE_CUDA_ARCHITECTURES={self.architecture}")
        arguments.append(f"-DROPE_TESTS={'OFF' if source is None else 'ON'}")
        if source:
            arguments.append(f"-DROPE_GTEST_SOURCE={source}")
        return [Command(["cmake", "--preset", "cuda", *arguments])]

    def configure_scale(self, _limit: float) -> list[Command]:
        architecture = f"-DCMAKE_CUDA_ARCHITECTURES={self.architecture}"
        places = ["-S", "benchmarks/gpu", "-B", str(SCALE_BUILD)]
        return [
            Command(["cmake", *places, architecture, *generator(SCALE_BUILD)]),
            Command(["cmake", "--build", str(SCALE_BUILD)]),
        ]

    def peers(self, _limit: float) -> list[Command]:
        """Others' headers, where bring.py has brought them. Their Triton files need no build."""
        if not brought():
            raise Skip("nothing was brought along: python -m benchmarks.gpu.bring")
        architecture = f"-DCMAKE_CUDA_ARCHITECTURES={self.architecture}"
        places = ["-S", "benchmarks/gpu/peers", "-B", str(PEERS_BUILD)]
        configure = ["cmake", *places, architecture, *generator(PEERS_BUILD)]
        build = ["cmake", "--build", str(PEERS_BUILD), "--parallel", "2", "--"]
        return [Command(configure), Command([*build, *keep_going(PEERS_BUILD)])]

    def bench(self, limit: float) -> list[Command]:
        # It looks at the clock between cases, and a case takes some seconds.
        seconds = ["--seconds", f"{max(limit - 20, 10):.0f}"]
        scale = ["--scale", str(SCALE_BUILD / "librope_scale.so"), "--peers", str(PEERS_BUILD)]
        out = ["--out", str(self.out / "bench.json")]
        program = [sys.executable, "-m", "benchmarks.gpu.bench"]
        return [Command([*program, *out, *scale, *seconds], {"PYTHONPATH": str(PACKAGES)})]


def forget_if_stale() -> None:
    """A cache of another place or another Python would be believed."""
    cache = BUILD / "CMakeCache.txt"
    if not cache.exists():
        return
    text = cache.read_text("utf-8", errors="replace")
    wanted = {"CMAKE_HOME_DIRECTORY": str(ROOT), "Python_EXECUTABLE": sys.executable}
    for name, value in wanted.items():
        found = re.search(rf"^{name}:\w+=(.*)$", text, re.MULTILINE)
        if found is None or found[1] != value:
            shutil.rmtree(BUILD)
            return


def generator(build: Path) -> list[str]:
    """A configured folder keeps its own."""
    if (build / "CMakeCache.txt").exists():
        return []
    return ["-G", "Ninja" if shutil.which("ninja") else "Unix Makefiles"]


def keep_going(build: Path) -> list[str]:
    """What does not compile does not keep the rest from being built: said to the generator that a
    folder is, or will be, configured for."""
    configured = (build / "CMakeCache.txt").exists()
    ninja = (build / "build.ninja").exists() if configured else shutil.which("ninja")
    return ["-k", "0"] if ninja else ["-k"]


def googletest() -> str | None:
    """Its source folder, "" where it is installed, None where there is none."""
    for place in (os.environ.get("ROPE_GTEST_SOURCE", ""), str(GTEST_BROUGHT)):
        if place and (Path(place) / "CMakeLists.txt").exists():
            return place
    return "" if any(place.exists() for place in GTEST_INSTALLED) else None


def jobs() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // BYTES_PER_JOB))


def build(_limit: float) -> list[Command]:
    """The package first."""
    command = ["cmake", "--build", str(BUILD), "--parallel", str(jobs())]
    return [
        Command([*command, "--target", "rope", "_C"]),
        Command([*command, "--", *keep_going(BUILD)]),
    ]


def install(_limit: float) -> list[Command]:
    package = PACKAGES / "torch_rope"
    shutil.rmtree(PACKAGES, ignore_errors=True)
    built = shutil.ignore_patterns("include", "lib", "share", "*.so", "_built.py", "__pycache__")
    shutil.copytree(ROOT / "python" / "torch_rope", package, ignore=built)
    copy = ["cmake", "--install", str(BUILD), "--prefix", str(package)]
    loads = "import torch_rope; print(torch_rope.build_info())"
    return [
        *(Command([*copy, "--component", name]) for name in ("library", "python")),
        Command([sys.executable, "-c", loads], {"PYTHONPATH": str(PACKAGES)}),
    ]


def ctest(_limit: float) -> list[Command]:
    if googletest() is None:
        raise Failed("no GoogleTest: benchmarks/gpu.sh --help says how to bring it along")
    command = ["ctest", "--test-dir", str(BUILD), "--parallel", str(jobs()), "--output-on-failure"]
    return [Command([*command, "--no-tests=error"], GPU_REQUIRED)]


def pytest(_limit: float) -> list[Command]:
    environment = {**GPU_REQUIRED, "PYTHONPATH": str(PACKAGES), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/python"]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(min(8, jobs()))]
    return [Command(command, environment)]


def steps_of(context: Context) -> list[Step]:
    """In the order of what is needed most: first that it is right, then how quick it is."""
    compiling = r"\berror\b|FAILED|Error \d"
    gtest = ("configure",)
    return [
        Step("facts", "build.log", 60, context.look),
        Step("configure", "build.log", 60, context.configure, headline=compiling),
        Step("build", "build.log", 200, build, needs=("configure",), headline=compiling),
        Step("scale kernel", "build.log", 60, context.configure_scale, 10, headline=compiling),
        Step("install", "build.log", 40, install, 10, needs=("configure",), headline="Error"),
        Step("gtest", "gtest.log", 90, ctest, 30, needs=gtest, headline="tests passed"),
        Step(
            "pytest", "pytest.log", 120, pytest, 45, needs=("install",), headline=r" in \d+\.\d+s"
        ),
        Step(
            "peers",
            "build.log",
            75,
            context.peers,
            optional=True,
            headline=compiling,
            others=True,
        ),
        Step(
            "bench",
            "bench.log",
            280,
            context.bench,
            150,
            needs=("install",),
            headline="^summary:|no CUDA device",
            shown=SHOWN_PREFIX,
        ),
        *tools.steps(BUILD, PACKAGES),
    ]


def main(arguments: Sequence[str]) -> int:
    (name,) = arguments
    out = Path(name)
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    os.environ["PATH"] = os.pathsep.join(programs)
    context = Context(out)
    steps = steps_of(context)
    for name in {"report.json", "bench.json", *(step.log for step in steps)}:
        (out / name).unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, on_termination)
    run = Run(ROOT, out, TIME_LIMIT)
    run.on_outcome = lambda: context.write_report(run)
    run.all(steps)
    print(facts.headline(context.report["facts"]))
    run.print_table()
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
