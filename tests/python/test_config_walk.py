"""Schedule.from_config against every rotary embedding of the installed transformers: what its
module holds for the default configuration, to the bit, or a refusal that names the reason.
"""

import copy
import importlib
import inspect
import pkgutil
from pathlib import Path

import torch
import transformers
from transformers import models

from torch_rope import Schedule
from torch_rope.configs.parameters import UNSUPPORTED, UNSUPPORTED_FIELDS

MAKES_THEM = "compute_default_rope_parameters"
FREQUENCIES = "inv_freq"
# They hold frequencies, but are made of nothing that a configuration says, or cannot be made.
NOT_OF_A_CONFIG = {
    "PPDocLayoutV2PositionRelationEmbedding": "a relation of boxes, with numbers of its own",
    "CohereCompassRotaryEmbedding": "its own default configuration fails",
}
REASONS = {*UNSUPPORTED.values(), *UNSUPPORTED_FIELDS.values()}


def modules_with_frequencies():
    for package in pkgutil.iter_modules(models.__path__):
        name = f"transformers.models.{package.name}.modeling_{package.name}"
        spec = importlib.util.find_spec(name)
        if spec is not None and MAKES_THEM in Path(spec.origin).read_text(encoding="utf-8"):
            yield importlib.import_module(name)


def is_own(member, module, base):
    return inspect.isclass(member) and issubclass(member, base) and member.__module__ == module


def rotary_embeddings():
    """(class, the configurations that it may be made of)"""
    for module in modules_with_frequencies():
        configurations = importlib.import_module(
            module.__name__.replace("modeling", "configuration")
        )
        made_of = [
            member
            for member in vars(configurations).values()
            if is_own(member, configurations.__name__, transformers.PreTrainedConfig)
        ]
        for member in list(vars(module).values()):
            if is_own(member, module.__name__, torch.nn.Module) and hasattr(member, MAKES_THEM):
                wanted = inspect.signature(getattr(member, MAKES_THEM)).parameters["config"]
                first = [one for one in made_of if one.__name__ in str(wanted.annotation)]
                yield member, [*first, *made_of]


def made(rotary, configurations):
    """The module and its configuration, of the first one that it takes."""
    for configuration in configurations:
        try:
            config = configuration()
            return rotary(config), config
        except Exception:  # of another part of the model
            continue
    return None


def frequencies_of(module):
    """(layer_type, inv_freq, attention factor) of each that it holds."""
    for name, buffer in module.named_buffers():
        if name.endswith(FREQUENCIES) and "original" not in name:
            layer_type = name[: -len(FREQUENCIES) - 1] or None
            prefix = f"{layer_type}_" if layer_type else ""
            yield layer_type, buffer, getattr(module, f"{prefix}attention_scaling", 1.0)


def check(rotary, module, config, unsupported):
    """How many schedules equal the module's."""
    equal = 0
    for layer_type, inv_freq, attention_factor in frequencies_of(module):
        try:
            schedule = Schedule.from_config(config, layer_type)
        except ValueError as error:
            (reason,) = [reason for reason in REASONS if str(error).endswith(reason)]
            unsupported[rotary.__name__] = reason
            continue
        assert torch.equal(schedule.inv_freq.float(), inv_freq), rotary
        assert schedule.attention_factor == attention_factor, rotary
        equal += 1
    return equal


def test_every_rotary_embedding(capsys):
    equal, unsupported = 0, {}
    for rotary, configurations in rotary_embeddings():
        if rotary.__name__ in NOT_OF_A_CONFIG:
            continue
        module, config = made(rotary, configurations)
        before = copy.deepcopy(config.to_dict())
        equal += check(rotary, module, config, unsupported)
        assert config.to_dict() == before
    with capsys.disabled():
        print(f"\nfrom_config: {equal} schedules equal transformers {transformers.__version__}'s")
        for name, reason in unsupported.items():
            print(f"    not supported: {name}: {reason}")
    assert equal >= 150
    assert len(unsupported) < 10
