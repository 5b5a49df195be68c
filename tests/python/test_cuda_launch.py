"""Launches on a GPU: stream, device, graphs, lifetimes; and that nothing else needs a driver.

What the kernels compute is judged elsewhere; here a call in unusual surroundings has to give the
bits of the same call in plain ones.
"""

import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from cases import DTYPES, random, same_bits

import torch_rope

TOKENS, ROTARY = 7, 32
# Some 200 ms at 2 GHz: what is enqueued behind it has not begun when the call returns.
SLEEP_CYCLES = 400_000_000


def frequencies(dtype=torch.float64):
    return torch.logspace(0, -4, ROTARY // 2, dtype=torch.float64).to(dtype)


# Where the angles come from: q's device → keywords.
ANGLES = {
    "base": lambda device: {"base": 500000.0},
    "host-f32": lambda device: {"inv_freq": frequencies(torch.float32)},
    "host-f64": lambda device: {"inv_freq": frequencies()},
    "host-turns": lambda device: {"inv_freq": torch_rope.turns(frequencies())},
    "device-f32": lambda device: {"inv_freq": frequencies(torch.float32).to(device)},
    "device-f64": lambda device: {"inv_freq": frequencies().to(device)},
    "device-turns": lambda device: {"inv_freq": torch_rope.turns(frequencies()).to(device)},
    "table": lambda device: {"cos_sin": torch_rope.cos_sin_table(frequencies().to(device), TOKENS)},
}
angles = pytest.mark.parametrize("angles", ANGLES.values(), ids=ANGLES)
cuda = pytest.mark.cuda


def queries(device="cuda", dtype=torch.bfloat16):
    return random(2, TOKENS, 4, ROTARY, dtype=dtype, device=device)


def keys(device="cuda", dtype=torch.bfloat16):
    return random(2, TOKENS, 2, ROTARY, dtype=dtype, device=device, seed=1)


@cuda
@angles
def test_stream(angles):
    """The call waits for the copy before it on its own stream, which comes late."""
    keywords, source = angles("cuda"), queries()
    expected = torch_rope.rotate(source, **keywords)
    q = torch.zeros_like(source)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch_rope.rotate(source, **keywords)  # temporaries get their memory now
        stream.synchronize()
        torch.cuda._sleep(SLEEP_CYCLES)
        q.copy_(source)
        torch_rope.apply(q, **keywords)
    assert not stream.query(), "the call waited for the device"
    stream.synchronize()
    assert same_bits(q, expected)


@cuda
@pytest.mark.parametrize("op", ["cos_sin_table", "turns"])
def test_stream_of_what_makes_angles(op):
    make = {"cos_sin_table": lambda f: torch_rope.cos_sin_table(f, 9), "turns": torch_rope.turns}[
        op
    ]
    expected = make(frequencies().cuda())
    values = torch.ones_like(frequencies(), device="cuda")
    source = frequencies().cuda()
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()) as _:
        torch.cuda._sleep(SLEEP_CYCLES)
        values.copy_(source)
        made = make(values)
        torch.cuda.current_stream().synchronize()
    assert torch.equal(made, expected)


@cuda
@angles
def test_device_that_is_not_current(angles):
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device")
    expected = torch_rope.rotate_qk(queries("cuda:0"), keys("cuda:0"), **angles("cuda:0"))
    with torch.cuda.device(0):
        rotated = torch_rope.rotate_qk(queries("cuda:1"), keys("cuda:1"), **angles("cuda:1"))
        assert torch.cuda.current_device() == 0
    assert rotated[0].device == torch.device("cuda:1")
    assert all(same_bits(a.cpu(), b.cpu()) for a, b in zip(rotated, expected, strict=True))


@cuda
@angles
@pytest.mark.parametrize("dtype", DTYPES)
def test_graph(dtype, angles):
    """A replay reads q, k and pos anew; the frequencies it takes from the host are captured."""
    keywords = angles("cuda")
    q, k = queries(dtype=dtype), keys(dtype=dtype)
    pos = torch.arange(TOKENS, device="cuda")
    torch_rope.apply(q.clone(), k.clone(), pos, **keywords)  # whatever is made once, is made now
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        torch_rope.apply(q, k, pos, **keywords)
    for number in range(2):
        new_q = random(*q.shape, dtype=dtype, device="cuda", seed=10 + number)
        new_k = random(*k.shape, dtype=dtype, device="cuda", seed=20 + number)
        new_pos = torch.arange(TOKENS, device="cuda").roll(number)
        expected = torch_rope.rotate_qk(new_q, new_k, new_pos, **keywords)
        q.copy_(new_q)
        k.copy_(new_k)
        pos.copy_(new_pos)
        graph.replay()
        assert same_bits(q, expected[0])
        assert same_bits(k, expected[1])


@cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64], ids=str)
def test_host_frequencies_travel_with_the_call(dtype):
    """They may change as soon as the call returns, though the kernel has yet to run."""
    inv_freq = torch_rope.turns(frequencies()) if dtype == torch.int64 else frequencies(dtype)
    q = queries()
    expected = torch_rope.rotate(q, inv_freq=inv_freq.cuda())
    torch.cuda.synchronize()
    torch.cuda._sleep(SLEEP_CYCLES)
    torch_rope.apply(q, inv_freq=inv_freq)
    assert not torch.cuda.current_stream().query(), "the call waited for the device"
    inv_freq.fill_(1)
    assert same_bits(q, expected)


