"""RotaryEmbedding: same bits as the operators, whatever is done to the module."""

import copy
import io
import pickle

import pytest
import torch
from cases import DTYPES, random, same_bits
from torch import nn

import torch_rope
from torch_rope import RotaryEmbedding, Schedule

ROWS = 8
SCHEDULE = Schedule([1.0, -0.5, 0.01, 3e-4], 1.25)
POS = torch.tensor([[0, 5, 7, 8, -1], [1, 2, 3, 2**40, 6]])


def tensors(device, dtype=torch.float32, width=8):
    q = random(2, 5, 3, width, dtype=dtype, device=device)
    k = random(2, 5, 1, width, dtype=dtype, device=device)
    return q, k


def assert_intact(module, device="cpu"):
    """The buffers are where they should be, and the module rotates as the operators do."""
    assert module.turns.device.type == device
    assert torch.equal(module.turns.cpu(), SCHEDULE.kwargs()["inv_freq"])
    if module.table_rows > 0:
        assert module.table.device.type == device
        assert torch.equal(module.table, SCHEDULE.table(module.table_rows, device))
    q, k = tensors(device)
    expected = torch_rope.rotate_qk(q, k, POS.to(device), **SCHEDULE.kwargs())
    for result, value in zip(module(q, k, POS.to(device)), expected, strict=True):
        assert same_bits(result, value)


@pytest.fixture(params=[0, ROWS], ids=["computed", "table"])
def rows(request):
    return request.param


