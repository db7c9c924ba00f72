"""Tests of embedding folders with every kind of valid and invalid image."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.embedding import pipeline
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.source import ImageSource
from clipfeat.store import load

CPU = EncoderOptions(device="cpu")


def scene() -> np.ndarray:
    """Make a smooth picture without symmetries, so that rotations and reflections change it."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    pixels = np.array(small.resize((160, 120), Image.Resampling.BICUBIC))
    pixels[:40, :50] = (250, 10, 10)
    pixels[80:, 90:] = (10, 10, 240)
    return pixels


SCENE = scene()
GREY = np.asarray(Image.fromarray(SCENE).convert("L"))


def encoded(pixels: np.ndarray | Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, format_name, **options)
    return out.getvalue()


def png(width: int, height: int, depth: int, colour: int, samples: bytes) -> bytes:
    """Make a PNG that Pillow cannot write, such as 16-bit colour or a false header."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(samples)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def write_hostile(folder: Path) -> dict[str, str]:
    """Write one invalid file of each kind, and return the expected reasons by path."""
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole, jpeg = encoded(noise), encoded(noise, "JPEG")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    bad = {
        "corrupt.png": bytes(flipped),
        "cut.png": whole[: len(whole) // 2],
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "bomb.png": png(60_000, 60_000, 8, 2, bytes(1000)),
        "bomb-of-a-warning.png": png(12_000, 9_000, 8, 0, bytes(1000)),
        "text.jpg": b"not an image\n" * 20,
        "page.png": b"<html><body>404</body></html>",
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    reasons = dict.fromkeys(bad, "DecodeError")
    (folder / "empty.jpg").touch()
    os.mkfifo(folder / "fifo.jpg")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "nowhere.jpg").symlink_to("missing.jpg")
    (folder / "to-folder.jpg").symlink_to(".", target_is_directory=True)
    (folder / "vanished.png").write_bytes(whole)
    for name in ("empty.jpg", "fifo.jpg", "device.png", "loop.jpg", "nowhere.jpg", "vanished.png"):
        reasons[name] = "ReadError"
    if os.geteuid():
        (folder / "unreadable.png").write_bytes(whole)
        (folder / "unreadable.png").chmod(0)
        reasons["unreadable.png"] = "ReadError"
    return reasons


def write_good(folder: Path) -> dict[str, np.ndarray]:
    """Write valid images with unusual names, and return their pixels by path."""
    rng = np.random.default_rng(2)
    names = [
        "wrong-extension.jpg",
        "new\nline.png",
        "x.jpg/inside.png",
        "spaced ' \" name.png",
        "ü.png",
    ]
    pixels_of = {name: rng.integers(0, 256, (48, 48, 3), dtype=np.uint8) for name in names}
    (folder / "x.jpg").mkdir()
    for name, pixels in pixels_of.items():
        (folder / name).write_bytes(encoded(pixels))
    try:
        last = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        (folder / os.fsdecode(b"not-\xff-text.png")).write_bytes(encoded(last))
    except OSError:  # macOS takes no such name
        return pixels_of
    return pixels_of | {"not-\\xff-text.png": last}


def test_every_bad_image_is_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image is a row or a failure with the right reason. Failures are not retried."""
    folder, out = tmp_path / "images", tmp_path / "out.h5"
    folder.mkdir()
    reasons, good = write_hostile(folder), write_good(folder)
    open_source = pipeline.open_inputs

    def listed_then_gone(*arguments: object, **options: object) -> ImageSource:
        source = open_source(*arguments, **options)  # type: ignore[arg-type]
        (folder / "vanished.png").unlink(missing_ok=True)
        return source

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "open_inputs", listed_then_gone)
        report = embed(
            folder, out, encoder="spectrum", options=CPU, resources=EmbedResources(batch_size=4)
        )
    features = load(out)
    assert {f.path: f.reason for f in report.failures} == reasons
    assert sorted(features.paths.tolist()) == sorted(good)
    assert len(features) + len(features.failures) == report.progress.total == report.progress.done
    assert {(f.path, f.reason, f.message) for f in features.failures} == {
        (f.path, f.reason, f.message) for f in report.failures
    }
    for failure in report.failures:
        assert failure.message
        assert len(failure.key) == (0 if failure.reason == "ReadError" else 16)

    plain = tmp_path / "plain"
    plain.mkdir()
    for number, pixels in enumerate(good.values()):
        (plain / f"{number}.png").write_bytes(encoded(pixels))
    embed(plain, tmp_path / "plain.h5", encoder="spectrum", options=CPU)
    rows = dict(zip(features.paths.tolist(), features.X, strict=True))
    for name, row in zip(good, load(tmp_path / "plain.h5").X, strict=True):
        assert np.allclose(rows[name], row, atol=1e-5)

    monkeypatch.setattr(IsolatedDecoder, "decoded", lambda *_, **__: pytest.fail("decoded"))
    (folder / "vanished.png").symlink_to("missing.jpg")
    again = embed(folder, out, encoder="spectrum", options=CPU)
    assert (again.progress.encoded, again.progress.known) == (0, len(good))
    assert {f.path: f.reason for f in again.failures} == reasons


