"""The torch that a program is built with: an unpacked LibTorch without CUDA, or one of another
version, at configuration and at compilation.
"""

import re
from pathlib import Path

import pytest
from programs import run, succeed

HERE = Path(__file__).resolve().parent
VERSION_HEADER = Path("include") / "torch" / "headeronly" / "version.h"


@pytest.fixture
def cpu_libtorch(tmp_path, torch_root):
    """An unpacked LibTorch without CUDA: of this torch's libraries, the two that such a one has
    too, and the empty libtorch.so, which here names no CUDA library."""
    root = tmp_path / "libtorch"
    (root / "lib").mkdir(parents=True)
    (root / "include").symlink_to(torch_root / "include")
    for name in ("libc10.so", "libtorch_cpu.so"):
        (root / "lib" / name).symlink_to(torch_root / "lib" / name)
    # A torch with CUDA has libraries beside it that its libtorch_cpu.so asks for.
    for place in torch_root.parent.glob("nvidia*"):
        (tmp_path / place.name).symlink_to(place)
    for library in torch_root.glob("lib/libgomp*"):
        (root / "lib" / library.name).symlink_to(library)
    empty = ["g++", "-shared", "-x", "c++", "/dev/null", "-o", root / "lib" / "libtorch.so"]
    succeed(*empty, "-Wl,-soname,libtorch.so")
    return root


def test_cpu_libtorch(build, prefix, cpu_libtorch, toolless):
    folder = build(HERE / "registered", f"CMAKE_PREFIX_PATH={prefix};{cpu_libtorch}")
    assert succeed(folder / "registered", env=toolless) == "rope::apply is registered\n"
    dynamic = succeed("readelf", "-d", folder / "registered")
    assert re.search(r"NEEDED.*\[libtorch_cpu\.so\]", dynamic)
    assert "libtorch_cuda" not in dynamic
    assert str(cpu_libtorch / "lib") in dynamic


def write_version(root, version):
    header = root / VERSION_HEADER
    header.parent.mkdir(parents=True)
    names = zip(("MAJOR", "MINOR", "PATCH"), version.split("."), strict=True)
    header.write_text("".join(f"#define TORCH_VERSION_{k} {v}\n" for k, v in names))


def test_another_torch_is_refused(configure, tmp_path):
    (tmp_path / "include" / "ATen").mkdir(parents=True)
    (tmp_path / "include" / "ATen" / "ATen.h").touch()
    write_version(tmp_path, "2.1.3")
    status, output, _ = configure(HERE / "refused", "ROPE_COMPONENT=rope", f"TORCH_ROOT={tmp_path}")
    assert status != 0
    assert re.search(
        rf"rope: built for torch \d+\.\d+\.\d+, but {re.escape(str(tmp_path))} is torch 2\.1\.3",
        output,
    )


def test_missing_torch_is_refused(configure, tmp_path):
    status, output, _ = configure(HERE / "refused", "ROPE_COMPONENT=rope", f"TORCH_ROOT={tmp_path}")
    assert status != 0
    assert "rope: no torch found: set TORCH_ROOT" in output


@pytest.mark.parametrize("version", ["the same", "2.1.3"])
def test_headers_of_another_torch_are_refused(prefix, torch_root, tmp_path, version):
    """Where CMake is not asked, the compiler says it."""
    if version == "the same":
        torch = torch_root
    else:
        torch = tmp_path
        write_version(torch, version)
    source = tmp_path / "source.cpp"
    source.write_text("#include <rope/torch_version.h>\n")
    command = ["g++", "-fsyntax-only", f"-I{prefix}/include", f"-I{torch}/include", source]
    status, output = run(*command)
    assert (status == 0) == (version == "the same")
    assert ("rope: built for torch" in output) == (status != 0)
