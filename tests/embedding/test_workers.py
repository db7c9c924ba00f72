"""Tests of workers that encode concurrently and return rows in the source's order."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from clipfeat.embedding.preparing import Known, Ready
from clipfeat.embedding.workers import Encoded, WorkerPool, count_workers, encode_prepared
from clipfeat.encoders.encoder import Encoder
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch
from tests.conftest import make_spec

Images = list[list[Ready | Known]]


@pytest.fixture(params=[1, 3])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the number of cores that torch uses."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def encoder_of(
    forward: Callable[[torch.Tensor], torch.Tensor], precision: str = "fp32", device: str = "cpu"
) -> Encoder:
    spec = make_spec(n_features=2, precision=precision)
    return Encoder(spec, lambda pixels: torch.zeros(2), forward, torch.device(device))


def make_images(n: int, n_pictures: int = 1) -> Images:
    """Make `n` images of `n_pictures` pictures each. The features are the pictures' numbers."""
    pictures = [
        Ready(Row(str(i), i.to_bytes(16, "big")), torch.full((2,), float(i)))
        for i in range(1, n * n_pictures + 1)
    ]
    return [pictures[start : start + n_pictures] for start in range(0, len(pictures), n_pictures)]


def encode(images: Images, encoder: Encoder, batch_size: int, **options: object) -> list[Encoded]:
    """Encode images and return the encoded items."""
    workers = WorkerPool(encoder, options.get("exact"), Stopwatch(), batch_size)  # type: ignore[arg-type]
    return [item for item in encode_prepared(images, workers) if isinstance(item, Encoded)]


def test_each_core_encodes_its_own_batch(cores: int) -> None:
    """All cores encode until the last image, and rows are in the source's order."""
    used: list[tuple[int, int]] = []
    meeting = threading.Barrier(cores)

    def forward(batch: torch.Tensor) -> torch.Tensor:
        used.append((len(batch), torch.get_num_threads()))
        meeting.wait(timeout=20)
        time.sleep(0.02 * (batch[0, 0] % 3).item())
        return batch

    items = encode(make_images(9 * cores), encoder_of(forward), 4)
    numbers = np.arange(1, 9 * cores + 1)
    assert [int(row.path) for item in items for row in item.rows] == list(numbers)
    assert np.array_equal(np.concatenate([item.features for item in items])[:, 0], numbers)
    assert used == [(4, 1)] * 2 * cores + [(1, 1)] * cores
    assert torch.get_num_threads() == cores


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_images_are_split_among_all_cores(cores: int, n: int) -> None:
    """If there is less than one batch per core, batches are smaller and no core is idle."""
    used: list[tuple[int, int]] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        used.append((len(batch), torch.get_num_threads()))
        return batch

    encode(make_images(n), encoder_of(forward), 8)
    assert len(used) == min(n, cores)
    assert sum(size for size, _ in used) == n
    assert {threads for _, threads in used} == {cores // len(used)}


def test_the_pictures_of_an_image_come_together(cores: int) -> None:
    """No batch exceeds the batch size, and all rows of an image are in one item."""
    sizes: list[int] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return batch

    items = encode(make_images(11, n_pictures=6), encoder_of(forward), 4)
    assert max(sizes) <= 4
    assert [len(item.rows) % 6 for item in items] == [0] * len(items)
    assert [int(row.path) for item in items for row in item.rows] == list(range(1, 67))


def test_the_number_of_workers(cores: int) -> None:
    """CPU replicas share the cores, and each GPU has two workers."""
    on = {name: encoder_of(torch.clone, device=name) for name in ("cpu", "cuda:0", "cuda:1")}
    assert count_workers(replace(on["cpu"], replicas=[on["cpu"]])) == 2
    assert count_workers(replace(on["cuda:0"], replicas=[on["cuda:1"]])) == 4


def test_workers_share_an_encoder_in_float32(cores: int) -> None:
    """The float32 encoder is opened once, and other workers wait for it."""
    opened: list[Encoder] = []

    def exact() -> Encoder:
        opened.append(encoder_of(torch.clone))
        time.sleep(0.2)
        return opened[-1]

    broken = encoder_of(lambda batch: batch * float("nan"), "bf16")
    items = encode(make_images(6 * cores), broken, 2, exact=exact)
    assert sum(len(item.rows) for item in items) == 6 * cores
    assert len(opened) == 1


def test_workers_wait_for_memory_of_other_workers(cores: int) -> None:
    """An image is encoded if it fits in memory once other workers have finished."""
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

    items = encode(make_images(24), encoder_of(forward), 1)
    assert sum(len(item.rows) for item in items) == 24
