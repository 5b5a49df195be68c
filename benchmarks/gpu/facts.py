"""What a run is of and where it ran: commit, device, driver, versions. For main.py and bench.py;
as a program it prints them as JSON. What cannot be found out is None.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "triton", "transformers", "pytest", "hypothesis")
# What the numbers of a run depend on; a checkout without .git is told apart by it.
SOURCES = ("CMakeLists.txt", "kernels", "csrc", "python/torch_rope", "benchmarks/gpu")
SUFFIXES = {".txt", ".h", ".cpp", ".cu", ".cuh", ".py"}
SMI_FIELDS = ("name", "driver_version", "compute_cap", "memory.total", "clocks.max.sm")


def output_of(*command: str) -> str | None:
    """What a program prints, or None where it is not there or fails."""
    try:
        result = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def version_of(*command: str) -> str | None:
    """The first number with a point in it that a program prints about itself."""
    found = re.search(r"\d+\.\d+[\w.]*", output_of(*command, "--version") or "")
    return found[0] if found else None


def nvcc_version() -> str | None:
    found = re.search(r"release [\d.]+, V([\d.]+)", output_of("nvcc", "--version") or "")
    return found[1] if found else None


def package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def source_hash() -> str:
    """Of the files that decide what is measured, their names included."""
    digest = hashlib.sha256()
    for place in SOURCES:
        path = ROOT / place
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            name = file.relative_to(ROOT).as_posix()
            installed = name.startswith(("python/torch_rope/include", "python/torch_rope/lib"))
            if file.is_file() and file.suffix in SUFFIXES and not installed:
                digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def commit() -> dict[str, Any]:
    """commit and dirty are None where neither git nor ROPE_COMMIT tells them."""
    status = output_of("git", "status", "--porcelain") if (ROOT / ".git").exists() else None
    head = output_of("git", "rev-parse", "HEAD") if status is not None else None
    return {
        "commit": os.environ.get("ROPE_COMMIT") or head,
        "dirty": None if status is None else bool(status),
        "source_hash": source_hash(),
    }


def gpus() -> list[dict[str, str]]:
    """As nvidia-smi tells them; settings are read, never changed."""
    query = ["nvidia-smi", f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader"]
    lines = (output_of(*query) or "").splitlines()
    rows = [line.split(", ") for line in lines if line.count(", ") == len(SMI_FIELDS) - 1]
    return [dict(zip(SMI_FIELDS, row, strict=True)) for row in rows]


def architecture() -> str | None:
    """The first GPU's, as CMake writes it: "90-real"."""
    for gpu in gpus():
        if re.fullmatch(r"\d+\.\d", gpu["compute_cap"]):
            return gpu["compute_cap"].replace(".", "") + "-real"
    return None


def torch_facts() -> dict[str, Any]:
    """What torch says of itself and of its current device."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return {"error": str(error)}
    found: dict[str, Any] = {"version": torch.__version__, "cuda": torch.version.cuda}
    if not torch.cuda.is_available():
        return found | {"device": None}
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return found | {
        "device": properties.name,
        "devices": torch.cuda.device_count(),
        "multiprocessors": properties.multi_processor_count,
        "l2_bytes": properties.L2_cache_size,
        "memory_bytes": properties.total_memory,
    }


def collect() -> dict[str, Any]:
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **commit(),
        "gpus": gpus(),
        "torch": torch_facts(),
        "nvcc": nvcc_version(),
        "cmake": version_of("cmake"),
        "compiler": version_of(os.environ.get("CXX", "c++")),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "kernel": platform.release(),
        "processor": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
    }


def headline(facts: dict[str, Any] | None) -> str:
    """One line for people."""
    if facts is None:
        return "machine unknown"
    gpu = facts["gpus"][0] if facts["gpus"] else {"name": "no GPU", "driver_version": "none"}
    versions = f"torch {facts['torch'].get('version')}, nvcc {facts['nvcc']}"
    return f"{gpu['name']}, driver {gpu['driver_version']}, {versions}"


if __name__ == "__main__":
    print(json.dumps(collect(), indent=1))
