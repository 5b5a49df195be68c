"""What comes along to a GPU (bring.py), and what comes back (save.py), without a network."""

import io
import json
import subprocess
import tarfile
import zipfile
from types import SimpleNamespace

import pytest
from benchmarks.gpu import bring, save


def wheel(folder, name, content):
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for place, data in content.items():
            archive.writestr(place, data)
    return path


def source(folder, name, content):
    path = folder / name
    with tarfile.open(path, "w:gz") as archive:
        for place, data in content.items():
            member = tarfile.TarInfo(f"{name.removesuffix('.tar.gz')}/{place}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


HEADERS = {
    "p/include/a.cuh": b'#include "b.cuh"\n  #  include <lib/c>\n#include <cstdint>\n',
    "p/include/b.cuh": b"#ifdef NEVER\n#include <sub/d.h>\n#endif\n",
    "p/include/sub/d.h": b'#include "e.h"\n#include "../b.cuh"\n',
    "p/include/sub/e.h": b"",
    "p/include/unused.h": b"",
    "p/lib/lib/c": b"// #include <unused.h>\n",
}


@pytest.fixture
def peers(tmp_path, monkeypatch):
    """main(…) with packages made here, into a folder of its own."""
    made = {
        "one": bring.Peer("p-one", "a file", {"one/ops/rope.py": "one/rope.py"}),
        "two": bring.Peer(
            "p-two",
            "headers",
            header="p/include/a.cuh",
            roots={"p/include/": "two/include/", "p/lib/": "two/lib/"},
        ),
        "three": bring.Peer("p-three", "a folder", {"three/include/tvm/": "three/tvm/"}),
    }
    content = {
        "p-one": ("p_one-0.8.5.post1.tar.gz", source, {"one/ops/rope.py": b"rope", "b.py": b""}),
        "p-two": ("p_two-1.0-py3-none-any.whl", wheel, HEADERS),
        "p-three": ("p_three-2-cp311-abi3-x.whl", wheel, {"three/include/tvm/a/b.h": b"b"}),
    }

    def download(package, folder):
        name, pack, files = content[package]
        return pack(folder, name, files)

    monkeypatch.setattr(bring, "PEERS_OF", made)
    monkeypatch.setattr(bring, "download", download)
    folder = tmp_path / "peers"
    return SimpleNamespace(
        folder=folder,
        content=content,
        main=lambda *names: bring.main(names, folder),
        files=lambda: {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        },
    )


def test_everything_comes(peers, capsys):
    assert peers.main() == 0
    assert peers.files() == {
        *("brought.json", "one/rope.py", "three/tvm/a/b.h", "two/lib/lib/c"),
        *(f"two/include/{name}" for name in ("a.cuh", "b.cuh", "sub/d.h", "sub/e.h")),
    }
    assert (peers.folder / "one" / "rope.py").read_bytes() == b"rope"
    told = bring.brought(peers.folder)
    assert told["one"] == {"package": "p-one", "version": "0.8.5.post1", "files": 1, "bytes": 4}
    assert [told[name]["version"] for name in ("two", "three")] == ["1.0", "2"]
    said = capsys.readouterr().out
    assert "p-two 1.0: 5 files, 0.00 MB, headers" in said
    assert "vllm                left out:" in said


def test_some_come_and_replace_what_was_there(peers):
    assert peers.main("one", "two") == 0
    (peers.folder / "one" / "old.py").touch()
    assert peers.main("one") == 0
    assert "one/old.py" not in peers.files()
    assert set(bring.brought(peers.folder)) == {"one", "two"}


def test_unknown_name(peers, capsys):
    assert peers.main("four") == 2
    assert "No peer four: there are one, two, three." in capsys.readouterr().out
    assert not peers.folder.exists()


def test_what_cannot_come_leaves_the_others(peers, monkeypatch, capsys):
    """A package without the file; and one that pip does not find."""
    name, pack, _ = peers.content["p-one"]
    peers.content["p-one"] = (name, pack, {"one/ops/rotary.py": b""})
    given = bring.download

    def download(package, folder):
        if package == "p-two":
            said = "WARNING: cache\nERROR: No matching distribution found\nnote: nothing"
            raise subprocess.CalledProcessError(1, ["pip"], stderr=said)
        return given(package, folder)

    monkeypatch.setattr(bring, "download", download)
    assert peers.main() == 1
    assert set(bring.brought(peers.folder)) == {"three"}
    said = capsys.readouterr().out
    assert "one                 not brought: KeyError: 'one/ops/rope.py'" in said
    assert "CalledProcessError: ERROR: No matching distribution found" in said


def test_too_much_is_said(peers, monkeypatch, capsys):
    monkeypatch.setattr(bring, "MOST_BYTES", 10)
    assert peers.main() == 1
    assert "too much to travel" in capsys.readouterr().out


def test_pip_gets_names_only(tmp_path, monkeypatch):
    """No host, no dependencies; and flash-attn's archive builds no kernels to tell its name."""

    def run(command, *, env, **_):
        assert command[1:4] == ["-m", "pip", "download"]
        assert command[-1] == "flash-attn"
        assert "--no-deps" in command
        assert not any("://" in word for word in command)
        assert env["FLASH_ATTENTION_SKIP_CUDA_BUILD"] == "TRUE"
        (tmp_path / "flash_attn-2.8.3.tar.gz").touch()

    monkeypatch.setattr(bring.subprocess, "run", run)
    assert bring.version_of(bring.download("flash-attn", tmp_path)) == "2.8.3"


FACTS = {
    "time": "2026-11-27T10:00:00+00:00",
    "commit": "0123456789abcdef",
    "source_hash": "fedcba9876543210",
    "torch": {"device": "NVIDIA H100 80GB HBM3"},
}


def report(**changes):
    errors = {"liger": "OSError: /some/where/lib/libtriton.so: not found"}
    case = {"id": "a", "results": {"cold": {"table": {"us": 41.23456789}}}, "errors": errors}
    return {"facts": {**FACTS, **changes}, "cases": [case]}


def test_save(tmp_path):
    path = save.save(report(), tmp_path)
    assert path == tmp_path / "nvidia-h100-80gb-hbm3" / "2026-11-27-0123456789.json"
    (case,) = json.loads(path.read_text())["cases"]
    assert case["results"]["cold"]["table"]["us"] == 41.235
    assert case["errors"]["liger"] == "OSError: libtriton.so: not found"


def test_save_without_git(tmp_path):
    assert save.save(report(commit=None), tmp_path).name == "2026-11-27-fedcba9876.json"


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (report(torch={"device": None}), "that was a rehearsal"),
        ({**report(), "cases": []}, "nothing was measured"),
    ],
    ids=["rehearsal", "empty"],
)
def test_what_is_not_kept(kept, said, tmp_path, capsys):
    (tmp_path / "bench.json").write_text(json.dumps(kept))
    assert save.main([str(tmp_path)]) == 1
    assert said in capsys.readouterr().out


def test_save_says_how(capsys, tmp_path):
    assert save.main([]) == 2
    assert "benchmarks.gpu.save OUT_DIR" in capsys.readouterr().out
    assert save.main([str(tmp_path)]) == 1
    assert "Not kept" in capsys.readouterr().out
