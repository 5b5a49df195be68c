"""Where a benchmark ran, as result files say it: processor, versions, commit.

For runner.py and report.py.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import torch_rope

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("transformers", "onnxruntime", "onnx", "mlx", "rotary-embedding-torch", "numpy")
# Where the system does not tell the size of its last-level cache.
USUAL_CACHE_BYTES = 32 * 2**20


def processor() -> dict[str, Any]:
    """model: its name; family and model number where Linux tells, since a virtual machine's name
    may hide the generation; virtual: whether it is one."""
    facts = _cpuinfo()
    name = facts.get("model name") or platform.processor() or platform.machine()
    numbers = {
        key: int(facts[source])
        for key, source in {"family": "cpu family", "model_number": "model"}.items()
        if facts.get(source, "").isdigit()
    }
    virtual = "hypervisor" in facts.get("flags", "").split()
    return {"cpu": name, **numbers, "virtual": virtual, "cpus": usable_cpus()}


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def usable_cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def cache_bytes() -> int:
    """The largest cache of the first processor."""
    units = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        found = re.fullmatch(r"(\d+)([KMG]?)", path.read_text(encoding="utf-8").strip())
        if found:
            sizes.append(int(found[1]) * units[found[2]])
    return max(sizes, default=USUAL_CACHE_BYTES)


def slug(name: str) -> str:
    """A processor's name as the name of a folder: Intel(R) Xeon(R) CPU @ 2.20GHz → intel-xeon."""
    plain = re.sub(r"\((?:R|TM|C)\)|@.*|\b(?:CPU|Processor)\b", " ", name, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "unknown"


class Neighbours:
    """Measures how many CPUs other processes (and a hypervisor's other guests) take from us: on
    average within a `with` block, None where the system does not tell."""

    cpus: float | None = None

    def __enter__(self) -> Neighbours:
        self._start, self._before = time.monotonic(), _others_seconds()
        return self

    def __exit__(self, *error: object) -> None:
        after, wall = _others_seconds(), time.monotonic() - self._start
        if after is not None and self._before is not None and wall > 0:
            # Ticks are coarse: a short block may come out below nothing.
            self.cpus = max((after - self._before) / wall, 0.0)


def _others_seconds() -> float | None:
    """CPU time since the start of the machine, of all but this process."""
    try:
        line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    except OSError:
        return None
    # proc(5): user nice system idle iowait irq softirq steal, in ticks.
    ticks = [int(word) for word in line.split()[1:9]]
    busy = sum(ticks) - ticks[3] - ticks[4]
    own = os.times()
    return busy / os.sysconf("SC_CLK_TCK") - own.user - own.system


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": torch.__version__}
    found["torch_rope"] = torch_rope.build_info()["version"]
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> dict[str, Any]:
    """modified: whether tracked or new files differ from the commit, results aside."""
    head = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return {"commit": head, "modified": None if status is None else bool(status)}


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
