"""Tests of encoding in memory, which gives the rows, keys and failures of a feature file."""

from pathlib import Path

import numpy as np
import pytest

from clipfeat.embedding.in_memory import encode_in_memory
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.features import FeatureSet
from clipfeat.images import open_source
from clipfeat.spec import EncoderSpec
from clipfeat.store import load
from clipfeat.system.progress import Phase


@pytest.fixture
def stored(image_folder: Path, tmp_path: Path) -> list[FeatureSet]:
    """Return features by two encoders of a folder with a copy and an unreadable image."""
    (image_folder / "fake" / "copy.png").write_bytes(
        (image_folder / "real" / "real-03.png").read_bytes()
    )
    (image_folder / "real" / "bad.png").write_text("text")
    sets = []
    for size in (32, 48):
        options = EncoderOptions(image_size=size, device="cpu")
        embed(image_folder, tmp_path / f"{size}.h5", encoder="spectrum", options=options)
        sets.append(load(tmp_path / f"{size}.h5"))
    return sets


def specs_of(sets: list[FeatureSet]) -> list[EncoderSpec]:
    return [spec for one in sets for spec in one.specs]


@pytest.mark.parametrize("n_encoders", [1, 2])
def test_equal_to_a_feature_file(
    stored: list[FeatureSet], image_folder: Path, n_encoders: int
) -> None:
    """Keys, labels and features equal those of a feature file, in the order of the source."""
    images = open_source(image_folder)
    specs = specs_of(stored[:n_encoders])
    features = encode_in_memory(images, specs, device="cpu")
    readable = [record.path for record in images if record.path != "real/bad.png"]
    assert features.paths.tolist() == readable
    assert [(f.path, f.reason) for f in features.failures] == [("real/bad.png", "DecodeError")]
    assert (features.classes, features.specs) == (("real", "fake"), tuple(specs))
    row = {path: number for number, path in enumerate(stored[0].paths.tolist())}
    expected = stored[0].take(np.array([row[path] for path in readable]))
    assert features.keys.tolist() == expected.keys.tolist()
    assert features.labels.tolist() == expected.labels.tolist()
    assert np.allclose(features.X[:, : expected.X.shape[1]], expected.X, atol=1e-4)


def test_a_copy_of_another_class_has_its_own_row(
    stored: list[FeatureSet], image_folder: Path
) -> None:
    """Identical images share a key and features, but each has its path and label."""
    features = encode_in_memory(open_source(image_folder), specs_of(stored), device="cpu")
    rows = [features.paths.tolist().index(path) for path in ("fake/copy.png", "real/real-03.png")]
    assert features.keys[rows[0]] == features.keys[rows[1]]
    assert np.array_equal(features.X[rows[0]], features.X[rows[1]])
    assert features.labels[rows].tolist() == ["fake", "real"]


def test_the_last_report_counts_every_image(stored: list[FeatureSet], tmp_path: Path) -> None:
    """Failures that follow each other at once are all in the last report of each encoder."""
    bad = tmp_path / "bad"
    bad.mkdir()
    for number in range(6):
        (bad / f"{number}.png").write_text("text")
    phases: list[Phase] = []
    encode_in_memory(open_source(bad), specs_of(stored), device="cpu", report=phases.append)
    states = [(one.done, one.failed) for one in phases if one.name == "encoding"]
    assert (6, 6) in states and states[-1] == (12, 6)


def test_no_readable_image_gives_no_rows(stored: list[FeatureSet], image_folder: Path) -> None:
    """If no image is readable, the set is empty and has the failures."""
    features = encode_in_memory(open_source(image_folder / "real" / "bad.png"), specs_of(stored))
    assert (len(features), features.X.shape[1]) == (0, sum(s.n_features for s in features.specs))
    assert len(features.failures) == 1
