"""What follows from exact phases, bit for bit: inverse, identity, decode and independence."""

import pytest
import torch
from cases import DTYPES, PAIRINGS, random, same_bits

B, S = 2, 6
FAR = [0, 1, 5, 2**20 + 3, 2**40, -(2**31)]


@pytest.mark.parametrize("factor", [1.0, 1.25])
@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_inverse_is_the_rotation_at_negated_positions(device, dtype, interleaved, factor):
    x = random(B, S, 3, 32, dtype=dtype, device=device)
    pos = torch.tensor(FAR, device=device)
    keywords = {"interleaved": interleaved, "attention_factor": factor}
    inverse = torch.ops.rope.rotate(x, pos, inverse=True, **keywords)
    assert same_bits(inverse, torch.ops.rope.rotate(x, -pos, **keywords))


@pytest.mark.parametrize("dtype", DTYPES)
def test_inverse_of_a_table_negates_its_sine(device, dtype):
    x = random(B, S, 3, 32, dtype=dtype, device=device)
    frequencies = torch.logspace(0, -3, 16, dtype=torch.float64, device=device)
    table = torch.ops.rope.cos_sin_table(frequencies, S)
    assert same_bits(
        torch.ops.rope.rotate(x, cos_sin=table, inverse=True),
        torch.ops.rope.rotate(x, -torch.arange(S, device=device), inv_freq=frequencies),
    )


@pytest.mark.parametrize("interleaved", PAIRINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_position_zero_is_the_identity(device, dtype, interleaved):
    x = random(B, S, 3, 32, dtype=dtype, device=device)
    pos = torch.zeros(S, dtype=torch.int32, device=device)
    # torch.equal: up to the sign of zero.
    assert torch.equal(torch.ops.rope.rotate(x, pos, interleaved=interleaved), x)


@pytest.mark.parametrize("table", [False, True], ids=["computed", "table"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_decode_gives_the_bits_of_prefill(device, dtype, table):
    q = random(B, S, 4, 64, dtype=dtype, device=device)
    frequencies = torch.logspace(0, -4, 32, dtype=torch.float64, device=device)
    keywords = {"inv_freq": frequencies}
    if table:
        keywords["cos_sin"] = torch.ops.rope.cos_sin_table(frequencies, S)
    prefill = torch.ops.rope.rotate(q, **keywords)
    pos = torch.arange(S, device=device)
    tokens = [torch.ops.rope.rotate(q[:, t : t + 1], pos[t : t + 1], **keywords) for t in range(S)]
    assert same_bits(torch.cat(tokens, dim=1), prefill)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_token_does_not_depend_on_its_batch(device, dtype):
    q = random(3, 40, 4, 128, dtype=dtype, device=device)
    whole = torch.ops.rope.rotate(q)
    one = torch.ops.rope.rotate(q[1:2, 7:8, 2:3], torch.tensor([7], device=device))
    assert same_bits(one, whole[1:2, 7:8, 2:3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_narrow_vectors_give_the_bits_of_wide_ones(device, dtype):
    aligned = random(B, S, 3, 64, dtype=dtype, device=device)
    flat = torch.empty(aligned.numel() + 1, dtype=dtype, device=device)
    shifted = flat[1:].view(aligned.shape).copy_(aligned)
    assert same_bits(torch.ops.rope.rotate(shifted), torch.ops.rope.rotate(aligned))


@pytest.mark.parametrize("dtype", DTYPES)
def test_position_types_agree(device, dtype):
    x = random(B, S, 3, 32, dtype=dtype, device=device)
    pos = torch.tensor([0, 1, 9, -4, 2**31 - 1, -(2**31)], device=device)
    assert same_bits(torch.ops.rope.rotate(x, pos), torch.ops.rope.rotate(x, pos.int()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_positions_count_from_zero(device, dtype):
    x = random(B, S, 3, 32, dtype=dtype, device=device)
    counted = torch.ops.rope.rotate(x, torch.arange(S, device=device))
    assert same_bits(torch.ops.rope.rotate(x), counted)
