"""Schedule.from_config against every rotary embedding of the installed transformers: what its
module holds for the default configuration, to the bit, or a refusal that names the reason; and for
a dict of it, whole or without a key that its class would fill in.
"""

import copy
import functools
import importlib
import inspect
import pkgutil
from pathlib import Path

import torch
import transformers
from transformers import models

from torch_rope import Schedule
from torch_rope.configs import exact_schedule_from
from torch_rope.configs.parameters import UNSUPPORTED, UNSUPPORTED_FIELDS

MAKES_THEM = "compute_default_rope_parameters"
FREQUENCIES = "inv_freq"
# They hold frequencies, but are made of nothing that a configuration says, or cannot be made.
NOT_OF_A_CONFIG = {
    "PPDocLayoutV2PositionRelationEmbedding": "a relation of boxes, with numbers of its own",
    "CohereCompassRotaryEmbedding": "its own default configuration fails",
}
# Its class has a rotary_dim in its defaults and rotates the whole head.
OF_TWO_MINDS = {"minimax_m3_vl_text"}
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
        assert_exact_beside(config, layer_type, schedule)
        equal += 1
    return equal


def assert_exact_beside(config, layer_type, schedule):
    """float64 ones are some float32 roundings away."""
    exact = exact_schedule_from(config, layer_type, None)
    torch.testing.assert_close(exact.inv_freq, schedule.inv_freq, rtol=4e-6, atol=0)


@functools.cache
def every_rotary_embedding():
    """(class, module, configuration)"""
    kept = [pair for pair in rotary_embeddings() if pair[0].__name__ not in NOT_OF_A_CONFIG]
    return [(rotary, *made(rotary, configurations)) for rotary, configurations in kept]


def test_every_rotary_embedding(capsys):
    equal, unsupported = 0, {}
    for rotary, module, config in every_rotary_embedding():
        before = copy.deepcopy(config.to_dict())
        equal += check(rotary, module, config, unsupported)
        assert config.to_dict() == before
    with capsys.disabled():
        print(f"\nfrom_config: {equal} schedules equal transformers {transformers.__version__}'s")
        for name, reason in unsupported.items():
            print(f"    not supported: {name}: {reason}")
    assert equal >= 150
    assert len(unsupported) < 10


def without_scaling(parameters):
    kept = ("rope_theta", "partial_rotary_factor")
    return {key: value for key, value in parameters.items() if key in kept}


def files_of(config):
    """Dicts of a configuration: whole, and without what its class would fill in."""
    whole = config.to_dict()
    yield whole
    widths = ("head_dim", "qk_rope_head_dim", "attention_head_dim", "kv_channels")
    yield {key: value for key, value in whole.items() if key not in widths}
    for width in widths:
        yield {key: value for key, value in whole.items() if key != width}
    parameters = whole.get("rope_parameters") or {}
    if any(isinstance(value, dict) for value in parameters.values()):
        return  # each of these is whole in a file
    parts = ("partial_rotary_factor", "rotary_pct", "rope_pct", "rotary_dim")
    rest = {key: value for key, value in parameters.items() if key not in parts}
    yield {
        **{key: value for key, value in whole.items() if key not in parts},
        "rope_parameters": rest,
    }
    yield {**whole, "rope_parameters": without_scaling(parameters)}


def test_every_dict():
    """None is read as other frequencies than the model's."""
    equal, refused = 0, 0
    for rotary, module, config in every_rotary_embedding():
        if config.model_type in OF_TWO_MINDS:
            continue
        for layer_type, inv_freq, attention_factor in frequencies_of(module):
            for file in files_of(config):
                try:
                    schedule = Schedule.from_config(file, layer_type)
                except ValueError:
                    refused += 1
                    continue
                assert torch.equal(schedule.inv_freq.float(), inv_freq), (rotary, file)
                assert schedule.attention_factor == attention_factor, (rotary, file)
                equal += 1
    assert equal >= 1200
    assert refused < equal / 4
