"""What is registered with other modules comes with them, not before, and never breaks them."""

import importlib
import subprocess
import sys

import pytest

from torch_rope.integrations import _after_import


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Two modules to import, which write down when they are; their names end in the test's own."""
    (tmp_path / "rope_theirs.py").write_text("order = ['theirs']\n")
    (tmp_path / "rope_ours.py").write_text("import rope_theirs\nrope_theirs.order.append('ours')\n")
    (tmp_path / "rope_broken.py").write_text("raise AttributeError('it has moved')\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    yield
    sys.meta_path[:] = before
    for name in ("rope_theirs", "rope_ours", "rope_broken"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("modules")
def test_ours_comes_right_after_theirs():
    before = len(sys.meta_path)
    _after_import.import_after("rope_theirs", "rope_ours")
    assert "rope_theirs" not in sys.modules
    theirs = importlib.import_module("rope_theirs")
    assert theirs.order == ["theirs", "ours"]
    assert len(sys.meta_path) == before


@pytest.mark.usefixtures("modules")
def test_where_theirs_is_there_ours_comes_now():
    theirs = importlib.import_module("rope_theirs")
    _after_import.import_after("rope_theirs", "rope_ours")
    assert theirs.order == ["theirs", "ours"]


@pytest.mark.usefixtures("modules")
def test_a_broken_one_warns_and_breaks_nothing():
    _after_import.import_after("rope_theirs", "rope_broken")
    with pytest.warns(UserWarning, match="rope_broken does not work with torch .*it has moved"):
        theirs = importlib.import_module("rope_theirs")
    assert theirs.order == ["theirs"]


@pytest.mark.usefixtures("modules")
def test_the_module_is_as_others_are():
    _after_import.import_after("rope_theirs", "rope_ours")
    theirs = importlib.import_module("rope_theirs")
    assert theirs.__spec__.name == "rope_theirs"
    assert theirs.__spec__.loader.get_source("rope_theirs") == "order = ['theirs']\n"
    importlib.reload(theirs)
    assert theirs.order == ["theirs"]


def test_importing_torch_rope_imports_none_of_them():
    program = (
        "import sys, torch; before = set(sys.modules); import torch_rope;"
        "print(*sorted(name for name in set(sys.modules) - before if name.startswith('torch.')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
