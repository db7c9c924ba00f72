"""Tests that Ray workers produce the same rows as the local engine."""

import logging
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipfeat.cli import app
from clipfeat.embedding.pipeline import EmbedReport, embed
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import ClipfeatError, MissingExtraError, StorageError, UsageError
from clipfeat.features import Failure
from clipfeat.images.faces import open_finder
from clipfeat.images.folder import open_folder
from clipfeat.images.readers import FileBytes
from clipfeat.images.source_options import SourceOptions
from clipfeat.store import FeatureWriter, Row, load
from clipfeat.store.digest_table import DigestTable
from clipfeat.store.reading import part_paths
from clipfeat.system.locations import location
from clipfeat.system.progress import Phase

pytest.importorskip("ray.data")  # imported here, because it removes handlers of its logger
from typer.testing import CliRunner

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.on_ray.decode_worker import decode_block
from clipfeat.embedding.on_ray.driver import encode_remotely
from clipfeat.embedding.on_ray.encode_worker import EncodingWorker
from clipfeat.embedding.on_ray.job import Job, KnownKeys, make_block, pack, unpack
from clipfeat.embedding.preparing import Known, Pictures, Ready
from clipfeat.system.ray_connection import connected

CPU = EncoderOptions(device="cpu")
ON_RAY = EmbedResources(engine="ray")


@pytest.fixture(scope="module")
def cluster(s3: str) -> Iterator[None]:
    """Start one local Ray cluster for all tests, whose workers can reach the S3 server."""
    assert s3
    with connected(None, least_cpus=2):
        yield


def rows(path: str | Path) -> dict[str, tuple[object, ...]]:
    """Return features, key, label, group and columns of each row, by path."""
    features = load(path)
    groups = features.groups if features.groups is not None else features.paths
    names = sorted(features.columns)
    more = zip(*(features.columns[name].tolist() for name in names), strict=True) if names else None
    return {
        path: (x.tobytes(), key, label, group, columns)
        for path, x, key, label, group, columns in zip(
            features.paths.tolist(),
            features.X,
            features.keys.tolist(),
            np.array([*features.classes, ""])[features.y].tolist(),
            groups.tolist(),
            more or [()] * len(features),
            strict=True,
        )
    }


def embed_with_both(
    source: Path, folder: Path, batch_size: int, **keywords: object
) -> tuple[EmbedReport, EmbedReport]:
    """Embed with both engines, and check that rows and failures are bit-identical."""
    reports = [
        embed(
            source,
            folder / f"{engine}.h5",
            resources=EmbedResources(batch_size, engine=engine),
            **keywords,  # type: ignore[arg-type]
        )
        for engine in ("local", "ray")
    ]
    plain, on_ray = (load(report.path) for report in reports)
    assert rows(folder / "local.h5") == rows(folder / "ray.h5")
    assert len(plain) == len(on_ray)
    assert set(plain.failures) == set(on_ray.failures)
    assert plain.specs == on_ray.specs
    left = {path.name for path in folder.iterdir() if path.name.startswith("ray.h5.")}
    assert not left
    return reports[0], reports[1]


@pytest.mark.filterwarnings("ignore:.*RANDOM weights")
def test_the_same_rows(cluster: None, image_folder: Path, tmp_path: Path) -> None:
    """Both engines give the same rows for views, faces and failures."""
    for path in sorted(image_folder.rglob("*.png"))[3:-3]:
        path.unlink()
    (image_folder / "real" / "bad.png").write_text("text")
    (image_folder / "fake" / "empty.png").touch()
    seen: list[Phase] = []
    own = logging.StreamHandler(StringIO())
    logging.getLogger("ray.data").addHandler(own)
    plain, on_ray = embed_with_both(
        image_folder,
        tmp_path,
        batch_size=1,
        # A convolutional network may be converted in one engine only, if the machine is busy.
        encoder="timm:test_vit",
        options=EncoderOptions(untrained=True, image_size=32, device="cpu"),
        inputs=SourceOptions(views="hflip,jpeg75", faces=open_finder("all", without="keep")),
        progress=seen.append,
    )
    assert replace(plain.progress, seconds=0) == replace(on_ray.progress, seconds=0)
    last = [phase for phase in seen if phase.name == "encoding"][-1]
    assert last.done == last.total == 24
    assert (plain.labels, plain.faceless) == (on_ray.labels, on_ray.faceless)
    assert {f.path: f.reason for f in on_ray.failures if "#" not in f.path} == {
        "real/bad.png": "DecodeError", "fake/empty.png": "ReadError",
    }  # fmt: skip
    logging.getLogger("ray.data").error("to the handler of the caller")
    assert "to the handler of the caller" in own.stream.getvalue()
    logging.getLogger("ray.data").removeHandler(own)


