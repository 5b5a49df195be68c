"""Others' rotations in the GPU benchmark: each adapter gives its peer what its own users give it.

Stand-ins have the peers' signatures, insist on what those insist on, and rotate in plain torch;
what comes out is held against float64 like every provider's result. Whether the peers themselves do
what their documentation says is seen where there is a GPU.
"""

import ctypes
import dataclasses
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from benchmarks.gpu import bench
from benchmarks.gpu.agreement import Wrong, verify
from benchmarks.gpu.cases import Case, Workload
from benchmarks.gpu.peers import adapters, built
from benchmarks.gpu.provider import NotServed

SMALL = {"heads_q": 4, "heads_k": 2, "head_dim": 32, "rotary_dim": 32}
PARTIAL = {**SMALL, "rotary_dim": 16}
MLA = {**SMALL, "head_dim": 48, "heads_k": 1, "head_dim_k": 32, "rotary_offset": -32}
CASES = {
    "split": Case(16, **SMALL),
    "interleaved": Case(16, **SMALL, interleaved=True),
    "partial": Case(16, **PARTIAL, dtype=torch.float16),
    "packed": Case(16, **SMALL, packed=True),
    "random": Case(16, **SMALL, shuffled=True),
    "mla": Case(16, **MLA, interleaved=True),
    "backward": Case(16, **SMALL, backward=True),
    "f32": Case(16, **SMALL, dtype=torch.float32),
}


def turn(x, cos, sin, interleaved):
    """x: (tokens, heads, D); cos, sin: (tokens, n); the first 2n components, in float32."""
    width = 2 * cos.shape[-1]
    dims = (-1, 2) if interleaved else (2, -1)
    pairs = x[..., :width].float().unflatten(-1, dims)
    first, second = pairs.unbind(-1 if interleaved else -2)
    cos, sin = cos.float()[:, None], sin.float()[:, None]
    made = (first * cos - second * sin, second * cos + first * sin)
    made = torch.stack(made, dim=-1 if interleaved else -2).flatten(-2)
    return torch.cat((made.to(x.dtype), x[..., width:]), dim=-1)


