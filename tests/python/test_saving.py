"""Schedules and modules that are copied, pickled, saved, loaded, and swapped under a model."""

import copy
import io
import pickle

import pytest
import torch
from cases import random, same_bits
from test_module import ROWS, SCHEDULE, Block, assert_intact
from torch import nn
from torch.nn.utils import parametrize

import torch_rope
from torch_rope import RotaryEmbedding, Schedule, schedules

SCHEDULES = {
    "one-axis": SCHEDULE,
    "axes": schedules.mrope(dim=16, base=1e4, sections=[4, 2, 2]),
    "heads": Schedule(torch.rand(2, 3, 4, dtype=torch.float64), 0.5),
}


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return file


WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda s: pickle.loads(pickle.dumps(s)),
    "torch.save": lambda s: torch.load(saved(s), weights_only=False),
    "weights-only": lambda s: torch.load(saved(s), weights_only=True),
    "weights-only-in-a-checkpoint": lambda s: torch.load(
        saved({"schedule": s, "weight": torch.ones(2)}), weights_only=True
    )["schedule"],
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_schedule(schedule, way):
    """A value: equal, with equal hash, the same turns, and still checked."""
    other = way(schedule)
    assert other == schedule
    assert hash(other) == hash(schedule)
    assert torch.equal(other.kwargs()["inv_freq"], schedule.kwargs()["inv_freq"])


class Forged:
    """Is saved as a schedule with what was not checked."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return Schedule, *self.reduced


def test_a_loaded_schedule_is_checked():
    with pytest.raises(ValueError, match="inv_freq must be finite"):
        torch.load(saved(Forged(([float("inf")], 1.0))), weights_only=True)


@pytest.mark.parametrize("weights_only", [True, False], ids=["weights-only", "pickle"])
def test_a_loaded_schedule_takes_no_state(weights_only):
    """It would be set behind the constructor's back."""
    forged = Forged(([1.0], 1.0), (None, {"_attention_factor": -7.0}))
    with pytest.raises((TypeError, pickle.UnpicklingError), match="Schedule: a pickled one has no"):
        torch.load(saved(forged), weights_only=weights_only)


@pytest.fixture(params=[0, ROWS], ids=["computed", "table"])
def rows(request):
    return request.param


def test_a_whole_module_is_no_weights(rows):
    """As of any module: whoever trusts the file names the class, this one alone is enough."""
    module = RotaryEmbedding(SCHEDULE, table_rows=rows)
    with pytest.raises(pickle.UnpicklingError, match=r"torch_rope\.module\.RotaryEmbedding"):
        torch.load(saved(module), weights_only=True)
    with torch.serialization.safe_globals([RotaryEmbedding]):
        assert_intact(torch.load(saved(module), weights_only=True))


def test_copy_shares_and_works(rows):
    module = RotaryEmbedding(SCHEDULE, table_rows=rows)
    other = copy.copy(module)
    assert other.turns is module.turns
    assert_intact(other)
    assert_intact(other.half())
    assert_intact(module)


def test_a_state_dict_has_the_rest(rows):
    torch.manual_seed(0)
    block, other = Block(rows), Block(rows)
    weights = torch.load(saved(block.state_dict()), weights_only=True)
    assert set(weights) == {"projection.weight", "projection.bias"}
    other.load_state_dict(weights, strict=True)
    assert same_bits(other.projection.weight, block.projection.weight)
    assert_intact(other.rope)


def test_weights_are_assigned_to_a_meta_model(rows):
    """to_empty is for what the state dict lacks: the module's own tensors."""
    weights = Block(rows).state_dict()
    with torch.device("meta"):
        block = Block(rows)
    block.load_state_dict(weights, strict=True, assign=True)
    assert block.rope.turns.is_meta
    block.rope.to_empty(device="cpu")
    assert block.projection.weight.data_ptr() == weights["projection.weight"].data_ptr()
    assert_intact(block.rope)


FLAGS = {
    "swap": torch.__future__.set_swap_module_params_on_conversion,
    "overwrite": torch.__future__.set_overwrite_module_params_on_conversion,
}


@pytest.fixture(params=FLAGS.values(), ids=FLAGS)
def conversion_flag(request):
    request.param(True)
    yield
    request.param(False)


CONVERSIONS = {
    "half": lambda m: m.half(),
    "to-bf16": lambda m: m.to(torch.bfloat16),
    "meta-and-back": lambda m: m.to("meta").to_empty(device="cpu"),
    "load": lambda m: (m.load_state_dict(m.state_dict()), m)[1],
}


@pytest.mark.parametrize("change", CONVERSIONS.values(), ids=CONVERSIONS)
def test_conversion_flags(rows, change, conversion_flag):
    assert_intact(change(Block(rows)).rope)


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


def test_parametrized_beside_it(rows):
    """Parametrizations change the class of a module, and this one's must survive it."""
    block = Block(rows)
    weight = block.projection.weight.detach().clone()
    parametrize.register_parametrization(block.projection, "weight", Doubled())
    assert same_bits(block.projection.weight.detach(), 2 * weight)
    assert_intact(copy.deepcopy(block).half().rope)


def test_functional_call(rows):
    """Weights from outside, the module's own buffers, and both from outside."""
    block = Block(rows)
    x = random(2, 5, 3, 8, dtype=torch.float32, device="cpu")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.rope = block.rope

        def forward(self, x):
            return self.rope(self.scale * x, x)[0]

    model = Model()
    weights = {"scale": torch.tensor(2.0)}
    expected = torch_rope.rotate(2.0 * x, **SCHEDULE.kwargs())
    assert same_bits(torch.func.functional_call(model, weights, (x,)), expected)
    buffers = {"rope.turns": torch.zeros_like(block.rope.turns)}
    if rows > 0:
        buffers["rope.table"] = torch_rope.cos_sin_table(buffers["rope.turns"], rows)
    still = torch.func.functional_call(model, {**weights, **buffers}, (x,))
    inside = slice(None, rows or None)
    factor = 1.0 if rows > 0 else SCHEDULE.attention_factor
    assert torch.equal(still[:, inside], 2.0 * x[:, inside] * factor)


def test_compiled_with_it(rows):
    torch._dynamo.reset()
    block = Block(rows)
    x = random(2, 5, 3, 8, dtype=torch.float32, device="cpu")
    compiled = torch.compile(block.rope, backend="aot_eager", fullgraph=True)
    assert same_bits(compiled(x, x)[0], block.rope(x, x)[0])
    assert_intact(copy.deepcopy(block).rope)
    torch._dynamo.reset()
