"""From a source to a feature file."""

import os
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.embedding import engines
from clipfeat.embedding.pipeline import EmbedReport, Progress, embed
from clipfeat.embedding.resources import EmbedResources
from clipfeat.encoders.options import EncoderOptions
from clipfeat.errors import ClipfeatWarning, EmptySourceError, FingerprintError, UsageError
from clipfeat.images.decode import Decoded
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.manifest import TableColumns
from clipfeat.images.options import SourceOptions
from clipfeat.images.readers import FileBytes
from clipfeat.store import load
from clipfeat.store.stat_cache import StatCache


def run(
    source: Path,
    out: Path,
    batch_size: int | None = None,
    num_workers: int | None = None,
    **keywords: object,
) -> EmbedReport:
    """Embed with the encoder ``spectrum`` on the CPU."""
    defaults = {
        "encoder": "spectrum",
        "options": EncoderOptions(device="cpu"),
        "resources": EmbedResources(batch_size, num_workers),
    }
    return embed(source, out, **(defaults | keywords))  # type: ignore[arg-type]


def test_a_folder_becomes_a_file(image_folder: Path, tmp_path: Path) -> None:
    """One row an image, in the source's order, with labels; progress reaches the total."""
    seen: list[Progress] = []
    report = run(image_folder, tmp_path / "out.h5", progress=seen.append, batch_size=5)
    found = load(tmp_path / "out.h5")
    assert found.paths.tolist() == sorted(found.paths.tolist())
    assert len(found) == report.n_rows == seen[-1].done == seen[-1].total == 24
    assert report.labels == {"fake": 12, "real": 12}
    assert found.classes == ("real", "fake")


def test_rows_do_not_depend_on_batches_or_threads(image_folder: Path, tmp_path: Path) -> None:
    """The same features whatever the batch size and the number of threads."""
    rows = []
    for number, (batch, workers) in enumerate([(1, 1), (7, 4), (64, 2)]):
        out = tmp_path / f"{number}.h5"
        run(image_folder, out, batch_size=batch, num_workers=workers)
        rows.append(load(out).X)
    assert np.allclose(rows[0], rows[1], atol=1e-5)
    assert np.allclose(rows[0], rows[2], atol=1e-5)


def test_only_what_is_new_is_encoded(image_folder: Path, tmp_path: Path) -> None:
    """A second run skips; a new, a changed and a copied image are told apart."""
    out = tmp_path / "out.h5"
    run(image_folder, out)
    again = run(image_folder, out).progress
    assert (again.encoded, again.known) == (0, 24)
    first, second, *_ = sorted(image_folder.rglob("*.png"))
    (image_folder / "real" / "copy.png").write_bytes(first.read_bytes())
    Image.open(first).rotate(90).save(image_folder / "real" / "new.png")
    Image.open(second).rotate(90).save(second)
    report = run(image_folder, out)
    assert (report.progress.encoded, report.progress.known, report.n_rows) == (2, 24, 26)
    found = load(out)
    features = dict(zip(found.paths.tolist(), found.X, strict=True))
    assert np.array_equal(features["real/copy.png"], features[f"fake/{first.name}"])


def test_new_labels_need_no_encoding(image_folder: Path, tmp_path: Path) -> None:
    """A run with a table of labels changes labels and groups of rows that are there."""
    out = tmp_path / "out.h5"
    run(image_folder, out)
    table = tmp_path / "labels.csv"
    names = [path.stem for path in sorted(image_folder.rglob("*.png"))]
    table.write_text("id,label,person\n" + "".join(f"{n},{n[:1]},p{n[-1]}\n" for n in names))
    columns = TableColumns(group="person")
    report = run(image_folder, out, inputs=SourceOptions(labels=table, columns=columns))
    assert report.progress.encoded == 0
    found = load(out)
    assert found.classes == ("f", "r")
    assert found.groups is not None
    assert set(found.groups.tolist()) == {f"p{d}" for d in range(10)}