def test_the_engines_resume_each_others_files(
    cluster: None, s3: str, image_folder: Path, tmp_path: Path
) -> None:
    """Neither engine encodes rows of the other again. Identical images get equal rows.

    The workers read the images from an object store, and write the rows to it.
    """
    first = min(image_folder.rglob("*.png"))
    (image_folder / "real" / "copy.png").write_bytes(first.read_bytes())
    keywords: dict[str, Any] = {"encoder": "spectrum", "options": CPU}
    embed(image_folder, tmp_path / "whole.h5", **keywords)
    of: Any = location(f"{s3}/on-ray")
    images = f"{of}/images"
    held = sorted(image_folder.rglob("*.png"))[::2]  # the copy and its original among them
    for path in held:
        path.rename(path.with_name(f".{path.name}"))
    of.fs.put(f"{image_folder}/", f"{of.path}/images/", recursive=True)
    out = f"{of}/out.h5"
    embed(images, out, resources=EmbedResources(num_workers=3), **keywords)
    for path in held:
        hidden = path.with_name(f".{path.name}")
        of.fs.put(str(hidden), f"{of.path}/images/{path.relative_to(image_folder)}")
    on_ray = EmbedResources(num_workers=1, engine="ray")
    report = embed(images, out, resources=on_ray, **keywords)
    assert (report.progress.encoded, report.progress.known) == (12, 13)
    assert rows(out) == rows(tmp_path / "whole.h5")
    assert embed(images, out, **keywords).progress.encoded == 0


def test_errors_of_a_worker_end_the_run(cluster: None, image_folder: Path, tmp_path: Path) -> None:
    """A worker's exception is raised again, with the image's name if there is one."""
    with pytest.raises(UsageError, match="too small for a spectrum"):
        embed(
            image_folder,
            tmp_path / "a.h5",
            encoder="spectrum",
            options=EncoderOptions(image_size=4),
            resources=ON_RAY,
        )
    for device, message in (("cuda:1", "Ray chooses the GPU"), ("cuda", "no machine .* a GPU")):
        if device == "cuda:1" or not torch.cuda.is_available():
            with pytest.raises(UsageError, match=message):
                embed(
                    image_folder,
                    tmp_path / "a.h5",
                    encoder="spectrum",
                    options=EncoderOptions(device=device),
                    resources=ON_RAY,
                )
    out = tmp_path / "a.h5"
    spec = open_encoder("spectrum", EncoderOptions(device="cpu")).spec
    with FeatureWriter(out, spec) as writer:
        records = [
            replace(record, reader=BrokenReader(str(image_folder / record.path)))
            for record in open_folder(str(image_folder)).records[12:]
        ]
        with pytest.raises(ClipfeatError, match=r"real-00\.png: ZeroDivisionError"):
            list(encode_remotely(records, make_job(writer), NOTHING))


class BrokenReader(FileBytes):
    """Image reader that raises an unexpected error."""

    __slots__ = ()

    def read(self) -> bytes:
        raise ZeroDivisionError


def _failing(pixels: np.ndarray) -> torch.Tensor:
    raise ValueError("no room")


NOTHING = KnownKeys(np.empty(0, "S16"), {})


def make_job(writer: FeatureWriter, **changes: object) -> Job:
    options = EncoderOptions(device="cpu")
    frozen = open_encoder("spectrum", options)
    job = Job(
        "spectrum", options, frozen.preprocess, Pictures(), writer.publisher(), EmbedResources(4, 1)
    )
    return replace(job, **changes)  # type: ignore[arg-type]


