"""The cos and sin that the layers of an enabled model get, by mode."""

import mpmath
import pytest
import torch
from tiny_models import build, float64_twin, rms, tokens
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import torch_rope
from torch_rope import schedules
from torch_rope.integrations.transformers import enable

ENDING = "RotaryEmbedding"
PAIRS = 8
FAR = torch.tensor([[0, 1, 4095, 131_071, 2**24 + 1, 2**31 - 1]])
UNIT = 2.0**-24
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 8.0,
    "original_max_position_embeddings": 64,
}


def rotary_of(model):
    """Of its text."""
    kinds = [module for module in model.modules() if type(module).__name__.endswith(ENDING)]
    (rotary,) = [module for module in kinds if "Vision" not in type(module).__name__]
    return rotary


def cos_sin(model, positions, dtype=torch.float32):
    return rotary_of(model)(torch.zeros(1, 1, 1, dtype=dtype), positions)


def exact(positions, inv_freq):
    """float64 cos and sin, of products that mpmath keeps whole."""
    with mpmath.workdps(50):
        phases = [
            [mpmath.mpf(p) * mpmath.mpf(f) for f in inv_freq.tolist()] for p in positions.tolist()
        ]
        return tuple(
            torch.tensor([[float(function(x)) for x in row] for row in phases], dtype=torch.float64)
            for function in (mpmath.cos, mpmath.sin)
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mode", ["model", "exact"])
def test_angles_are_exact_at_any_position(mode, dtype):
    model = build("llama")
    inv_freq = rotary_of(model).inv_freq
    if mode == "exact":
        inv_freq = schedules.default(2 * PAIRS, 1e4).inv_freq
    enable(model, frequencies=mode)
    for got, expected in zip(cos_sin(model, FAR, dtype), exact(FAR[0], inv_freq), strict=True):
        assert got.dtype == torch.float32
        assert torch.equal(got[..., :PAIRS], got[..., PAIRS:])
        # docs/numerics.md; the frequency's rounding to 2^-65 turns is 2^31 * 2 pi * 2^-65 here.
        assert (got[0, :, :PAIRS] - expected).abs().max() <= 0.7501 * UNIT


@pytest.mark.parametrize("changes", [{}, {"rope_parameters": YARN}], ids=["default", "yarn"])
def test_rotations_have_the_bits_of_the_operator_with_positions(changes):
    model = build("llama", **changes)
    enable(model)
    rotary = rotary_of(model)
    q = torch.randn(1, FAR.shape[1], 4, 2 * PAIRS)
    cos, sin = (x[..., :PAIRS] for x in cos_sin(model, FAR))
    expected = torch_rope.rotate(
        q, FAR, inv_freq=rotary.inv_freq, attention_factor=rotary.attention_scaling
    )
    assert torch.equal(torch_rope.rotate(q, cos=cos, sin=sin), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_stock_angles_are_the_model_s_to_the_bit(dtype):
    model = build("llama")
    expected = cos_sin(model, FAR, dtype)
    enable(model, frequencies="stock")
    for got, stock in zip(cos_sin(model, FAR, dtype), expected, strict=True):
        assert got.dtype == dtype
        assert torch.equal(got, stock)


@pytest.mark.parametrize("mode", ["model", "exact"])
def test_axes_of_mrope(mode):
    """Time, height and width, each with the pairs of its section, (2, 3, 3)."""
    model = build("qwen2_vl")
    inv_freq = rotary_of(model).inv_freq
    if mode == "exact":
        inv_freq = schedules.default(2 * PAIRS, 1e4).inv_freq
    enable(model, frequencies=mode)
    positions = torch.stack((FAR, FAR + 3, FAR // 2))
    axis = [0, 0, 1, 1, 1, 2, 2, 2]
    for got, *by_axis in zip(
        cos_sin(model, positions),
        *(exact(positions[a, 0], inv_freq) for a in range(3)),
        strict=True,
    ):
        expected = torch.stack([by_axis[a][:, pair] for pair, a in enumerate(axis)], dim=-1)
        assert (got[0, :, :PAIRS] - expected).abs().max() <= 0.7501 * UNIT


@pytest.mark.parametrize("name", ["gptj", "codegen"])
def test_a_schedule_in_a_model_of_tables(name):
    model = build(name)
    schedule = schedules.ntk(dim=8, base=1e4, alpha=8.0)
    enable(model, frequencies=schedule)
    tables = [held for key, held in model.named_buffers() if key.endswith("embed_positions")]
    assert len(tables) == 2
    cos, sin = exact(torch.arange(24), schedule.inv_freq)
    for table in tables:
        expected = torch.cat((sin, cos), dim=-1)
        assert (table[:24] - expected).abs().max() <= 0.7501 * UNIT


def test_axes_of_a_schedule():
    """Its own, (4, 2, 2), where it has them; the model's, (2, 3, 3), where it does not."""
    model = build("qwen2_vl")
    plain, own = schedules.default(16, 1e4), schedules.mrope(16, 1e4, (4, 2, 2))
    positions = torch.stack((FAR, FAR + 3, FAR // 2))
    by_axis = [exact(positions[axis, 0], plain.inv_freq)[0] for axis in range(3)]
    for schedule, axes in ((own, [0, 0, 0, 0, 1, 1, 2, 2]), (plain, [0, 0, 1, 1, 1, 2, 2, 2])):
        enable(model, frequencies=schedule)
        expected = torch.stack([by_axis[axis][:, i] for i, axis in enumerate(axes)], dim=-1)
        got, _ = cos_sin(model, positions)
        assert (got[0, :, :PAIRS] - expected).abs().max() <= 0.7501 * UNIT


@pytest.mark.parametrize("mode", ["model", "exact"])
def test_two_axes_by_turns(mode):
    """NeoMME's, row and column; a token that is given one position has it on both."""
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    config = CONFIG_MAPPING["neomme"](
        **sizes, intermediate_size=32, num_hidden_layers=2, vocab_size=96, pad_token_id=0
    )
    model = AutoModel.from_config(config).eval()
    (rotary,) = [one for one in model.modules() if type(one).__name__ == "NeoMMERotaryEmbedding"]
    positions = torch.stack((torch.arange(24) // 4, torch.arange(24) % 4))[:, None]
    text, x = tokens(1, 24), torch.zeros(1, 1, 1)
    with torch.no_grad():
        stock = model(text, position_ids=positions).last_hidden_state
        stock_rows = [rotary(x, given, "full_attention") for given in (positions, positions[0])]
        enable(model, frequencies=mode)
        ours = model(text, position_ids=positions).last_hidden_state
        rows = [rotary(x, given, "full_attention") for given in (positions, positions[0])]
    # A float32 frequency's and a float32 phase's rounding, below 2^-22 of a phase below 6.
    for got, expected in zip(rows, stock_rows, strict=True):
        for mine, theirs in zip(got, expected, strict=True):
            assert (mine - theirs).abs().max() <= 6 * 2.0**-22
    assert not torch.equal(rows[0][0], rows[1][0])
    assert rms(ours - stock) < 1e-5 * rms(stock)


def test_a_picture_s_positions_change_the_logits_as_in_stock():
    model, text = build("qwen2_vl"), tokens(1, 24)
    positions = torch.stack([torch.arange(24), torch.arange(24) // 4, torch.arange(24) % 4])[
        :, None
    ]
    with torch.no_grad():
        expected = float64_twin(model)(text, position_ids=positions).logits
        stock = model(text, position_ids=positions).logits
        enable(model)
        ours = model(text, position_ids=positions).logits
        along = model(text).logits
    assert rms(ours - expected) < 1.25 * rms(stock - expected)
    assert rms(along - expected) > 0.01 * rms(expected)


class FromNumbers(TorchDispatchMode):
    """Counts tensors that are made of Python's numbers, which a GPU waits for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten.lift_fresh.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", ["model", "exact"])
@pytest.mark.parametrize("name", ["llama", "qwen2_vl"])
def test_a_pass_copies_nothing_from_the_host(name, mode):
    model = build(name)
    enable(model, frequencies=mode)
    with FromNumbers() as made:
        torch.tensor([1])
        assert made.count == 1
        cos_sin(model, FAR)
    assert made.count == 1
