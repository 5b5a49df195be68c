"""rope::kernels, shared and static, in programs without torch: from an installation that has all of
Rope, and from a build that was told to have nothing else.
"""

import re

import pytest
from programs import run, succeed

import torch_rope
from environment import cmake
from environment.report import ROOT, required

EXAMPLE = ROOT / "examples" / "kernels"
NO_GPU = 77  # what rotate_cuda returns
KINDS = pytest.mark.parametrize("library", ["kernels", "kernels_static"])


def libraries_of(program):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", succeed("readelf", "-d", program))


def check_example(folder, library, env):
    needed = libraries_of(folder / "rotate")
    assert ("librope_kernels.so" in needed) == (library == "kernels")
    assert not [name for name in needed if "torch" in name or "cuda" in name]
    output = succeed(folder / "rotate", env=env)
    assert "against long double: 0." in output
    assert output.endswith("the same bits\n")


@KINDS
def test_example(build, toolless, library):
    folder = build(EXAMPLE, f"ROPE_KERNELS={library}", "TORCH_ROOT=/nowhere")
    check_example(folder, library, toolless)
    gpu = folder / "rotate_cuda"
    if not gpu.exists():
        reason = "rotate_cuda was not built: no CUDA toolkit"
        pytest.fail(reason) if required() else pytest.skip(reason)
    status, output = run(gpu, env=toolless)
    if status == NO_GPU:
        assert output.startswith("no GPU: ")
    else:
        assert status == 0, output
        assert output.count("the bits of the CPU") == 2


@pytest.fixture(scope="session")
def kernels_alone(tmp_path_factory, toolless):
    """The prefix of a build of the kernels for the CPU, which has seen neither torch nor CUDA."""
    folder = tmp_path_factory.mktemp("alone")
    options = ["-DROPE_TORCH=OFF", "-DROPE_CUDA=OFF", "-DTORCH_ROOT=/nowhere"]
    succeed("cmake", "-S", ROOT, "-B", folder / "build", *options, env=toolless)
    succeed("cmake", "--build", folder / "build", "--parallel", cmake.jobs(), env=toolless)
    succeed("cmake", "--install", folder / "build", "--prefix", folder / "prefix")
    return folder / "prefix"


@KINDS
def test_kernels_alone(build, kernels_alone, toolless, library):
    headers = {file.name for file in (kernels_alone / "include" / "rope").iterdir()}
    assert headers == {"kernels.h", "params.h", "schedules.h", "version.h"}
    folder = build(EXAMPLE, f"ROPE_KERNELS={library}", f"CMAKE_PREFIX_PATH={kernels_alone}")
    check_example(folder, library, toolless)


def test_torch_is_refused_where_kernels_are_alone(configure, kernels_alone):
    status, output, _ = configure(
        ROOT / "tests" / "consumer" / "refused",
        "ROPE_COMPONENT=rope",
        f"CMAKE_PREFIX_PATH={kernels_alone}",
    )
    assert status != 0
    assert "rope: built with ROPE_TORCH=OFF" in output


@pytest.mark.skipif(torch_rope.build_info()["cuda"] is None, reason="a build for the CPU alone")
def test_static_library_is_refused_without_the_cuda_runtime(configure):
    status, output, _ = configure(
        ROOT / "tests" / "consumer" / "refused",
        "ROPE_COMPONENT=kernels_static",
        "CMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON",
    )
    assert status != 0
    assert "rope: kernels_static: the static library holds CUDA kernels and needs" in output


def test_static_library_is_refused_in_a_python_package(configure):
    status, output, _ = configure(
        ROOT / "tests" / "consumer" / "refused",
        "ROPE_COMPONENT=kernels_static",
        f"CMAKE_PREFIX_PATH={torch_rope.cmake_prefix_path}",
    )
    assert status != 0
    assert "rope: kernels_static: no static library was installed here" in output


@KINDS
def test_without_cmake(prefix, kernels_alone, tmp_path, toolless, library):
    """As docs/cpp.md has it. A static library with CUDA kernels would want CUDA's libraries too."""
    words = {
        "kernels": [f"-L{prefix}/lib", "-lrope_kernels", f"-Wl,-rpath,{prefix}/lib"],
        "kernels_static": [kernels_alone / "lib" / "librope_kernels.a"],
    }[library]
    program = tmp_path / "rotate"
    compiler = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"]
    source = EXAMPLE / "rotate.cpp"
    succeed(*compiler, "-o", program, source, f"-I{prefix}/include", *words, env=toolless)
    assert succeed(program, env=toolless).endswith("the same bits\n")
