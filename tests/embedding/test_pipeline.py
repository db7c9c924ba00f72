"""Tests of embedding a source into a feature file."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.embedding import engines
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.pipeline import EmbedReport, embed
from clipfeat.encoders import from_model
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import ClipfeatWarning, EmptySourceError, FingerprintError, UsageError
from clipfeat.images.decode import Decoded
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.manifest import TableColumns
from clipfeat.images.readers import FileBytes
from clipfeat.images.source_options import SourceOptions
from clipfeat.store import load, stat_cache, stored_spec
from clipfeat.store.stat_cache import cache_path, make_stats
from clipfeat.system.progress import Phase


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
    """Each image becomes a labelled row, in the source's order."""
    report = run(image_folder, tmp_path / "out.h5", batch_size=5)
    features = load(tmp_path / "out.h5")
    assert features.paths.tolist() == sorted(features.paths.tolist())
    assert len(features) == report.n_rows == 24
    assert report.labels == {"fake": 12, "real": 12}
    assert features.classes == ("real", "fake")


def test_phases_are_reported_in_order(
    image_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A callable receives each phase, counts reach the total, and all times are reported."""
    (image_folder / "real" / "bad.png").write_text("text")
    seen: list[Phase] = []
    report = run(image_folder, tmp_path / "out.h5", progress=seen.append, batch_size=5)
    names = ["listing", "opening", "checking files", "encoding", "merging"]
    assert list(dict.fromkeys(phase.name for phase in seen)) == list(report.seconds) == names
    encoding = [phase for phase in seen if phase.name == "encoding"]
    assert (encoding[0].done, encoding[-1].done, encoding[-1].failed) == (0, 25, 1)
    assert encoding[-1].total == 25
    assert report.progress.seconds == sum(report.seconds.values())
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore:.*RANDOM weights")
def test_the_comparison_of_precisions_is_a_phase(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing precisions is timed separately from opening the encoder."""
    monkeypatch.setattr(from_model, "_faster_precisions", lambda device: ("bf16",))
    options = EncoderOptions(untrained=True, image_size=32, device="cpu")
    report = run(image_folder, tmp_path / "out.h5", encoder="timm:test_vit", options=options)
    assert list(report.seconds)[1:3] == ["opening", "comparing precisions"]
    assert "cosine" in report.chosen


def test_rows_do_not_depend_on_batches_or_threads(image_folder: Path, tmp_path: Path) -> None:
    """Features do not depend on the batch size or on the number of threads."""
    rows = []
    for number, (batch, workers) in enumerate([(1, 1), (7, 4), (64, 2)]):
        out = tmp_path / f"{number}.h5"
        run(image_folder, out, batch_size=batch, num_workers=workers)
        rows.append(load(out).X)
    assert np.allclose(rows[0], rows[1], atol=1e-5)
    assert np.allclose(rows[0], rows[2], atol=1e-5)


def test_only_new_images_are_encoded(image_folder: Path, tmp_path: Path) -> None:
    """A second run encodes new and changed images, and skips known images and copies."""
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
    features = load(out)
    row_of = dict(zip(features.paths.tolist(), features.X, strict=True))
    assert np.array_equal(row_of["real/copy.png"], row_of[f"fake/{first.name}"])


def test_new_labels_need_no_encoding(image_folder: Path, tmp_path: Path) -> None:
    """A table with new labels and groups changes existing rows without encoding."""
    out = tmp_path / "out.h5"
    run(image_folder, out)
    table = tmp_path / "labels.csv"
    names = [path.stem for path in sorted(image_folder.rglob("*.png"))]
    table.write_text("id,label,person\n" + "".join(f"{n},{n[:1]},p{n[-1]}\n" for n in names))
    columns = TableColumns(group="person")
    report = run(image_folder, out, inputs=SourceOptions(labels=table, columns=columns))
    assert report.progress.encoded == 0
    features = load(out)
    assert features.classes == ("f", "r")
    assert features.groups is not None
    assert set(features.groups.tolist()) == {f"p{d}" for d in range(10)}


def test_bad_images_are_recorded_and_skipped(image_folder: Path, tmp_path: Path) -> None:
    """Corrupt, empty and truncated images are failures and do not affect other rows."""
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
    features = load(out)
    return dict(zip(features.paths.tolist(), features.X, strict=True))


def test_failures_are_retried_on_request(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed image is decoded again only with --retry-failed."""
    (image_folder / "real" / "bad.png").write_text("text")
    out = tmp_path / "out.h5"
    run(image_folder, out)
    original, tried = IsolatedDecoder.decoded, []

    def counted(
        decoder: IsolatedDecoder, data: bytes, least_side: int
    ) -> AbstractContextManager[Decoded]:
        tried.append(data)
        return original(decoder, data, least_side)

    monkeypatch.setattr(IsolatedDecoder, "decoded", counted)
    assert run(image_folder, out).progress.failed == 1
    assert tried == []
    assert run(image_folder, out, retry_failed=True).progress.failed == 1
    assert tried == [b"text"]


@pytest.mark.usefixtures("one_core")
def test_invalid_rows_are_failures(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of NaN or zeros, and rows of copies of these images, become failures."""
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


def test_an_interrupted_run_resumes(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows encoded before Ctrl-C are kept, and the next run encodes the remaining images."""
    out = tmp_path / "out.h5"

    def interrupt(phase: Phase) -> None:
        if phase.done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(image_folder, out, batch_size=4, progress=interrupt)
    assert len(load(out)) == 8
    assert run(image_folder, out).progress.encoded == 16
    assert len(load(out)) == 24


def test_another_encoder_or_output_is_refused(image_folder: Path, tmp_path: Path) -> None:
    """Another encoder, an empty folder and invalid output paths are errors."""
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


def test_untrained_features_cause_a_warning(image_folder: Path, tmp_path: Path) -> None:
    """Random weights are recorded, and loading the file warns about them."""
    out = tmp_path / "out.h5"
    options = EncoderOptions(untrained=True, device="cpu")
    report = embed(image_folder, out, encoder="timm:test_efficientnet", options=options)
    assert report.spec.untrained
    with pytest.warns(ClipfeatWarning, match="RANDOM weights"):
        features = load(out)
    assert features.specs == (replace(report.spec),)


def test_unchanged_files_are_not_read(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without changes, no image is read and no encoder opened. A changed image is encoded."""
    out = tmp_path / "out.h5"
    paths = sorted(image_folder.rglob("*.png"))
    monkeypatch.setattr(stat_cache, "TRUSTED_AFTER_NS", 0)  # the images have just been made
    run(image_folder, out)
    with monkeypatch.context() as patch:
        patch.setattr(engines, "open_encoder", lambda *_, **__: pytest.fail("opened"))
        patch.setattr(FileBytes, "read", lambda *_: pytest.fail("read"))
        assert run(image_folder, out).progress.known == 24
    Image.open(paths[0]).rotate(90).save(paths[0])
    assert run(image_folder, out).progress.encoded == 1


def test_a_recent_file_time_is_not_trusted() -> None:
    """A recently changed file is read again, because it may change within the time's resolution."""
    for stat in ((10, 5_000_000_000, 7, 1), (10, 1, 7, 5_000_000_000)):
        for written, trusted in ((6_000_000_000, False), (8_000_000_000, True)):
            cache = make_stats([("a", stat, bytes(16))], written)
            assert (cache.keys_of(["a"], [stat]) == [bytes(16)]) is trusted
    assert cache.keys_of(["a", "b"], [(11, *stat[1:]), stat]) == [None, None]


def test_rows_of_removed_images_are_kept_until_pruned(image_folder: Path, tmp_path: Path) -> None:
    """Removed images are counted. --prune deletes their rows and failures."""
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


def test_failures_are_pruned(image_folder: Path, tmp_path: Path) -> None:
    """--prune deletes the failures of removed images, even if it deletes no row."""
    out = tmp_path / "out.h5"
    (image_folder / "bad.png").write_text("text")
    run(image_folder, out)
    (image_folder / "bad.png").unlink()
    assert run(image_folder, out, prune=True).n_rows == 24
    assert load(out).failures == ()


def test_the_stored_request_is_stable(image_folder: Path, tmp_path: Path) -> None:
    """The request text is that of version 0.1, so its files resume without opening the encoder."""
    options = EncoderOptions(image_size=64, arguments={}, device="cpu")
    run(image_folder, tmp_path / "out.h5", options=options)
    _, request = stored_spec(tmp_path / "out.h5")
    assert request == (
        '{"encoder": "spectrum", "weights": null, "untrained": false, "layers": null, '
        '"pool": null, "image_size": 64, "crop": null, "precision": "auto", "arguments": {}, '
        '"faces": "", "weights_stat": null}'
    )


def test_a_cache_that_cannot_be_written_is_a_warning(image_folder: Path, tmp_path: Path) -> None:
    """If the cache cannot be written, the run still succeeds with all features."""
    out = tmp_path / "out.h5"
    cache_path(out).mkdir()
    with pytest.warns(ClipfeatWarning, match="the cache of content hashes was not written"):
        assert run(image_folder, out).n_rows == 24
