"""What every Python test shares: the `device` argument, what happens where there is no GPU, and
compilation without caches.

A test that asks for `device` runs on the CPU and, under the mark `cuda`, on a GPU. Without a GPU
those cases are skipped; with ROPE_REQUIRE_CUDA=1 they fail.
"""

import os

import pytest
import torch
from ranks import ranks  # noqa: F401 (a fixture)
from worst_ratios import pytest_terminal_summary  # noqa: F401 (a hook)

import torch_rope

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


# First, so that ids begin with the device.
@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", DEVICES)


@pytest.fixture
def no_compiler_caches():
    """Has Inductor compile anew: its caches do not know that torch_rope has changed."""
    with (
        torch._inductor.config.patch(fx_graph_cache=False),
        torch._functorch.config.patch(enable_autograd_cache=False),
    ):
        yield


def _missing_for_cuda():
    if not torch.cuda.is_available():
        return "no CUDA device"
    if torch_rope.build_info()["cuda"] is None:
        return "this build of torch_rope has no CUDA kernels"
    return None


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") is None:
        return
    missing = _missing_for_cuda()
    if missing is None:
        return
    if os.environ.get("ROPE_REQUIRE_CUDA") == "1":
        pytest.fail(f"ROPE_REQUIRE_CUDA=1, but {missing}", pytrace=False)
    pytest.skip(missing)