def test_a_repeated_task(cluster: None, image_folder: Path, tmp_path: Path) -> None:
    """Each row is stored once, even if two attempts of a task commit it.

    A row is kept if the image fails in another attempt, for example for lack of memory.
    """
    import ray

    records = open_folder(str(image_folder)).records
    out = tmp_path / "ray.h5"
    spec = open_encoder("spectrum", EncoderOptions(device="cpu")).spec

    @ray.remote
    def attempt(job: Job, refs: list[object]) -> bytes:
        block = make_block([0], [pickle.dumps(list(records))])
        result: bytes = EncodingWorker(job)(decode_block(block, job, refs[0]))["item"][0].as_py()
        return result

    with FeatureWriter(out, spec, root=str(image_folder)) as writer:
        job, nothing = make_job(writer), ray.put(NOTHING)
        jobs = [job, job, make_job(writer, preprocess=_failing)]
        *results, failed = [pickle.loads(ray.get(attempt.remote(job, [nothing]))) for job in jobs]
        assert len(failed.failures) == len(records)
        assert not failed.parts
        assert (
            len({part for result in results for part in result.parts}) == 2 == len(part_paths(out))
        )
        assert len(load(out)) == 24
        writer.fail(failed.failures[0])
        writer.commit()
        assert len(load(out)) == 24
        writer.adopt(results[1].parts, results[1].rows)
        assert writer.finish() == 24
    embed(image_folder, tmp_path / "local.h5", encoder="spectrum", options=CPU)
    assert rows(out) == rows(tmp_path / "local.h5")


def test_workers_reduce_large_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker decodes a large JPEG image at the reduced size that the spec requires."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(noise).resize((640, 480)).save(tmp_path / "images" / "large.jpg")
    records = open_folder(str(tmp_path / "images")).records
    options = EncoderOptions(untrained=True, image_size=32, device="cpu", precision="fp32")
    encoder = open_encoder("timm:test_vit", replace(options, decode="scaled"))
    sizes: list[tuple[int, ...]] = []

    def preprocess(pixels: np.ndarray) -> torch.Tensor:
        sizes.append(pixels.shape)
        return encoder.preprocess(pixels)

    monkeypatch.setattr("ray.get", lambda known: known)
    with FeatureWriter(tmp_path / "out.h5", encoder.spec, root=str(tmp_path)) as writer:
        job = make_job(writer, preprocess=preprocess)
        block = make_block([0], [pickle.dumps(list(records))])
        ((ready,),) = [
            unpack(item.as_buffer()) for item in decode_block(block, job, NOTHING)["item"]
        ]
    assert sizes == [(120, 160, 3)]
    assert (ready.row.height, ready.row.width) == (480, 640)


@given(st.sets(st.binary(min_size=16, max_size=16)), st.binary(min_size=16, max_size=16))
def test_known_keys_are_a_set(keys: set[bytes], other: bytes) -> None:
    """Any key can be looked up, even one with trailing zeros. Failures depend on the path."""
    zeros = {key[:8] + bytes(8) for key in keys} | {bytes(16)}
    table = DigestTable(16)
    for key in keys | zeros:
        table.set(key)
    known = KnownKeys(table.sorted_keys(), {"bad.png": other})
    assert all(known(Row("a.png", key)) for key in keys | zeros)
    assert known(Row("a.png", other)) == (other in keys | zeros)
    assert known(Row("bad.png", other))


def test_packing_keeps_tensors() -> None:
    """Packing keeps values, shapes and strides, and also failures, known rows and errors."""
    channels_last = torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3).permute(2, 0, 1)
    images = [channels_last, torch.rand(5, 3, 2, 2), torch.rand(6).expand(3, 6)[:1]]
    sent = [Ready(Row(str(i), bytes(16)), image) for i, image in enumerate(images)]
    for before, after in zip(sent, unpack(pack([*sent, Known(Row("k", b""))])), strict=False):
        assert isinstance(after, Ready)
        assert torch.equal(before.tensor, after.tensor)
        assert before.tensor.shape == after.tensor.shape
        assert before.tensor.is_contiguous() == after.tensor.is_contiguous()
    failure = Failure("a", "DecodeError", "why", b"")
    assert unpack(pack(failure)) == failure
    with pytest.raises(StorageError, match="full"):
        unpack(pack(StorageError("full")))


def test_a_missing_extra_is_named(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Ray, the error names the extra to install. --address requires the engine ray."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'clipfeat\[ray\]'"):
        embed(image_folder, tmp_path / "out.h5", encoder="spectrum", resources=ON_RAY)
    with pytest.raises(UsageError, match="unknown engine 'rya'; did you mean ray"):
        EmbedResources(engine="rya")
    with pytest.raises(UsageError, match="--engine ray"):
        EmbedResources(address="auto")
    words = ["embed", str(image_folder), str(tmp_path / "out.h5"), "--engine", "ray", "--profile"]
    assert CliRunner().invoke(app, words).exit_code == 2
