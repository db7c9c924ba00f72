"""Tests of encoding a stream of images: crashing decoders, full memory and low precision."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipfeat.embedding.preparing import Known
from clipfeat.embedding.stream import encode_stream
from clipfeat.embedding.workers import Encoded
from clipfeat.encoders.encoder import Encoder
from clipfeat.errors import ClipfeatWarning
from clipfeat.images import open_source
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import Isolation
from tests.conftest import make_spec

ODD = Isolation("tests.images.odd_decoders:odd", wall_seconds=2, memory=2**29)


def first_pixels(pixels: RGB) -> torch.Tensor:
    return torch.from_numpy(pixels[0, :2].reshape(-1).astype(np.float32))


def make_encoder(
    forward: Callable[[torch.Tensor], torch.Tensor] = lambda batch: batch, precision: str = "fp32"
) -> Encoder:
    """Make an encoder that applies `forward` to the first two pixels of an image."""
    return Encoder(make_spec(precision=precision), first_pixels, forward, torch.device("cpu"))


def encode(
    folder: Path, encoder: Encoder, **options: object
) -> tuple[dict[str, np.ndarray], dict[str, str], list[str]]:
    """Return the rows and failures by path, and the paths of the rows in order."""
    rows: dict[str, np.ndarray] = {}
    failures: dict[str, str] = {}
    arguments = {"batch_size": 8, "num_workers": 2, **options}
    for item in encode_stream(open_source(folder), encoder, **arguments):  # type: ignore[arg-type]
        assert not isinstance(item, Known)
        if isinstance(item, Encoded):
            rows |= zip([row.path for row in item.rows], item.features, strict=True)
        else:
            failures[item.path] = f"{item.reason}: {item.message}"
    return rows, failures, list(rows)


def assert_same(rows: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(rows) == list(expected)
    assert all(np.array_equal(rows[path], expected[path]) for path in rows)


def test_an_image_that_kills_the_decoder_fails_alone(image_folder: Path) -> None:
    """Images that crash, hang or exhaust the decoder fail, and all others are encoded."""
    expected, _, _ = encode(image_folder, make_encoder(), isolation=None)
    for word in ("segfault", "hang", "exit", "eat", "stumble"):
        (image_folder / "real" / f"real-05-{word}.png").write_text(word)
    rows, failures, _ = encode(image_folder, make_encoder(), isolation=ODD)
    assert_same(rows, expected)
    words = {
        "segfault": "SIGSEGV", "hang": "limit of 2 s", "exit": "exit code 3", "eat": "0.5 GiB",
        "stumble": "LookupError",
    }  # fmt: skip
    assert failures.keys() == {f"real/real-05-{word}.png" for word in words}
    for word, reason in words.items():
        assert failures[f"real/real-05-{word}.png"].startswith("DecodeError: ")
        assert reason in failures[f"real/real-05-{word}.png"]


def test_a_run_that_ends_early_leaves_no_process(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All decoder processes end when a run ends early, even one that hangs."""
    started = []
    start = subprocess.Popen

    def recorded(*arguments: object, **options: object) -> object:
        started.append(start(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", recorded)
    (image_folder / "real" / "real-05-hang.png").write_text("hang")
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in encode_stream(
            open_source(image_folder), make_encoder(), batch_size=2, num_workers=2,
            isolation=Isolation(ODD.decoder, seconds=60),
        ):  # fmt: skip
            raise KeyboardInterrupt
    assert time.monotonic() - begun < 10
    assert started
    assert all(process.returncode is not None for process in started)


def test_known_images_start_no_decoder(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run over an unchanged folder starts no process."""
    monkeypatch.setattr(subprocess, "Popen", None)
    items = encode_stream(
        open_source(image_folder), make_encoder(), batch_size=8, num_workers=2,
        is_known=lambda row: True,
    )  # fmt: skip
    assert all(isinstance(item, Known) for item in items)


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
    ],
    ids=["torch", "python", "cpu", "mps"],
)
def test_a_batch_that_does_not_fit_is_halved(image_folder: Path, error: Exception) -> None:
    """Rows and their order stay the same, with one warning. The smaller size is kept."""
    expected, _, _ = encode(image_folder, make_encoder())
    sizes: list[int] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise error
        return batch

    with pytest.warns(ClipfeatWarning, match="batches of 2") as warned:
        rows, failures, _ = encode(image_folder, make_encoder(forward))
    assert_same(rows, expected)
    assert not failures
    assert len(warned) == 1
    assert sizes == [8, 4, 2, 2, 4, 2, 2] + [2] * 8


@pytest.mark.usefixtures("one_core")
def test_an_image_that_does_not_fit_alone_is_a_failure(image_folder: Path) -> None:
    """An image that does not fit in memory fails, and batches grow again."""
    expected, _, _ = encode(image_folder, make_encoder())
    paths = list(expected)
    sizes: list[int] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        if (batch == torch.from_numpy(expected[paths[9]])).all(dim=1).any():
            raise torch.OutOfMemoryError("CUDA out of memory.\nMore words")
        return batch

    with pytest.warns(ClipfeatWarning, match="batches of 4"):
        rows, failures, _ = encode(image_folder, make_encoder(forward))
    assert failures == {
        paths[9]: "EncodingError: the image does not fit in memory, even alone: CUDA out of memory."
    }
    del expected[paths[9]]
    assert_same(rows, expected)
    assert sizes[-2:] == [4, 4]


def test_other_errors_of_an_encoder_end_the_run(image_folder: Path) -> None:
    """Only out-of-memory errors cause a retry. All others end the run."""

    def forward(batch: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        encode(image_folder, make_encoder(forward))


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Write six images of one colour each. The red value is the number of the image."""
    (tmp_path / "colours").mkdir()
    for number in range(6):
        colour = (number, 100, 50)
        Image.new("RGB", (2, 2), colour).save(tmp_path / "colours" / f"{number}.png")
    return tmp_path / "colours"


def broken(batch: torch.Tensor) -> torch.Tensor:
    """Return NaN, infinity and zeros for images 1, 2 and 3."""
    rows = batch.clone()
    for number, value in {1: float("nan"), 2: float("inf"), 3: 0.0}.items():
        rows[batch[:, 0] == number] = value
    return rows


def test_invalid_rows_are_recomputed_in_float32(colours: Path) -> None:
    """Invalid rows are computed again in float32, and fail if they exceed the stored dtype."""
    opened: list[Encoder] = []

    def large(batch: torch.Tensor) -> torch.Tensor:
        """Return valid rows, except for image 2, which exceeds the range of float16."""
        return torch.where(batch[:, :1] == 2, batch * 1e6, batch / 3)

    def exact() -> Encoder:
        opened.append(make_encoder(large))
        return opened[-1]

    rows, failures, order = encode(colours, make_encoder(broken, "fp16"), exact=exact, batch_size=2)
    assert len(opened) == 1
    assert failures == {"2.png": "EncodingError: 6 of 6 features are not finite, also in float32"}
    assert order == ["0.png", "1.png", "3.png", "4.png", "5.png"]
    wanted = np.tile(np.float32([3, 100, 50]) / 3, 2).astype(np.float16).astype(np.float32)
    assert np.array_equal(rows["3.png"], wanted)
    assert np.array_equal(rows["4.png"], np.float32([4, 100, 50] * 2))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_invalid_rows_are_never_stored(colours: Path, precision: str) -> None:
    """A row with NaN is a failure, unless a float32 encoder can compute it again."""

    def exact() -> Encoder:
        assert precision == "bf16"
        raise torch.OutOfMemoryError("CUDA out of memory")

    rows, failures, _ = encode(colours, make_encoder(broken, precision), exact=exact)
    assert failures == {
        "1.png": "EncodingError: 6 of 6 features are not finite",
        "2.png": "EncodingError: 6 of 6 features are not finite",
        "3.png": "EncodingError: all 6 features are zero",
    }
    assert list(rows) == ["0.png", "4.png", "5.png"]


def test_pixels_are_not_overwritten_before_they_are_encoded(tmp_path: Path) -> None:
    """Images of exactly the encoder's size, which are not copied by resizing, keep their pixels."""
    from clipfeat.encoders import open_encoder
    from clipfeat.encoders.encoder_options import EncoderOptions

    options = EncoderOptions(untrained=True, device="cpu", arguments={"crop_pct": 1.0})
    encoder = open_encoder("timm:test_vit", options)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (160, 160, 3), dtype=np.uint8) for _ in range(12)]
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
    rows, _, _ = encode(tmp_path, encoder)
    assert np.allclose(np.stack(list(rows.values())), encoder.encode_images(images), atol=1e-5)
