"""CUDA cases are skipped without a GPU, and fail where one is required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CASE = f"{TESTS / 'test_rotate.py'}::test_storage_offsets[cuda-1]"


@pytest.mark.parametrize(
    ("required", "status", "text"),
    [("0", 0, "1 skipped"), ("1", 1, "ROPE_REQUIRE_CUDA=1, but no CUDA device")],
    ids=["optional", "required"],
)
def test_without_a_gpu(required, status, text):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", CASE],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "ROPE_REQUIRE_CUDA": required},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == status, result.stdout + result.stderr
    assert text in result.stdout
