"""The audit as a whole: what it takes, and that every check is accounted for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clipfeat.auditing.checking import Audit, audit
from clipfeat.auditing.checks import CHECKS
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DataError, EmptySourceError, UsageError
from clipfeat.store import load
from tests.conftest import make_features, texture


def said(run: Audit, check: str) -> list[str]:
    return [finding.sentence for finding in run.findings if finding.check == check]


def names(run: Audit) -> set[str]:
    return {finding.check for finding in run.findings}


@pytest.fixture
def embedded(image_folder: Path, tmp_path: Path) -> Path:
    embed(
        image_folder, tmp_path / "out.h5", encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    return tmp_path / "out.h5"


def test_every_check_is_accounted_for(image_folder: Path, embedded: Path) -> None:
    """Each check found something, passed or says why it was not made; none twice."""
    for run in (audit(image_folder), audit(embedded), audit(load(embedded)),
                audit(embedded, images=image_folder)):  # fmt: skip
        parts = [names(run), set(run.passed), set(run.skipped)]
        assert set.union(*parts) == set(CHECKS)
        assert sum(map(len, parts)) == len(CHECKS)
        assert run.n_files == 24


def test_a_feature_file_says_what_it_cannot_tell(image_folder: Path, embedded: Path) -> None:
    """Sizes and formats are in it; JPEG tables and EXIF take the images, by their bytes."""
    of_features = audit(embedded)
    assert of_features.skipped["JPEG quantisation"].endswith("give the images too (--images)")
    assert "width" in of_features.passed
    of_both = audit(embedded, images=image_folder)
    assert "EXIF presence" in of_both.passed
    with pytest.raises(DataError, match="none of the images"):
        other = image_folder.parent / "other.png"
        Image.new("RGB", (8, 8)).save(other)
        audit(embedded, images=other)


def test_files_of_one_encoder_are_splits(image_folder: Path, tmp_path: Path) -> None:
    """A training and a test file: what is in both is a leak."""
    for name in ("train", "test"):
        embed(
            image_folder,
            tmp_path / f"{name}.h5",
            encoder="spectrum",
            options=EncoderOptions(device="cpu"),
        )
    run = audit([tmp_path / "train.h5", tmp_path / "test.h5"])
    (sentence,) = said(run, "exact duplicates")
    assert sentence.startswith("48 files are byte for byte the same in several splits")
    assert "train/fake/fake-00.png and test/fake/fake-00.png" in sentence
    of_images = audit([image_folder / "real", image_folder / "fake"])
    assert of_images.n_files == 24


def test_folders_named_as_splits_are(tmp_path: Path) -> None:
    """The column ``split`` of a folder's own layout is taken; a class that one lacks is named."""
    image = texture(np.random.default_rng(0), smooth=True)
    for place in ("train/real", "train/fake", "test/real"):
        (tmp_path / "images" / place).mkdir(parents=True)
        image.save(tmp_path / "images" / place / "1.png")
    run = audit(tmp_path / "images")
    assert "the split 'test' holds no fake" in said(run, "class balance")
    assert run.has_leak


def test_groups_across_splits_are_found() -> None:
    """The same person in training and test."""
    features = make_features(20, groups=True)
    split = np.where(np.arange(40) < 20, "train", "test")
    run = audit(replace(features, columns={"split": split}))
    (sentence,) = said(run, "groups across splits")
    assert sentence.startswith("10 of 10 groups have files in several splits, such as 'g0'")


def test_uneven_and_missing_labels_are_said() -> None:
    """Two hundred against twelve, and five without a label."""
    features = make_features(200)
    kept = features.take(np.r_[np.arange(212)])
    y = kept.y.copy()
    y[:5] = -1
    sentences = said(audit(replace(kept, y=y)), "class balance")
    assert any(s.startswith("5 of 212 files have no label") for s in sentences)
    assert any(s.startswith("classes are uneven, 16.2 to 1") for s in sentences)
    assert any(s.startswith("fewer than 20 files of fake") for s in sentences)


def test_hostile_files_end_no_audit(image_folder: Path) -> None:
    """Text, emptiness, half an image and a bomb's header: counted, or read as far as needed."""
    first = min((image_folder / "real").glob("*.png")).read_bytes()
    (image_folder / "real" / "text.jpg").write_text("text")
    (image_folder / "real" / "empty.png").touch()
    (image_folder / "real" / "half.png").write_bytes(first[: len(first) // 2])
    huge = first[:16] + (2**30).to_bytes(4, "big") * 2 + first[24:]
    (image_folder / "real" / "huge.png").write_bytes(huge)
    run = audit(image_folder)
    (finding,) = [f for f in run.findings if f.check == "unreadable files"]
    assert {row["path"] for row in finding.rows} == {
        "real/text.jpg", "real/empty.png", "real/huge.png"
    }  # fmt: skip
    assert run.n_files == 28


def test_nonsense_is_refused(image_folder: Path, embedded: Path, tmp_path: Path) -> None:
    """Features mixed with images, images of images, labels of features, nothing at all."""
    with pytest.raises(UsageError, match="not audited together"):
        audit([embedded, image_folder])
    with pytest.raises(UsageError, match="images already"):
        audit(image_folder, images=image_folder)
    with pytest.raises(UsageError, match="leave --labels out"):
        audit(embedded, labels="x.csv")
    (tmp_path / "none").mkdir()
    with pytest.raises(EmptySourceError):
        audit(tmp_path / "none")


def test_what_is_saved_is_what_was_found(image_folder: Path, tmp_path: Path) -> None:
    """Tables and JSON agree with the findings, also where there are none."""
    first = min((image_folder / "real").glob("*.png"))
    (image_folder / "fake" / "copy.png").write_bytes(first.read_bytes())
    run = audit(image_folder)
    findings, files, whole = run.save(tmp_path / "audit")
    assert pd.read_csv(findings).sentence.tolist() == [f.sentence for f in run.findings]
    assert pd.read_csv(files).path.tolist() == [row["path"] for f in run.findings for row in f.rows]
    assert json.loads(whole.read_text())["findings"][0]["sentence"] == run.findings[0].sentence
    nothing = Audit([], ["width"], {}, 0)
    nothing.save(tmp_path / "nothing")
    assert nothing.to_pandas().columns.tolist() == ["check", "severity", "sentence"]
