"""The Python tests on the wheel, where there is no compiler and no CUDA toolkit on the PATH. Behind
make test-wheel; its arguments go to pytest in place of all tests.
"""

import subprocess
import sys
from collections.abc import Sequence

from environment import cmake, wheel
from environment.report import ROOT, Failure, guarded

FOLDER = ROOT / "build" / "wheel"
# Tests whose names begin like this, in which torch.compile or the test itself calls a C++ compiler.
NEED_COMPILER = (
    "tests/python/test_bench_peers.py::test_compiled_peers_agree_with_the_reference",
    "tests/python/test_bench_targets.py::test_a_block_compiles_and_agrees",
    "tests/python/test_compile_",
    "tests/python/test_import.py::test_a_driver_that_is_asked_says_so",
    "tests/python/test_import.py::test_no_driver_is_asked",
)


def run(options: Sequence[str]) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = wheel.create_environment(FOLDER / "venv", wheel.build(FOLDER))
    tests = options or ["-q", "-n", str(cmake.jobs()), "tests/python"]
    print(f"left out, for want of a compiler: {', '.join(NEED_COMPILER)}", flush=True)
    left_out = [f"--deselect={name}" for name in NEED_COMPILER]
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *left_out, *tests]
    status = subprocess.run(
        command,
        cwd=ROOT,
        env=wheel.without_compilers(python),
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    if status:
        raise Failure("Tests failed on the wheel: see the lines above.")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