@pytest.mark.parametrize("dtype", DTYPES)
def test_forward(device, dtype, rows):
    module = RotaryEmbedding(SCHEDULE, table_rows=rows).to(device)
    q, k = tensors(device, dtype)
    before = q.clone(), k.clone()
    pos = POS.to(device)
    rotated = module(q, k, pos)
    expected = torch_rope.rotate_qk(q, k, pos, **SCHEDULE.kwargs())
    assert isinstance(rotated, tuple)
    assert all(same_bits(a, b) for a, b in zip(rotated, expected, strict=True))
    assert same_bits(q, before[0])
    assert same_bits(k, before[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_apply(device, dtype, rows):
    module = RotaryEmbedding(SCHEDULE, table_rows=rows).to(device)
    q, k = tensors(device, dtype)
    pos = POS.to(device)
    expected = torch_rope.rotate_qk(q, k, pos, **SCHEDULE.kwargs())
    assert module.apply(q, k, pos) is None
    assert same_bits(q, expected[0])
    assert same_bits(k, expected[1])


def test_apply_without_k_and_positions(rows):
    q, _ = tensors("cpu")
    expected = torch_rope.rotate(q, **SCHEDULE.kwargs())
    RotaryEmbedding(SCHEDULE, table_rows=rows).apply(q)
    assert same_bits(q, expected)


def test_keywords_reach_the_operator():
    q, k = tensors("cpu", width=12)
    module = RotaryEmbedding(SCHEDULE, interleaved=True)
    expected = torch_rope.rotate_qk(q, k, interleaved=True, **SCHEDULE.kwargs())
    assert all(same_bits(a, b) for a, b in zip(module(q, k), expected, strict=True))


@pytest.mark.parametrize(
    "keywords",
    [{"rotary_offset": 4}, {"rotary_offset": -8}, {"layout": "bhsd"}, {"layout": "sbhd"}],
    ids=["offset", "offset-from-the-end", "bhsd", "sbhd"],
)
def test_part_and_layout_reach_the_operator(rows, keywords):
    x = random(2, 2, 2, 12, dtype=torch.float32, device="cpu")
    module = RotaryEmbedding(SCHEDULE, table_rows=rows, **keywords)
    expected = torch_rope.rotate(x, **keywords, **SCHEDULE.kwargs())
    rotated = module(x, x)
    module.apply(x)
    assert all(same_bits(result, expected) for result in (*rotated, x))


def test_several_axes_reach_the_operator(device):
    schedule = SCHEDULE.on_axes([0, 1, 2, 0])
    q, k = tensors(device)
    pos = torch.stack((POS, POS + 3, -POS)).to(device)
    expected = torch_rope.rotate_qk(q, k, pos, **schedule.kwargs())
    result = RotaryEmbedding(schedule).to(device)(q, k, pos)
    assert all(same_bits(a, b) for a, b in zip(result, expected, strict=True))


def test_gradient(device, rows):
    module = RotaryEmbedding(SCHEDULE, table_rows=rows).to(device)
    q, k = tensors(device)
    q.requires_grad_()
    module(q, k, POS.to(device))[0].sum().backward()
    expected = torch_rope.rotate(
        torch.ones_like(q), POS.to(device), inverse=True, **SCHEDULE.kwargs()
    )
    assert same_bits(q.grad, expected.detach())


class Block(nn.Module):
    """A model that holds the module beside a weight."""

    def __init__(self, rows):
        super().__init__()
        self.projection = nn.Linear(4, 4)
        self.rope = RotaryEmbedding(SCHEDULE, table_rows=rows)


CHANGES = {
    "half": lambda m: m.half(),
    "bfloat16": lambda m: m.bfloat16(),
    "double": lambda m: m.double(),
    "float": lambda m: m.float(),
    "to-bf16": lambda m: m.to(torch.bfloat16),
    "to-cpu": lambda m: m.to("cpu"),
    "to-cpu-f16": lambda m: m.to("cpu", torch.float16),
    "half-float": lambda m: m.half().float(),
    "type": lambda m: m.type(torch.float16),
    "eval": lambda m: m.eval(),
    "meta-and-back": lambda m: m.to("meta").to_empty(device="cpu"),
    "to_empty": lambda m: m.to_empty(device="cpu"),
    "deepcopy": copy.deepcopy,
    "deepcopy-half": lambda m: copy.deepcopy(m.half()),
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "share_memory": lambda m: m.share_memory(),
    "load_state_dict": lambda m: (m.load_state_dict(m.state_dict()), m)[1],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in-a-model"])
def test_survives(rows, inside, change):
    if inside:
        block = change(Block(rows))
        assert block.projection.weight.dtype in (
            torch.float16,
            torch.bfloat16,
            torch.float32,
            torch.float64,
        )
        assert_intact(block.rope)
    else:
        assert_intact(change(RotaryEmbedding(SCHEDULE, table_rows=rows)))


def test_casts_reach_the_rest_of_the_model(rows):
    assert Block(rows).half().projection.weight.dtype == torch.float16


@pytest.mark.cuda
def test_moves_to_a_gpu(rows):
    assert_intact(RotaryEmbedding(SCHEDULE, table_rows=rows).half().cuda(), "cuda")
    assert_intact(RotaryEmbedding(SCHEDULE, table_rows=rows).cuda().half().cpu())


def test_a_move_to_where_it_is_copies_nothing(rows):
    module = RotaryEmbedding(SCHEDULE, table_rows=rows)
    turns, table = module.turns, module.table
    module.to("cpu").half()
    assert module.turns is turns
    assert module.table is table


def test_a_cast_of_the_buffer_itself_is_undone():
    module = RotaryEmbedding(SCHEDULE, table_rows=ROWS)
    module.table = module.table.bfloat16()
    module(*tensors("cpu"))
    assert_intact(module)


@pytest.mark.parametrize("change", [lambda m: m, lambda m: m.half()], ids=["plain", "half"])
def test_meta_construction(rows, change):
    with torch.device("meta"):
        block = Block(rows)
    assert block.rope.turns.is_meta
    assert rows == 0 or block.rope.table.is_meta
    assert_intact(change(block).to_empty(device="cpu").rope)


def test_made_in_inference_mode_it_trains(rows):
    with torch.inference_mode():
        module = RotaryEmbedding(SCHEDULE, table_rows=rows)
    assert not module.turns.is_inference()
    test = tensors("cpu")[0].requires_grad_()
    module(test, test)[0].sum().backward()


def test_the_state_dict_is_empty(rows):
    assert RotaryEmbedding(SCHEDULE, table_rows=rows).state_dict() == {}
    assert list(RotaryEmbedding(SCHEDULE, table_rows=rows).parameters()) == []
    assert set(Block(rows).state_dict()) == {"projection.weight", "projection.bias"}


def test_saved_and_loaded_whole(rows):
    file = io.BytesIO()
    torch.save(RotaryEmbedding(SCHEDULE, table_rows=rows), file)
    file.seek(0)
    assert_intact(torch.load(file, weights_only=False))


def test_apply_with_a_function_walks_modules(rows):
    """nn.Module.apply of a model calls the apply of its parts."""
    block = Block(rows)
    seen = []
    assert block.apply(seen.append) is block
    assert seen == [block.projection, block.rope, block]


def test_repr():
    module = RotaryEmbedding(SCHEDULE, table_rows=ROWS, interleaved=True)
    assert repr(module) == (
        "RotaryEmbedding(Schedule(rotary_dim=8, inv_freq=(4,): 1 ... 0.0003,"
        " attention_factor=1.25), table_rows=8, interleaved=True)"
    )


@pytest.mark.parametrize(
    ("schedule", "rows", "text"),
    [
        (SCHEDULE, -1, "table_rows must be >= 0, got -1"),
        (SCHEDULE.on_axes([0, 1, 0, 1]), 4, "table_rows needs a schedule of one axis"),
        (Schedule(torch.ones(1, 2, 4)), 4, "table_rows needs a schedule of one axis"),
    ],
    ids=["negative", "axes", "heads"],
)
def test_refuses(schedule, rows, text):
    with pytest.raises(ValueError, match=f"^RotaryEmbedding: {text}"):
        RotaryEmbedding(schedule, table_rows=rows)


def test_compiles_as_one_graph(rows):
    module = RotaryEmbedding(SCHEDULE, table_rows=rows)
    q, k = tensors("cpu")
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    expected = module(q, k, POS)
    assert all(torch.equal(a, b) for a, b in zip(compiled(q, k, POS), expected, strict=True))
