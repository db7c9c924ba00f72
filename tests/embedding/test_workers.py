"""Every device and every core has a batch of its own, and rows come in order all the same."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from clipfeat.embedding.preparing import Known, Ready
from clipfeat.embedding.workers import Encoded, Lanes, encode_prepared, n_lanes
from clipfeat.encoders.encoder import Encoder
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch
from tests.conftest import make_spec

Prepared = list[list[Ready | Known]]


@pytest.fixture(params=[1, 3])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many of them, as far as torch is told."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def encoder_of(
    forward: Callable[[torch.Tensor], torch.Tensor], precision: str = "fp32", device: str = "cpu"
) -> Encoder:
    spec = make_spec(n_features=2, precision=precision)
    return Encoder(spec, lambda pixels: torch.zeros(2), forward, torch.device(device))


def images(n: int, n_pictures: int = 1) -> Prepared:
    """Images, of each so many pictures; features are their number, from 1."""
    pictures = [
        Ready(Row(str(i), i.to_bytes(16, "big")), torch.full((2,), float(i)))
        for i in range(1, n * n_pictures + 1)
    ]
    return [pictures[start : start + n_pictures] for start in range(0, len(pictures), n_pictures)]


def encoded(prepared: Prepared, lanes: Lanes) -> list[Encoded]:
    """What becomes of them."""
    return [item for item in encode_prepared(prepared, lanes) if isinstance(item, Encoded)]


def test_each_core_encodes_a_batch_of_its_own(cores: int) -> None:
    """At once, in any order, down to the last images; rows come in the source's order."""
    used: list[tuple[int, int]] = []
    meeting = threading.Barrier(cores)

    def forward(batch: torch.Tensor) -> torch.Tensor:
        used.append((len(batch), torch.get_num_threads()))
        meeting.wait(timeout=20)
        time.sleep(0.02 * (batch[0, 0] % 3).item())
        return batch

    found = encoded(images(9 * cores), Lanes(encoder_of(forward), None, Stopwatch(), 4))
    numbers = np.arange(1, 9 * cores + 1)
    assert [int(row.path) for item in found for row in item.rows] == list(numbers)
    assert np.array_equal(np.concatenate([item.features for item in found])[:, 0], numbers)
    assert used == [(4, 1)] * 2 * cores + [(1, 1)] * cores
    assert torch.get_num_threads() == cores


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_images_are_for_all_cores(cores: int, n: int) -> None:
    """None is left idle because there is no second batch."""
    used: list[tuple[int, int]] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        used.append((len(batch), torch.get_num_threads()))
        return batch

    encoded(images(n), Lanes(encoder_of(forward), None, Stopwatch(), 8))
    assert len(used) == min(n, cores)
    assert sum(size for size, _ in used) == n
    assert {threads for _, threads in used} == {cores // len(used)}


def test_the_pictures_of_an_image_come_together(cores: int) -> None:
    """In batches that are no larger than asked, whose rows nobody sees one by one."""
    sizes: list[int] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return batch

    found = encoded(images(11, n_pictures=6), Lanes(encoder_of(forward), None, Stopwatch(), 4))
    assert max(sizes) <= 4
    assert [len(item.rows) % 6 for item in found] == [0] * len(found)
    assert [int(row.path) for item in found for row in item.rows] == list(range(1, 67))


def test_cores_are_shared_by_devices_and_a_gpu_has_two_lanes(cores: int) -> None:
    """No more batches at once than cores, or than keep each device busy."""
    on = {name: encoder_of(torch.clone, device=name) for name in ("cpu", "cuda:0", "cuda:1")}
    assert n_lanes(replace(on["cpu"], replicas=[on["cpu"]])) == 2
    assert n_lanes(replace(on["cuda:0"], replicas=[on["cuda:1"]])) == 4


def test_lanes_share_an_encoder_in_float32(cores: int) -> None:
    """It is opened once, and every lane that wants it waits for it."""
    opened: list[Encoder] = []

    def exact() -> Encoder:
        opened.append(encoder_of(torch.clone))
        time.sleep(0.2)
        return opened[-1]

    broken = encoder_of(lambda batch: batch * float("nan"), "bf16")
    found = encoded(images(6 * cores), Lanes(broken, exact, Stopwatch(), 2))
    assert sum(len(item.rows) for item in found) == 6 * cores
    assert len(opened) == 1


def test_memory_that_the_other_lanes_take_is_waited_for(cores: int) -> None:
    """An image that fits alone is no failure, nor does it end the run."""
    running: list[int] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        running.append(1)
        try:
            time.sleep(0.02)
            if len(running) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return batch
        finally:
            running.pop()

    found = encoded(images(24), Lanes(encoder_of(forward), None, Stopwatch(), 1))
    assert sum(len(item.rows) for item in found) == 24
