"""What somebody gets who installs Rope and builds C++ programs on it: the build of build/dev is
installed, its prefix moved to another place, and programs are configured, built and run against it
where no CUDA toolkit is to be found.
"""

import os
import re
import sys
from pathlib import Path

import pytest
from programs import succeed

from environment.report import ROOT

HERE = Path(__file__).resolve().parent


def places_in(file, places):
    content = file.read_bytes()
    return [place for place in places if os.fsencode(place) in content]


def test_no_installed_file_names_a_place_of_the_build(prefix, torch_root):
    places = [f"{ROOT}/", f"{torch_root}"]
    files = [file for file in prefix.rglob("*") if file.is_file()]
    assert {"rope.h", "kernels.h", "librope.so", "RopeConfig.cmake"} <= {f.name for f in files}
    named = {
        file.relative_to(prefix): found for file in files if (found := places_in(file, places))
    }
    assert named == {}


def test_attention_example_runs(build, toolless):
    folder = build(ROOT / "examples" / "attention", f"Python_EXECUTABLE={sys.executable}")
    output = succeed(folder / "attention", env=toolless)
    assert "decode against prefill" in output


def test_operators_are_registered_where_no_symbol_is_used(build, prefix, torch_root, toolless):
    # Beside it lies torch, as after pip install: nothing but the prefix is told to CMake.
    (prefix.parent / "torch").symlink_to(torch_root)
    folder = build(HERE / "registered")
    assert succeed(folder / "registered", env=toolless) == "rope::apply is registered\n"
    succeed(folder / "nothing", env=toolless)
    for program in ("registered", "nothing"):
        undefined = succeed("nm", "-D", "--undefined-only", folder / program)
        assert not re.search("4rope", undefined)  # as the namespace is mangled


@pytest.mark.parametrize("version", ["9.9", "0.0"], ids=["newer", "older"])
def test_another_version_is_refused(configure, version):
    status, output, _ = configure(HERE / "refused", f"ROPE_VERSION={version}")
    assert status != 0
    assert f'compatible with requested version "{version}"' in output
    assert re.search(r"RopeConfig\.cmake, version: \d+\.\d+\.\d+", output)