def test_a_bad_image_is_recorded_and_the_run_goes_on(image_folder: Path, tmp_path: Path) -> None:
    """Corrupt, empty and truncated images have failures, their neighbours their own rows."""
    whole = load_features(image_folder, tmp_path / "whole.h5")
    good = (image_folder / "real" / "real-03.png").read_bytes()
    (image_folder / "real" / "a-empty.png").touch()
    (image_folder / "real" / "b-text.png").write_text("text")
    (image_folder / "real" / "real-02b.png").write_bytes(good[: len(good) // 2])
    out = tmp_path / "out.h5"
    report = run(image_folder, out, batch_size=4)
    assert {f.path: f.reason for f in report.failures} == {
        "real/a-empty.png": "ReadError",
        "real/b-text.png": "DecodeError",
        "real/real-02b.png": "DecodeError",
    }
    for path, row in load_features(image_folder, out).items():
        assert np.allclose(row, whole[path], atol=1e-5)
    again = run(image_folder, out)
    assert (again.progress.encoded, again.progress.failed) == (0, 3)
    (image_folder / "real" / "b-text.png").write_bytes(good[:-1] + b"!")
    (image_folder / "real" / "a-empty.png").write_bytes(good)
    assert len(run(image_folder, out).failures) <= 2
    assert "real/a-empty.png" in load_features(image_folder, out)


def load_features(folder: Path, out: Path) -> dict[str, np.ndarray]:
    run(folder, out)
    found = load(out)
    return dict(zip(found.paths.tolist(), found.X, strict=True))


def test_failures_are_tried_again_when_asked(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorded failure is neither decoded again nor forgotten, unless --retry-failed."""
    (image_folder / "real" / "bad.png").write_text("text")
    out = tmp_path / "out.h5"
    run(image_folder, out)
    original, tried = IsolatedDecoder.decoded, []

    def counted(decoder: IsolatedDecoder, data: bytes) -> AbstractContextManager[Decoded]:
        tried.append(data)
        return original(decoder, data)

    monkeypatch.setattr(IsolatedDecoder, "decoded", counted)
    assert run(image_folder, out).progress.failed == 1
    assert tried == []
    assert run(image_folder, out, retry_failed=True).progress.failed == 1
    assert tried == [b"text"]


@pytest.mark.usefixtures("one_core")
def test_what_may_not_be_stored_is_a_failure(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of NaN or zeros become failures, also for a copy of such an image."""
    from clipfeat.encoders import spectrum

    first = min(image_folder.rglob("*.png"))
    (image_folder / "real" / "copy.png").write_bytes(first.read_bytes())
    original = spectrum.power_spectrum

    def broken(images):  # type: ignore[no-untyped-def]
        rows = original(images)
        rows[0] = float("nan")
        return rows

    monkeypatch.setattr(spectrum, "power_spectrum", broken)
    report = run(image_folder, tmp_path / "out.h5", batch_size=64)
    assert {f.path: f.reason for f in report.failures} == {
        f"fake/{first.name}": "EncodingError", "real/copy.png": "EncodingError",
    }  # fmt: skip
    assert report.n_rows == 23
    assert report.progress.done == 25


def test_an_interrupted_run_goes_on(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was encoded before Ctrl-C is there; the next run encodes only the rest."""
    out = tmp_path / "out.h5"

    def interrupt(progress: Progress) -> None:
        if progress.encoded >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(image_folder, out, batch_size=4, progress=interrupt)
    assert len(load(out)) == 8
    assert run(image_folder, out).progress.encoded == 16
    assert len(load(out)) == 24


def test_another_encoder_or_output_is_refused(image_folder: Path, tmp_path: Path) -> None:
    """Another encoder for the same file, an empty folder, and outputs that cannot be meant."""
    out = tmp_path / "out.h5"
    run(image_folder, out)
    with pytest.raises(FingerprintError, match="input_size"):
        run(image_folder, out, options=EncoderOptions(image_size=64, device="cpu"))
    with pytest.raises(UsageError, match="is a folder"):
        run(image_folder, tmp_path)
    with pytest.raises(UsageError, match="must end in"):
        run(image_folder, tmp_path / "out.png")
    (tmp_path / "none").mkdir()
    with pytest.raises(EmptySourceError):
        run(tmp_path / "none", tmp_path / "new.h5")
    assert not (tmp_path / "new.h5").exists()


def test_untrained_features_are_warned_of(image_folder: Path, tmp_path: Path) -> None:
    """Random weights are recorded, and every later reader is told."""
    out = tmp_path / "out.h5"
    options = EncoderOptions(untrained=True, device="cpu")
    report = embed(image_folder, out, encoder="timm:test_efficientnet", options=options)
    assert report.spec.untrained
    with pytest.warns(ClipfeatWarning, match="RANDOM weights"):
        found = load(out)
    assert found.specs == (replace(report.spec),)


def test_unchanged_files_are_not_even_read(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing changed, no image is opened and no encoder; a changed one is read."""
    out = tmp_path / "out.h5"
    paths = sorted(image_folder.rglob("*.png"))
    for path in paths:
        os.utime(path, (1e9, 1e9))
    run(image_folder, out)
    with monkeypatch.context() as patch:
        patch.setattr(engines, "open_encoder", lambda *_, **__: pytest.fail("opened"))
        patch.setattr(FileBytes, "read", lambda *_: pytest.fail("read"))
        assert run(image_folder, out).progress.known == 24
    Image.open(paths[0]).rotate(90).save(paths[0])
    assert run(image_folder, out).progress.encoded == 1


def test_a_file_of_the_caches_own_second_is_read_again() -> None:
    """A time too close to the cache's writing may hide a second change, and is not trusted."""
    stat = (10, 5_000_000_000, 7)
    for written, trusted in ((6_000_000_000, False), (8_000_000_000, True)):
        cache = StatCache({"a": (stat, b"k")}, written)
        assert (cache.key("a", stat) == b"k") is trusted
    assert cache.key("a", (11, *stat[1:])) is None
    assert cache.key("b", stat) is None


def test_what_is_gone_is_kept_until_pruned(image_folder: Path, tmp_path: Path) -> None:
    """Removed images keep their rows and are counted; --prune drops rows and failures of them."""
    out = tmp_path / "out.h5"
    (image_folder / "bad.png").write_text("text")
    run(image_folder, out)
    (image_folder / "bad.png").unlink()
    min(image_folder.rglob("*.png")).unlink()
    report = run(image_folder, out)
    assert (report.n_rows, report.absent) == (24, 1)
    report = run(image_folder, out, prune=True)
    assert (report.n_rows, report.absent, report.progress.encoded) == (23, 0, 0)
    assert load(out).failures == ()


def test_failures_alone_are_pruned_too(image_folder: Path, tmp_path: Path) -> None:
    """Where only a bad image was removed, --prune forgets its failure."""
    out = tmp_path / "out.h5"
    (image_folder / "bad.png").write_text("text")
    run(image_folder, out)
    (image_folder / "bad.png").unlink()
    assert run(image_folder, out, prune=True).n_rows == 24
    assert load(out).failures == ()