class LigerRopeFunction:
    @staticmethod
    def apply(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
        assert cos.dtype == q.dtype
        assert cos.shape == sin.shape == (1, q.shape[2], cos.shape[-1])
        half = cos.shape[-1] // 2
        assert torch.equal(cos[..., :half], cos[..., half:])
        turned = (
            turn(x[0].transpose(0, 1), cos[0, :, :half], sin[0, :, :half], False) for x in (q, k)
        )
        return tuple(x.transpose(0, 1)[None] for x in turned)


def apply_rotary(x, cos, sin, *, interleaved=False, inplace=False):
    assert inplace
    assert x.dim() == 4
    assert x.dtype == cos.dtype == sin.dtype
    assert cos.shape == sin.shape
    assert len(cos) >= x.shape[1]
    x[0] = turn(x[0], cos[: x.shape[1]], sin[: x.shape[1]], interleaved)


def in_place(positions, tensors, table, is_neox):
    rows = table[positions]
    for x in tensors:
        x.copy_(turn(x, *rows.chunk(2, dim=-1), not is_neox))


def apply_rope_with_cos_sin_cache_inplace(positions, query, key, head_size, cache, is_neox=True):
    assert cache.dtype == torch.float32
    assert query.dtype in (torch.float16, torch.bfloat16)
    some = [x.view(len(x), -1, head_size) for x in (query, key)]
    in_place(positions, some, cache, is_neox)


def rotary_embedding(positions, query, key, head_size, cos_sin_cache, is_neox):
    """As the kernel reads them: one head stride, which is q's."""
    assert positions.dtype == torch.int64
    assert cos_sin_cache.dtype == query.dtype
    assert query.dim() == 3
    assert query.numel() % (len(positions) * head_size) == 0
    assert query.stride(1) == key.stride(1) or key.shape[1] == 1
    in_place(positions, (query, key), cos_sin_cache, is_neox)


def apply_rope_inplace(q, k, cos_sin_cache, positions, *, is_neox, rope_dim=0):
    assert cos_sin_cache.dtype == torch.float32
    assert q.shape[-1] == k.shape[-1] == cos_sin_cache.shape[-1]
    assert q.stride(1) == k.stride(1) or k.shape[1] == 1
    in_place(positions, (q, k), cos_sin_cache, is_neox)


def apply_rotary_pos_emb(t, freqs, *, tensor_format, interleaved, fused):
    assert fused
    assert tensor_format == "bshd"
    assert freqs.dtype == torch.float32
    assert freqs.shape == (t.shape[1], 1, 1, freqs.shape[-1])
    angles = freqs[:, 0, 0, ::2] if interleaved else freqs[:, 0, 0, : freqs.shape[-1] // 2]
    return turn(t[0], angles.cos(), angles.sin(), interleaved)[None]


def fused_apply_rotary_pos_emb_cached(t, cos_, sin_, transpose_output_memory=False):
    assert cos_.shape == sin_.shape == (len(t), 1, 1, cos_.shape[-1])
    half = cos_.shape[-1] // 2
    return turn(t[:, 0], cos_[:, 0, 0, :half], sin_[:, 0, 0, :half], False)[:, None]


def stand_in(name):
    function = adapters.ALL[name].function
    return SimpleNamespace(**{function: globals()[function]})


def provider_of(name, module):
    peer = adapters.ALL[name]
    make = partial(peer.make, module=module)
    traits = {"in_place": peer.in_place, "float_angles": peer.float_angles}
    return adapters.Provider(name, make, kind=adapters.PEER, **traits)


NOT_SERVED = {
    "liger": {"interleaved", "mla"},
    "flash_attn": {"mla", "backward"},
    "flashinfer": {"mla", "backward", "f32"},
    "sglang": {"backward", "f32"},
    "vllm": {"backward"},
    "transformer_engine": {"mla"},
    "apex": {"interleaved", "mla"},
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", adapters.ALL)
def test_peer_rotates(name, kind):
    work = Workload(CASES[kind], torch.device("cpu"), 2)
    provider = provider_of(name, stand_in(name))
    if kind in NOT_SERVED[name]:
        with pytest.raises(NotServed):
            provider.make(work)
        return
    calls = provider.make(work)
    assert len(calls) == 2
    for call in (calls[0], calls[0]):  # the first one leaves the values as they were
        verify(provider, call, work)


@pytest.mark.parametrize("name", adapters.ALL)
def test_peer_that_takes_the_other_pairs_is_wrong(name, monkeypatch):
    right = turn
    monkeypatch.setitem(globals(), "turn", lambda x, c, s, pairs: right(x, c, s, not pairs))
    work = Workload(CASES["split"], torch.device("cpu"), 1)
    provider = provider_of(name, stand_in(name))
    (call,) = provider.make(work)
    with pytest.raises(Wrong, match="off by"):
        verify(provider, call, work)


def test_nobody_else_is_asked_where_this_library_is_alone(tmp_path):
    run = bench.Bench(bench.parse(["--out", str(tmp_path / "out"), "--device", "cpu"]))
    provider = provider_of("vllm", stand_in("vllm"))
    alone = dataclasses.replace(CASES["split"], everybody=False)
    assert run._prepared(provider, Workload(CASES["split"], torch.device("cpu"), 1))
    with pytest.raises(NotServed, match="for this library"):
        run._prepared(provider, Workload(alone, torch.device("cpu"), 1))


@pytest.mark.parametrize("name", adapters.ALL)
def test_peer_that_is_not_there(name, tmp_path, monkeypatch):
    def absent(module):
        raise ModuleNotFoundError(f"No module named '{module}'")

    monkeypatch.setattr(adapters.importlib, "import_module", absent)
    provider, why = adapters.find(name, tmp_path, tmp_path)
    assert provider is None
    assert "No module named" in why
    assert ("was not built" in why) == bool(adapters.ALL[name].library)


def test_peer_whose_import_fails_in_another_way(tmp_path, monkeypatch):
    def broken(_module):
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(adapters.importlib, "import_module", broken)
    provider, why = adapters.find("vllm", tmp_path, tmp_path)
    assert provider is None
    assert why == "OSError: libcudart.so.12: cannot open shared object file"


def test_peer_that_was_brought(tmp_path, monkeypatch):
    monkeypatch.setattr(adapters.importlib, "import_module", lambda _: SimpleNamespace())
    (tmp_path / "liger").mkdir()
    (tmp_path / "liger" / "rope.py").write_text("class LigerRopeFunction: apply = None\n")
    (tmp_path / "brought.json").write_text('{"liger": {"version": "0.8.5"}}')
    provider, how = adapters.find("liger", tmp_path, tmp_path)
    assert provider is not None
    assert how == provider.about == "brought along, 0.8.5"


def test_library_that_cannot_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(adapters.importlib, "import_module", lambda _: SimpleNamespace())
    (tmp_path / "librope_peer_sglang.so").write_bytes(b"not a library")
    provider, why = adapters.find("sglang", tmp_path, tmp_path)
    assert provider is None
    assert why.startswith("librope_peer_sglang.so: ")


class TestBuilt:
    """A library is a function that reads a PeerCall; here it is Python that reads one."""

    def rotate(self, call):
        """In place, of what the pointers and strides say."""
        kind = torch.float16 if call.is_half else torch.bfloat16
        table = self.tensor(call.table, torch.float32, (call.rows, call.rotary_dim))
        rows = table[self.tensor(call.pos, torch.int64, (call.tokens,))]
        for name in "qk":
            heads = getattr(call, f"heads_{name}")
            token, head = getattr(call, f"{name}_token"), getattr(call, f"{name}_head")
            size = (call.tokens - 1) * token + (heads - 1) * head + call.head_dim
            flat = self.tensor(getattr(call, name), kind, (size,))
            x = flat.as_strided((call.tokens, heads, call.head_dim), (token, head, 1))
            x.copy_(turn(x, *rows.chunk(2, dim=-1), bool(call.interleaved)))
        return 0

    def tensor(self, address, kind, extents):
        size = torch.Size(extents).numel() * kind.itemsize
        memory = (ctypes.c_byte * size).from_address(address)
        return torch.frombuffer(memory, dtype=kind).view(extents)

    @pytest.fixture(autouse=True)
    def _no_stream(self, monkeypatch):
        stream = SimpleNamespace(cuda_stream=7)
        monkeypatch.setattr(built.torch.cuda, "current_stream", lambda: stream)

    @pytest.mark.parametrize("whole_heads", [False, True], ids=["flat", "whole-heads"])
    @pytest.mark.parametrize("kind", [k for k in CASES if k not in ("backward", "f32")])
    def test_it_gets_what_is_rotated(self, kind, whole_heads):
        work = Workload(CASES[kind], torch.device("cpu"), 2)
        make = partial(built.rotation, function=self.rotate, whole_heads=whole_heads)
        provider = adapters.Provider("some", make, kind=adapters.PEER)
        verify(provider, provider.make(work)[0], work)

    @pytest.mark.parametrize(("kind", "flat", "whole"), [("mla", 32, 32), ("partial", 16, 32)])
    def test_head_dim(self, kind, flat, whole):
        """Behind a rotary_offset, whole heads are what is left of them."""
        work = Workload(CASES[kind], torch.device("cpu"), 1)
        made = [built.arguments(work, work.sets[0], whole_heads=w) for w in (False, True)]
        assert [call.head_dim for call in made] == [flat, whole]

    @pytest.mark.parametrize("kind", ["backward", "f32"])
    def test_not_served(self, kind):
        work = Workload(CASES[kind], torch.device("cpu"), 1)
        with pytest.raises(NotServed):
            built.rotation(work, self.rotate, whole_heads=True)

    @pytest.mark.parametrize(
        ("status", "error", "text"),
        [
            (-1, NotServed, "no such size"),
            (-2, RuntimeError, "an exception"),
            (35, RuntimeError, "cudaError 35"),
        ],
    )
    def test_status(self, status, error, text):
        work = Workload(CASES["split"], torch.device("cpu"), 1)
        streams = []

        def function(call):
            streams.append(call.stream)
            return status

        (call,) = built.rotation(work, function, whole_heads=True)
        with pytest.raises(error, match=text):
            call()
        assert streams == [7]

    def test_structure_is_that_of_the_header(self):
        text = (Path(built.__file__).parent / "call.h").read_text()
        body = text[text.index("struct PeerCall {") : text.index("};")]
        names = [
            name.strip(" *\n")
            for line in body.splitlines()[1:]
            for name in line.strip()
            .rstrip(";")
            .replace("int64_t* ", "")
            .split(" ", 1)[-1]
            .split(",")
            if name.strip()
        ]
        assert names == [name for name, _ in built.PeerCall._fields_]