@cuda
def test_inputs_freed_at_once():
    """Memory that is freed after the call goes to later work on this stream, not to earlier."""
    source, inv_freq = queries(), frequencies().cuda()
    expected = torch_rope.rotate(source, torch.arange(TOKENS).cuda(), inv_freq=inv_freq)
    torch.cuda.synchronize()
    torch.cuda._sleep(SLEEP_CYCLES)
    results = []
    for _ in range(20):
        pos = torch.arange(TOKENS, device="cuda")
        results.append(torch_rope.rotate(source.clone(), pos, inv_freq=inv_freq.clone()))
        del pos
        for size in (64, 256, 4096):  # they take the freed memory and spoil it
            torch.full((size,), -1, device="cuda")
    assert all(same_bits(result, expected) for result in results)


def run_alone(code, **environment):
    """What a process of its own prints."""
    package = str(Path(torch_rope.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": package, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@cuda
def test_first_call_of_a_process_is_captured():
    """Nothing is asked, loaded or allocated on a first call that a graph may not see. Memory that
    the call needs comes from the graph's own pool."""
    code = """
import torch, torch_rope
x = torch.arange(640.0).reshape(1, 5, 4, 32).cuda()
inv_freq = torch.logspace(0, -4, 16, dtype=torch.float64)
q, given, graph = x.clone(), inv_freq.cuda(), torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    torch_rope.apply(q, inv_freq=given)
assert torch.equal(q, x)
graph.replay()
print(torch.equal(q.cpu(), torch_rope.rotate(x.cpu(), inv_freq=inv_freq)))
"""
    assert run_alone(code) == "True"


@cuda
def test_error_of_earlier_work():
    """A kernel of somebody else's fails; the op that is called next names itself and says so."""
    code = """
import os, torch, torch_rope
q = torch.ones(1, 5, 4, 32, device="cuda")
torch_rope.apply(q)
torch.zeros(4, device="cuda")[torch.full((1,), 4, device="cuda")]
try:
    torch.cuda.synchronize()
except RuntimeError:
    pass
try:
    torch_rope.apply(q)
except RuntimeError as error:
    print(error, flush=True)
os._exit(0)  # nothing on that GPU can be torn down
"""
    text = run_alone(code)
    assert text.startswith("rope::apply: CUDA reports cudaError")
    assert text.endswith("it comes from a kernel that ran earlier on this GPU, not from this call")


@contextmanager
def nothing_is_launched():
    """A graph that sees what is done here has no nodes, of which torch warns."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            yield
    assert any("CUDA Graph is empty" in str(warning.message) for warning in told)


@cuda
@pytest.mark.parametrize("extents", [(0, 4, 2, 8), (2, 0, 2, 8), (2, 4, 0, 8)], ids=["B", "S", "H"])
@pytest.mark.parametrize("place", ["base", "host-f64", "device-f32"])
def test_empty(extents, place):
    inv_freq = {"base": {}, "host-f64": {"inv_freq": torch.ones(4, dtype=torch.float64)}}.get(
        place, {"inv_freq": torch.ones(4, device="cuda")}
    )
    q, k = torch.empty(extents, device="cuda"), torch.empty(extents, device="cuda")
    with nothing_is_launched():
        torch_rope.apply(q, k, **inv_freq)
        assert torch_rope.rotate(q, **inv_freq).shape == q.shape


@cuda
def test_empty_table():
    inv_freq, nothing = frequencies().cuda(), torch.empty(0, device="cuda")
    with nothing_is_launched():
        assert torch_rope.cos_sin_table(inv_freq, 0).shape == (0, ROTARY)
        assert torch_rope.turns(nothing).shape == (0,)


# The keyword that hands frequencies on, as they are or as something made of them.
KEPT = {
    "as-they-are": lambda f: {"inv_freq": f},
    "table": lambda f: {"cos_sin": torch_rope.cos_sin_table(f, TOKENS)},
}


@cuda
@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_frequency_that_only_the_device_knows_to_be_bad(dtype, bad, keep):
    """Its pair becomes NaN in every token, the other pairs are what they would be."""
    good, broken = frequencies(dtype).cuda(), frequencies(dtype).cuda()
    broken[3] = bad
    q = queries(dtype=torch.float32)
    expected = torch_rope.rotate(q, inv_freq=good)
    pair = [3, 3 + ROTARY // 2]
    expected[..., pair] = 0.0
    rotated = torch_rope.rotate(q, **keep(broken))
    assert rotated[..., pair].isnan().all()
    rotated[..., pair] = 0.0
    assert same_bits(rotated, expected)


@cuda
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")], ids=str)
def test_turns_of_what_is_not_finite(bad):
    """A word cannot be NaN: it is the one that no finite frequency becomes."""
    words = torch_rope.turns(torch.tensor([bad, 1.0], dtype=torch.float64, device="cuda"))
    assert words[0] == -(2**63)
    assert words[1] == torch_rope.turns(torch.tensor([1.0], dtype=torch.float64))[0]


@pytest.mark.parametrize(
    "environment", [{"CUDA_VISIBLE_DEVICES": ""}, {}], ids=["hidden", "as-they-are"]
)
def test_cpu_use_makes_no_context(environment):
    """Without a driver everything on the CPU works; with one, none of it touches the GPU."""
    code = """
import torch, torch_rope
x = torch.ones(1, 4, 2, 8)
torch_rope.apply(x, inv_freq=torch.ones(4))
torch_rope.rotate_qk(x, x.clone(), cos_sin=torch_rope.cos_sin_table(torch.ones(4), 4))
torch_rope.RotaryEmbedding(torch_rope.schedules.default(dim=8, base=10000.0), table_rows=4)
assert torch_rope.explain(x)["backend"].startswith("cpu")
print(torch.cuda.is_initialized())
"""
    assert run_alone(code, **environment) == "False"
