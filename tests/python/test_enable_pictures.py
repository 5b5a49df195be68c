"""Models that also take pictures: the operators rotate their text, and the tower stays stock."""

import pytest
import torch
from tiny_models import SIZES, rms, tokens
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralVisionConfig,
    PixtralVisionModel,
)

from torch_rope.integrations.transformers import disable, enable

MODES = ("model", "exact", "stock")
VISION = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
PICTURE = 95  # the token that stands for a patch


def mistral3():
    config = Mistral3Config(
        text_config={**SIZES, "model_type": "mistral"},
        vision_config={**VISION, "model_type": "pixtral"},
        image_token_id=PICTURE,
    )
    return Mistral3ForConditionalGeneration(config), 4


def llava():
    config = LlavaConfig(
        text_config={**SIZES, "model_type": "llama"},
        vision_config={**VISION, "model_type": "pixtral"},
        image_token_id=PICTURE,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    return LlavaForConditionalGeneration(config), 16


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", [mistral3, llava], ids=["mistral3", "llava"])
def test_a_vision_tower_that_names_its_function_as_text_does(make, mode):
    """Pixtral's, whose angles are of two places and whose q and k have no batch."""
    torch.manual_seed(0)
    model, patches = make()
    model.eval()
    text, picture = tokens(1, 24), torch.randn(1, 3, 32, 32)
    text[0, 2 : 2 + patches] = PICTURE

    @torch.no_grad()
    def logits():
        return model(text, pixel_values=picture, image_sizes=torch.tensor([[32, 32]])).logits

    stock = logits()
    enable(model, frequencies=mode)
    ours = logits()
    assert not torch.equal(ours, stock)
    # Some float32 roundings of two layers, as in test_enable_walk.py.
    assert rms(ours - stock) < 1e-5 * rms(stock)
    changed = {path for path, module in model.named_modules() if "forward" in vars(module)}
    assert changed
    assert not any("vision_tower" in path for path in changed)
    disable(model)
    assert torch.equal(logits(), stock)


def test_a_vision_tower_alone():
    message = "^enable: PixtralVisionModel is not supported: no module of it calls a rotary"
    with pytest.raises(ValueError, match=message):
        enable(PixtralVisionModel(PixtralVisionConfig(**VISION)))