def oriented(orientation: int) -> bytes:
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: np.transpose(a, (1, 0, 2)), 6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2), 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(turns[orientation](SCENE))
    return encoded(stored, "JPEG", exif=exif, quality=95, subsampling=0)


def write_twins(folder: Path) -> dict[str, np.ndarray]:
    """Write the scene in every format, and return the expected pixels by path."""
    scene_image = Image.fromarray(SCENE)
    grey = np.repeat(GREY[:, :, None], 3, axis=2)
    palette = scene_image.quantize(64)
    cmyk = scene_image.convert("CMYK")
    alpha = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
    share = alpha[:, :, None] / 255
    on_white = np.rint(SCENE * share + 255 * (1 - share)).astype(np.uint8)
    deep = np.repeat(SCENE, 2, axis=2).reshape(120, -1)  # v * 257, big-endian
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - SCENE)]}
    twins = {
        **{f"exif-{n}.jpg": (oriented(n), SCENE) for n in range(1, 9)},
        "16-bit-grey.png": (encoded(GREY.astype(np.uint16) * 257), grey),
        "16-bit-grey.tif": (encoded(GREY.astype(np.uint16) * 257, "TIFF"), grey),
        "16-bit-colour.png": (
            png(160, 120, 16, 2, b"".join(b"\0" + line.tobytes() for line in deep)), SCENE,
        ),
        "grey.jpg": (encoded(GREY, "JPEG", quality=95), grey),
        "grey.png": (encoded(GREY), grey),
        "palette.png": (encoded(palette), np.asarray(palette.convert("RGB"))),
        "cmyk.tif": (encoded(cmyk, "TIFF"), np.asarray(cmyk.convert("RGB"))),
        "cmyk.jpg": (encoded(cmyk, "JPEG", quality=95), np.asarray(cmyk.convert("RGB"))),
        "alpha.png": (encoded(np.dstack([SCENE, alpha])), on_white),
        "animated.gif": (encoded(scene_image, "GIF", **frames), SCENE),
        "animated.webp": (encoded(scene_image, "WEBP", lossless=True, **frames), SCENE),
        "animated.png": (encoded(scene_image, "PNG", **frames), SCENE),
        "progressive.jpg": (encoded(SCENE, "JPEG", progressive=True, quality=95), SCENE),
    }  # fmt: skip
    for name, (data, _) in twins.items():
        (folder / name).write_bytes(data)
    return {name: pixels for name, (_, pixels) in twins.items()}


@pytest.mark.filterwarnings("ignore:.*RANDOM weights")
def test_every_kind_of_image_agrees_with_its_plain_png(tmp_path: Path) -> None:
    """Features agree with those of the expected pixels in a simple PNG.

    Their cosine is at least 0.99. It is below 0.97 for mirrored, rotated and other wrong pixels.
    """
    for name in ("odd", "plain"):
        (tmp_path / name).mkdir()
    twins = write_twins(tmp_path / "odd")
    for name, pixels in twins.items():
        (tmp_path / "plain" / f"{name}.png").write_bytes(encoded(pixels))
    wrong = {"mirrored": np.fliplr(SCENE), "turned": np.rot90(SCENE), "white": SCENE | 255}
    for name, pixels in {**wrong, "second": 255 - SCENE}.items():
        (tmp_path / "plain" / f"~{name}.png").write_bytes(encoded(np.ascontiguousarray(pixels)))

    rows: dict[str, np.ndarray] = {}
    for name in ("odd", "plain"):
        out = tmp_path / f"{name}.h5"
        embed(
            tmp_path / name,
            out,
            encoder="timm:test_efficientnet",
            options=EncoderOptions(untrained=True, device="cpu"),
        )
        features = load(out)
        X = features.X / np.linalg.norm(features.X, axis=1, keepdims=True)
        rows |= {f"{name}/{path}": x for path, x in zip(features.paths.tolist(), X, strict=True)}
    for name in twins:
        row = rows[f"odd/{name}"]
        assert row @ rows[f"plain/{name}.png"] >= 0.99, name
        assert all(row @ rows[f"plain/~{other}.png"] < 0.97 for other in [*wrong, "second"])
