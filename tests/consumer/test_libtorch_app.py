"""The program of examples/libtorch: a decoder that AOTInductor has compiled, run without Python.

It is built on the package as pip has installed it. Its operators are named by the compiled models
alone: the program links rope::rope, which registers them.
"""

import re
import subprocess
import sys
import zipfile

import pytest
import torch
from programs import build_in, run, succeed

import torch_rope
from environment.report import ROOT

EXAMPLE = ROOT / "examples" / "libtorch"
LAYERS, HIDDEN, HEADS_Q, HEADS_K, HEAD_DIM, CAPACITY = 2, 64, 4, 2, 32, 64
PROMPT, TOKENS = "An angle a token.", 24
SIZES = (
    f"--layers={LAYERS} --hidden={HIDDEN} --heads-q={HEADS_Q} --heads-k={HEADS_K}"
    f" --head-dim={HEAD_DIM} --capacity={CAPACITY} --tokens={TOKENS}"
).split()


@pytest.fixture(scope="module")
def exporting(tmp_path_factory):
    """The script at work, and the folder that it writes."""
    folder = tmp_path_factory.mktemp("decoder")
    command = [sys.executable, EXAMPLE / "export_decoder.py", folder, *SIZES, "--prompt", PROMPT]
    with subprocess.Popen(
        [*command, "--quick"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process, folder
        process.kill()


@pytest.fixture(scope="module")
def program(exporting, tmp_path_factory, toolless):
    """The program, which is compiled while the script is."""
    definitions = (f"Python_EXECUTABLE={sys.executable}", "CMAKE_CXX_FLAGS_RELEASE=-O0")
    folder = tmp_path_factory.mktemp("app")
    prefix = torch_rope.cmake_prefix_path
    return build_in(folder / "build", EXAMPLE, prefix, *definitions, env=toolless) / "generate"


@pytest.fixture(scope="module")
def decoder(exporting, program):
    """The folder that the script has written."""
    process, folder = exporting
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "near ties" not in output  # or another prompt would have to be found
    return folder


@pytest.fixture
def changed(decoder, tmp_path):
    """changed(file, change): a copy of the folder, where change was made to what file holds."""

    def changed(file, change):
        for path in decoder.iterdir():
            (tmp_path / path.name).symlink_to(path)
        content = torch.load(decoder / file)
        change(content)
        (tmp_path / file).unlink()
        torch.save(content, tmp_path / file)
        return tmp_path

    return changed


def load(folder, name, weights=None):
    """A compiled model in Python: a function of tokens (S,) and the cache."""
    model = torch._C._aoti.AOTIModelPackageLoader(str(folder / "model.pt2"), name, False, 1, -1)
    weights = torch.load(folder / "weights.pt") if weights is None else weights
    wanted = {name: weights[name] for name in model.get_constant_fqns()}
    model.load_constants(wanted, False, True, True)
    return lambda tokens, cache: model.run([tokens.unsqueeze(0), *cache])[0][0]


def logits_in_python(folder, tokens, prompt_length, weights=None):
    """As the program computes them; and the cache."""
    prefill, decode = (load(folder, name, weights) for name in ("prefill", "decode"))
    cache = [torch.zeros(1, CAPACITY, HEADS_K, HEAD_DIM) for _ in range(2 * LAYERS)]
    logits = [prefill(tokens[:prompt_length], [one[:, :prompt_length] for one in cache])]
    for i in range(prompt_length, len(tokens)):
        logits.append(decode(tokens[i : i + 1], [one[:, : i + 1] for one in cache]))
    return torch.cat(logits), cache


def test_generates_as_in_python(program, decoder, toolless):
    output = succeed(program, decoder, env=toolless)
    assert output.endswith(f"tokens         {TOKENS}/{TOKENS} as in Python\nas in Python\n")
    assert f'text     "{PROMPT}" "' in output
    assert re.search(r"^prefill +17 +[\d.]+ tokens/s$", output, re.MULTILINE)
    assert re.search(rf"^decode +{TOKENS}/{TOKENS} +[\d.]+ tokens/s$", output, re.MULTILINE)
    assert "\r" not in output  # which is for terminals


def test_another_prompt(program, decoder, toolless):
    """Of one byte: a text that begins with the model of one token."""
    output = succeed(program, decoder, "--prompt", "\t", "--tokens=3", env=toolless)
    assert 'text     "\\x09" "' in output
    assert output.endswith("as in Python\n")


def test_no_python_is_linked(program):
    assert "python" not in succeed("readelf", "-d", program).split("RUNPATH")[0]


def test_operators_of_the_package(decoder):
    """rotate_qk, which the module calls, was found to need no memory of its own."""
    with zipfile.ZipFile(decoder / "model.pt2") as files:
        for name in ("prefill", "decode"):
            text = b"".join(
                files.read(file)
                for file in files.namelist()
                if f"/{name}/" in file and file.endswith(".json")
            )
            assert re.findall(rb'"target": "(rope::\w+)"', text) == [
                b"rope::apply_qkv",
                b"rope::apply",
            ]


def test_the_same_bits_in_cpp_and_python(program, decoder, changed, toolless):
    """Where Python loads the package, it has the logits of the program, to the last bit."""

    def take_those_of_the_package(expected):
        tokens, length = expected["tokens"][:-1], expected["prompt_length"]
        expected["logits"], _ = logits_in_python(decoder, tokens, length)
        expected["tolerance"] = 0.0

    folder = changed("expected.pt", take_those_of_the_package)
    _, output = run(program, folder, env=toolless)
    assert re.search(r"prefill, then decode, against Python +0 +0\n", output)


def test_rotations_have_the_bits_of_eager_mode(decoder):
    """Keys that are projected as values are: those in the cache are the values, rotated."""
    weights = torch.load(decoder / "weights.pt")
    rows = HEADS_K * HEAD_DIM
    packed = weights["attentions.0.projections.0"]
    packed[-2 * rows : -rows] = packed[-rows:]
    weights["attentions.1.projections.1"].copy_(weights["attentions.1.projections.2"])
    turns = weights["rope.turns"]
    for prompt_length, num_tokens in ((2, 7), (12, 12), (33, 40)):
        tokens = torch.arange(40, 40 + num_tokens)
        _, cache = logits_in_python(decoder, tokens, prompt_length, weights)
        for keys, values in (cache[:2], cache[2:]):
            keys, values = keys[:, :num_tokens], values[:, :num_tokens]
            assert torch.equal(keys, torch_rope.rotate(values, inv_freq=turns))
            assert not torch.equal(keys, values)


def off_by(one, amount):
    def change(expected):
        if one == "logits":
            expected["logits"][-1, 7] += amount * expected["tolerance"]
        else:
            expected["tokens"][-1] ^= 1

    return change


@pytest.mark.parametrize(
    ("one", "complaint"),
    [("logits", "TOO LARGE"), ("tokens", "NO NEAR TIE")],
)
def test_a_difference_is_found(program, changed, toolless, one, complaint):
    status, output = run(program, changed("expected.pt", off_by(one, 3)), env=toolless)
    assert status == 1
    assert complaint in output
    assert output.endswith("NOT as in Python\n")


def test_nothing_is_not_as_in_python(program, changed, toolless):
    """NaN is within no tolerance."""
    folder = changed("weights.pt", lambda weights: weights["norm.weight"].fill_(torch.nan))
    status, output = run(program, folder, env=toolless)
    assert status == 1
    assert output.endswith("NOT as in Python\n")


@pytest.mark.parametrize("file", ["model.pt2", "weights.pt", "expected.pt"])
def test_damaged_files_are_named(program, changed, tmp_path, toolless, file):
    folder = changed("expected.pt", lambda _: None)
    (folder / file).unlink()
    missing = run(program, folder, env=toolless)
    (folder / file).write_bytes(b"nothing of torch")
    damaged = run(program, folder, env=toolless)
    path = folder / file
    assert missing == (1, f"generate: {path}: no such file; export_decoder.py writes it\n")
    assert damaged == (1, f"generate: {path}: not written by export_decoder.py, or damaged\n")


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        pytest.param([], 2, "name a folder; --help says more", id="no-folder"),
        pytest.param(["--beams=3"], 2, "no such option: --beams; --help says more", id="option"),
        pytest.param(["--tokens"], 2, "--tokens wants a value; --help says more", id="no-value"),
        pytest.param(
            ["--tokens", "many"],
            2,
            "--tokens wants a number from 1, got many; --help says more",
            id="no-number",
        ),
        pytest.param(
            ["--device=gpu"],
            2,
            "--device wants cpu, cuda or cuda:N, got gpu; --help says more",
            id="no-device",
        ),
    ],
)
def test_wrong_usage(program, toolless, options, status, sentence):
    assert run(program, *options, env=toolless) == (status, f"generate: {sentence}\n")


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        pytest.param(
            ["--tokens=49"],
            2,
            "a prompt of 17 bytes leaves room for 48 tokens in the cache of 64, not for 49;"
            " --help says more",
            id="tokens",
        ),
        pytest.param(
            ["--prompt", "a" * 65],
            2,
            "a prompt of 65 bytes does not fit into the cache of 64; --help says more",
            id="prompt",
        ),
        pytest.param(
            ["--device=cuda"],
            1,
            "compiled for cpu, not for cuda; export_decoder.py has --device cuda",
            id="device",
        ),
    ],
)
def test_what_this_decoder_cannot_do(program, decoder, toolless, options, status, sentence):
    got, output = run(program, decoder, *options, env=toolless)
    assert got == status
    assert output.endswith(f"generate: {sentence}\n")


def test_the_cache_can_be_filled(program, decoder, toolless):
    assert "48/48" in succeed(program, decoder, "--tokens=48", env=toolless)
