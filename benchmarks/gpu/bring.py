"""Brings others' rotations along, for machines that have a GPU and no network. On one that has a
network: python -m benchmarks.gpu.bring [NAME …]. Standard library only; pip does the fetching.

What arrives in third_party/peers/, which git ignores, is a few files of each package: a Triton
module, or the headers that its kernel includes. brought.json says which versions they are of.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "third_party" / "peers"
INDEX = "brought.json"
# What a checkout may weigh on its way to a GPU, and what of it the peers may.
MOST_BYTES = 32 << 20
INCLUDE = re.compile(rb'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


@dataclass(frozen=True)
class Peer:
    """package: pip's name. files: a path in the package → its place. headers: the same for one
    header, of which all that it includes comes along; roots: folder in the package → its place."""

    package: str
    about: str
    files: Mapping[str, str] = field(default_factory=dict)
    header: str = ""
    roots: Mapping[str, str] = field(default_factory=dict)


PEERS_OF = {
    "liger": Peer("liger-kernel", "a Triton file", {"liger_kernel/ops/rope.py": "liger/rope.py"}),
    "flash_attn": Peer(
        "flash-attn",
        "a Triton file",
        {"flash_attn/ops/triton/rotary.py": "flash_attn/rotary.py"},
    ),
    "flashinfer": Peer(
        "flashinfer-python",
        "headers; gpu.sh compiles them",
        header="flashinfer/data/include/flashinfer/pos_enc.cuh",
        roots={
            "flashinfer/data/include/": "flashinfer/include/",
            "flashinfer/data/cccl/libcudacxx/include/": "flashinfer/libcudacxx/",
        },
    ),
    "sglang": Peer(
        "sglang",
        "headers; gpu.sh compiles them, with tvm_ffi",
        header="sglang/kernels/jit/csrc/elementwise/rope.cuh",
        roots={
            "sglang/kernels/jit/csrc/": "sglang/csrc/",
            "sglang/kernels/jit/include/": "sglang/include/",
        },
    ),
    "tvm_ffi": Peer(
        "apache-tvm-ffi",
        "headers and a library, for sglang",
        {
            "tvm_ffi/include/tvm/": "tvm_ffi/include/tvm/",
            "tvm_ffi/include/dlpack/": "tvm_ffi/include/dlpack/",
            "tvm_ffi/lib/libtvm_ffi.so": "tvm_ffi/lib/libtvm_ffi.so",
        },
    ),
}
# Measured where they are installed.
LEFT_OUT = {
    "vllm": "a whole engine, whose kernels are built for one version of torch",
    "transformer_engine": "its part for torch is compiled while it is installed",
    "apex": "its kernels are compiled from a checkout; pip's apex is another package",
}


def read_archive(path: Path) -> dict[str, bytes]:
    """path in the package → content, of a wheel or of a source archive, whose one folder goes."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if name[-1] != "/"}
    with tarfile.open(path) as archive:
        members = [member for member in archive if member.isfile()]
        return {m.name.partition("/")[2]: archive.extractfile(m).read() for m in members}


def version_of(archive: Path) -> str:
    found = re.match(r"[^-]+-([^-]+?)(-|\.tar)", archive.name)
    return found[1] if found else "unknown"


def included(content: Mapping[str, bytes], header: str, roots: Sequence[str]) -> set[str]:
    """The header and all that it includes from the package, whatever #if it stands under."""
    found: set[str] = set()
    waiting = [header]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for match in INCLUDE.findall(content[name]):
            told = match.decode()
            places = [posixpath.join(root, told) for root in (posixpath.dirname(name), *roots)]
            places = [posixpath.normpath(place) for place in places]
            waiting += [place for place in places if place in content][:1]
    return found


def chosen(peer: Peer, content: Mapping[str, bytes]) -> dict[str, bytes]:
    """place below third_party/peers/ → content. Raises KeyError for what the package lacks."""
    placed: dict[str, bytes] = {}
    names = included(content, peer.header, tuple(peer.roots)) if peer.header else set()
    for start, place in [*peer.files.items(), *peer.roots.items()]:
        if not start.endswith("/"):
            placed[place] = content[start]
            continue
        some = names if peer.header else content
        placed |= {place + n[len(start) :]: content[n] for n in some if n.startswith(start)}
    return placed


def download(package: str, folder: Path) -> Path:
    """The newest archive that this Python can use. Without its dependencies; a source archive is
    asked for its name by this environment's setuptools and torch, and builds nothing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--dest", str(folder), package],
        env={**os.environ, "FLASH_ATTENTION_SKIP_CUDA_BUILD": "TRUE"},
        check=True,
        capture_output=True,
        text=True,
    )
    (archive,) = folder.iterdir()
    return archive


def bring(name: str, peers: Path) -> dict[str, object]:
    """Replaces what is there of this peer. Returns its line of brought.json."""
    peer = PEERS_OF[name]
    with tempfile.TemporaryDirectory() as folder:
        archive = download(peer.package, Path(folder))
        placed, version = chosen(peer, read_archive(archive)), version_of(archive)
    shutil.rmtree(peers / name, ignore_errors=True)
    for place, content in placed.items():
        (peers / place).parent.mkdir(parents=True, exist_ok=True)
        (peers / place).write_bytes(content)
    size = sum(map(len, placed.values()))
    return {"package": peer.package, "version": version, "files": len(placed), "bytes": size}


def brought(peers: Path = PEERS) -> dict[str, dict[str, object]]:
    """What is there: brought.json."""
    path = peers / INDEX
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def why(error: Exception) -> str:
    """One line. pip's last one says least; the one that opens with ERROR says most."""
    said = getattr(error, "stderr", "") or str(error)
    lines = [line for line in said.splitlines() if line.strip()]
    return next((line for line in lines if line.lower().startswith("error")), lines[-1])[:150]


def main(names: Sequence[str], peers: Path = PEERS) -> int:
    unknown = set(names) - set(PEERS_OF)
    if unknown:
        print(f"No peer {', '.join(sorted(unknown))}: there are {', '.join(PEERS_OF)}.")
        return 2
    index, missing = brought(peers), 0
    for name in names or PEERS_OF:
        try:
            index[name] = bring(name, peers)
        except (subprocess.CalledProcessError, KeyError, ValueError, OSError) as error:
            missing += 1
            print(f"{name:<19} not brought: {type(error).__name__}: {why(error)}", flush=True)
            continue
        (peers / INDEX).write_text(json.dumps(index, indent=1) + "\n", "utf-8")
        told, peer = index[name], PEERS_OF[name]
        amount = f"{told['files']} files, {told['bytes'] / 1e6:.2f} MB"
        print(f"{name:<19} {peer.package} {told['version']}: {amount}, {peer.about}", flush=True)
    for name, reason in LEFT_OUT.items():
        print(f"{name:<19} left out: {reason}")
    total = sum(line["bytes"] for line in index.values())
    print(f"{total / 1e6:.1f} MB in {peers.relative_to(ROOT) if peers == PEERS else peers}")
    if total > MOST_BYTES:
        print(f"That is more than {MOST_BYTES / 1e6:.0f} MB, which is too much to travel.")
    return 1 if missing or total > MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
