"""Models that enable refuses: the message names the model and why, and the model is as it was."""

import functools

import pytest
import torch
from test_enable_models import assert_same_contents, contents
from tiny_models import build
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama

from torch_rope import Schedule, schedules
from torch_rope.integrations.transformers import enable

STOCK = modeling_llama.apply_rotary_pos_emb
STOCK_ANGLES = modeling_llama.LlamaRotaryEmbedding.forward
LLAMA = "enable: LlamaForCausalLM is not supported: "


def assert_refused(model, message, frequencies="model"):
    before = contents(model)
    with pytest.raises(ValueError, match=r"^enable: ") as raised:
        enable(model, frequencies=frequencies)
    assert str(raised.value) == message
    assert_same_contents(model, before)


def test_a_model_without_rotations():
    config = CONFIG_MAPPING["gpt2"](n_embd=32, n_head=2, n_layer=1, vocab_size=16, n_positions=8)
    assert_refused(
        AutoModelForCausalLM.from_config(config),
        "enable: GPT2LMHeadModel is not supported: no module of it calls a rotary function of"
        " transformers",
    )


def test_float64():
    assert_refused(
        build("llama").double(),
        LLAMA + "it is float64, and the operators rotate smaller types",
    )


def test_a_model_without_weights():
    with torch.device("meta"):
        model = build("llama")
    reason = "it is on the meta device: enable it once it has weights"
    with pytest.raises(ValueError, match=reason):
        enable(model)


@pytest.mark.parametrize("mode", ["Model", "float32", "", None, 1])
def test_another_mode(mode):
    assert_refused(
        build("llama"),
        f"enable: frequencies must be one of model, exact, stock, or a Schedule, got {mode!r}",
        mode,
    )


def scaled(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    turned = [x * cos + modeling_llama.rotate_half(x) * sin for x in (q, k)]
    return turned[0], 2 * turned[1]


def of_heads_last(q, k, cos, sin, unsqueeze_dim=2):
    return STOCK(q, k, cos, sin, unsqueeze_dim)


def of_one(q, cos, sin):
    return q


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (scaled, "scaled is no rotation of pairs that torch_rope knows"),
        (of_heads_last, "of_heads_last is no rotation of pairs that torch_rope knows"),
        (of_one, "of_one(q, cos, sin) takes unknown arguments"),
    ],
    ids=["scaled", "another-default", "other-arguments"],
)
def test_another_rotary_function(function, reason, monkeypatch):
    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", function)
    assert_refused(build("llama"), LLAMA + reason)


def test_a_decorator_that_hides_the_forward(monkeypatch):
    attention = modeling_llama.LlamaAttention
    hidden = {"forward": attention.forward}

    @functools.wraps(attention.forward)
    def decorated(*arguments, **keywords):
        return hidden["forward"](*arguments, **keywords)

    monkeypatch.setattr(attention, "forward", decorated)
    reason = "LlamaAttention.forward hides what it decorates"
    assert_refused(build("llama"), LLAMA + reason)


def of_other_angles(self, x, position_ids):
    return STOCK_ANGLES(self, x, position_ids + 1)


def of_another_factor_beyond_its_length(self, x, position_ids):
    """As Phi-3.5 MoE's, whose factor is another one for long texts."""
    cos, sin = STOCK_ANGLES(self, x, position_ids)
    factor = 1.0 if position_ids.max() < self.original_max_seq_len else 1.01
    return cos * factor, sin * factor


@pytest.mark.parametrize("forward", [of_other_angles, of_another_factor_beyond_its_length])
def test_another_rotary_module(forward, monkeypatch):
    monkeypatch.setattr(modeling_llama.LlamaRotaryEmbedding, "forward", forward)
    reason = "LlamaRotaryEmbedding returns no cosines and sines of pos * inv_freq"
    assert_refused(build("llama"), LLAMA + reason)


def test_a_table_of_other_angles(monkeypatch):
    make = modeling_gptj.create_sinusoidal_positions
    monkeypatch.setattr(
        modeling_gptj, "create_sinusoidal_positions", lambda rows, dim: 2 * make(rows, dim)
    )
    assert_refused(
        build("gptj"),
        "enable: GPTJForCausalLM is not supported: GPTJAttention.embed_positions is no table of its"
        " configuration",
    )


def test_a_schedule_of_another_width():
    assert_refused(
        build("llama"),
        LLAMA + "LlamaRotaryEmbedding rotates 16 components of a head, the schedule 32",
        schedules.default(32),
    )


@pytest.mark.parametrize("axes", [2, 4])
def test_a_schedule_of_other_axes(axes):
    assert_refused(
        build("qwen2_vl"),
        "enable: Qwen2VLForConditionalGeneration is not supported: Qwen2VLRotaryEmbedding has"
        f" num_axes 3, the schedule {axes}",
        Schedule(torch.ones(axes, 8)),
    )


def test_a_schedule_of_several_axes_for_text():
    assert_refused(
        build("llama"),
        LLAMA + "LlamaRotaryEmbedding has num_axes 1, the schedule 3",
        schedules.mrope(16, 1e4, (2, 3, 3)),
    )


def test_a_schedule_of_each_head():
    assert_refused(
        build("llama"),
        LLAMA + "LlamaRotaryEmbedding turns all heads alike, the schedule each by itself",
        Schedule(torch.ones(1, 4, 8)),
    )


@pytest.mark.parametrize("shape", [(3, 4), (1, 4, 4)], ids=["axes", "heads"])
def test_a_schedule_that_makes_no_table(shape):
    assert_refused(
        build("gptj"),
        "enable: GPTJForCausalLM is not supported: GPTJAttention takes positions of one axis for"
        " all heads, the schedule others",
        Schedule(torch.ones(shape)),
    )


def test_a_schedule_of_another_width_than_the_table():
    assert_refused(
        build("gptj"),
        "enable: GPTJForCausalLM is not supported: GPTJAttention rotates 8 components of a head,"
        " the schedule 16",
        schedules.default(16),
    )


def test_a_configuration_that_was_changed_since():
    model = build("llama")
    model.config.rope_parameters["rope_theta"] = 5e5
    assert_refused(
        model,
        LLAMA + "LlamaRotaryEmbedding holds other frequencies than its configuration asks for",
        "exact",
    )
    enable(model)
