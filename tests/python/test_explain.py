"""explain says what would run, or why it would not, and touches nothing."""

import pytest
import torch
from cases import DTYPES, random, same_bits

import torch_rope

KEYS = {
    "backend",
    "vector_bytes",
    "heads_per_thread",
    "grid",
    "block",
    "launches",
    "bytes",
    "copies",
    "angles",
    "frequencies",
    "error",
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_keys(device, dtype):
    q = random(2, 5, 4, 64, dtype=dtype, device=device)
    k = random(2, 5, 1, 64, dtype=dtype, device=device)
    before = q.clone()
    said = torch_rope.explain(q, k, torch.arange(5, device=device))
    assert set(said) == KEYS
    assert said["backend"].startswith(device)
    assert said["angles"] == "computed"
    assert said["error"] is None
    on_gpu = device != "cpu"
    assert [said[key] is not None for key in ("grid", "block", "launches")] == 3 * [on_gpu]
    # Every rotated element is read and written at least once.
    assert said["bytes"] >= 2 * (q.numel() + k.numel()) * q.element_size()
    assert same_bits(q, before)
    assert q._version == 0


def test_table(device):
    q = random(2, 5, 4, 8, dtype=torch.float32, device=device)
    table = torch.ops.rope.cos_sin_table(torch.ones(4, device=device), 9)
    assert torch_rope.explain(q, cos_sin=table)["angles"] == "table"


CALLS = {
    "offsets": {"offsets": [3, 4]},
    "one-offset": {"offsets": 3},
    "bhsd": {"layout": "bhsd"},
    "sbhd": {"layout": "sbhd", "skip_negative": True},
    "part": {"rotary_dim": 4, "rotary_offset": -6},
    "heads": {"inv_freq": torch.ones(1, 4, 4)},
}


@pytest.mark.parametrize("keywords", CALLS.values(), ids=CALLS)
def test_every_keyword_is_understood(device, keywords):
    q = random(2, 2, 4, 8, dtype=torch.float32, device=device)
    q = q.transpose(1, 2) if keywords.get("layout") == "bhsd" else q
    keywords = {
        name: torch.tensor(value, device=device) if isinstance(value, list) else value
        for name, value in keywords.items()
    }
    before = q.clone()
    said = torch_rope.explain(q, **keywords)
    assert said["error"] is None
    assert said["angles"] == "computed"
    assert said["bytes"] >= 2 * q[..., : keywords.get("rotary_dim", 8)].numel() * q.element_size()
    assert same_bits(q, before)


@pytest.mark.parametrize("table", ["cos_sin", "cos-and-sin"])
def test_rows_of_tokens_are_tables_too(device, table):
    q = random(2, 5, 4, 8, dtype=torch.float32, device=device)
    rows = torch.ones(2, 5, 8, device=device)
    angles = dict(zip(("cos", "sin"), rows.chunk(2, -1), strict=True))
    said = torch_rope.explain(q, **({"cos_sin": rows} if table == "cos_sin" else angles))
    assert (said["angles"], said["error"]) == ("table", None)


def test_overlap_is_seen(device):
    q = random(2, 5, 4, 8, dtype=torch.float32, device=device)
    assert "must not overlap k" in torch_rope.explain(q, q)["error"]


def test_gradients_are_not_refused_by_looking(device):
    """explain is asked about tensors as they are; it does not fail on those that require grad."""
    q = random(2, 5, 4, 8, dtype=torch.float32, device=device).requires_grad_()
    with torch.no_grad():
        assert torch_rope.explain(q)["error"] is None
