"""Enabled models under torch.compile and torch.export: one graph, and the bits of eager mode."""

import pytest
import torch
from tiny_models import build, tokens

from torch_rope.integrations.transformers import disable, enable

TEXT = tokens(2, 24)


@torch.no_grad()
def logits(model):
    return model(TEXT, use_cache=False).logits


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("deepseek_v3", "model"),
        ("gemma3_text", "model"),
        ("glm", "model"),
        ("gptj", "exact"),
        ("llama", "exact"),
        ("llama", "model"),
        ("llama", "stock"),
        ("qwen2_vl", "exact"),
    ],
)
def test_one_graph_with_the_bits_of_eager_mode(name, mode):
    model = build(name)
    if name == "deepseek_v3":  # the others ask how many tokens an expert gets
        model.config._experts_implementation = "batched_mm"
    enable(model, frequencies=mode)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(logits(compiled), logits(model))


def test_inductor():
    model = build("llama", num_hidden_layers=1)
    enable(model)
    expected = logits(model)
    compiled = torch.compile(model, fullgraph=True)
    # Inductor's own fusions round otherwise.
    assert (logits(compiled) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_compiled_model_can_be_enabled_and_disabled():
    model = build("llama")
    compiled = torch.compile(model, backend="aot_eager")
    stock = logits(model)
    assert torch.equal(logits(compiled), stock)
    enable(compiled)
    ours = logits(model)
    assert not torch.equal(ours, stock)
    assert torch.equal(logits(compiled), ours)
    disable(compiled)
    assert torch.equal(logits(compiled), stock)


def test_compiled_layers_of_enabled_and_other_models_beside_each_other():
    """torch.compile keeps its results by code, which both kinds of layers share."""
    model, other = build("llama"), build("llama")
    enable(model)
    expected = logits(model), logits(other)
    for one in (model, other):
        for layer in one.model.layers:
            layer.self_attn.compile(backend="eager")
    for _ in range(2):
        assert torch.equal(logits(model), expected[0])
        assert torch.equal(logits(other), expected[1])


def test_gradients_of_a_compiled_model():
    model = build("llama")
    enable(model)
    model.train()
    model(TEXT, labels=TEXT).loss.backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    compiled = torch.compile(model, backend="aot_eager")
    compiled(TEXT, labels=TEXT).loss.backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        difference = (parameter.grad - gradient).abs().max()
        assert difference <= 1e-5 * gradient.abs().max()


def test_export():
    model = build("llama")
    enable(model)

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, text):
            return self.model(text, use_cache=False).logits

    with torch.no_grad():
        program = torch.export.export(Logits(), (TEXT,), strict=True)
        assert torch.equal(program.module()(TEXT), logits(model))
    assert sum("rope." in str(node.target) for node in program.graph.nodes) == 3
