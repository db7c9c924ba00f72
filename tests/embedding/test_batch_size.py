"""Tests of the choice of the batch size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.embedding.batch_size import BatchSize, batch_size_for


def sizes_until_settled(batch: BatchSize, rate_of: dict[int, float]) -> list[int]:
    """Return the batch sizes that are tried until one is chosen."""
    sizes = []
    while not batch.settled:
        sizes.append(batch.size)
        batch.observe(batch.size, batch.size / rate_of[batch.size])
    return sizes


@given(st.lists(st.floats(90, 112), min_size=4, max_size=4))
def test_the_fastest_is_taken(rates: list[float]) -> None:
    """No tried size is faster than the chosen one by more than the minimum gain."""
    rate_of = dict(zip((16, 32, 64, 128), rates, strict=True))
    batch = BatchSize(None, 16, 128)
    assert sizes_until_settled(batch, rate_of) == [16, 16, 32, 32, 64, 64, 128, 128]
    assert max(rates) <= 1.0301 * rate_of[batch.size]


def test_a_size_that_is_far_slower_is_the_last() -> None:
    """No size is tried after one that is much slower, as under memory pressure."""
    batch = BatchSize(None, 16, 1024)
    assert sizes_until_settled(batch, {16: 100, 32: 150, 64: 100}) == [16, 16, 32, 32, 64, 64]
    assert batch.size == 32


def test_partial_batches_and_first_trials_do_not_count() -> None:
    """The last partial batch and the slow first batch of a size are ignored."""
    batch = BatchSize(None, 16, 32)
    batch.observe(3, 100.0)
    batch.observe(16, 100.0)
    batch.observe(16, 0.1)
    batch.observe(32, 100.0)
    batch.observe(32, 0.1)
    assert batch.size == 32


@pytest.mark.parametrize(("side", "largest"), [(32, 32), (256, 32), (380, 16), (600, 8), (4096, 1)])
def test_a_cpu_stays_within_its_memory(side: int, largest: int) -> None:
    """Large images are encoded in small batches. A fixed size is used unchanged."""
    for n_workers in (1, 2, 16, 64):
        batch = batch_size_for(None, side, n_workers, on_cpu=True)
        sizes_until_settled(batch, {1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0, 16: 16.0, 32: 32.0})
        assert batch.size <= largest
        assert batch.size * n_workers <= max(n_workers, 256 * 256**2 / side**2)
    assert batch_size_for(7, side, 1, on_cpu=True).size == 7
