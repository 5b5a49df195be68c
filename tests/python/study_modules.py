"""Modules of study/, which is no package that a test finds by itself."""

import importlib
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def study(name):
    """study.<name>."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return importlib.import_module(f"study.{name}")


@pytest.fixture
def one_thread():
    """As the study itself runs; for small matrices more threads are slower where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
