"""Bits do not depend on how many threads work, and many threads may call at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from cases import DTYPES, random, same_bits

# Enough for several threads' shares.
B, S, H, D = 2, 300, 8, 64


@pytest.fixture
def restored_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_and_two_threads_agree(dtype):
    q = random(B, S, H, D, dtype=dtype, device="cpu")
    frequencies = torch.logspace(0, -4, D // 2, dtype=torch.float64)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(torch.ops.rope.rotate(q, inv_freq=frequencies))
        results.append(torch.ops.rope.cos_sin_table(frequencies, 5000))
    assert same_bits(results[0], results[2])
    assert same_bits(results[1], results[3])


def test_many_threads_call_at_once():
    """Each with a base of its own, so that the cache of frequencies is written meanwhile."""
    q = random(1, 50, 4, 32, dtype=torch.float32, device="cpu")
    bases = [1000.0 + i for i in range(100)]

    def rotated(base):
        return torch.ops.rope.rotate(q, base=base)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(rotated, bases))
    assert all(same_bits(a, rotated(base)) for a, base in zip(together, bases, strict=True))
