"""Tests of the complete audit: its inputs and its result."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clipfeat.auditing.checking import audit
from clipfeat.auditing.checks import CHECKS
from clipfeat.auditing.result import Audit
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DataError, EmptySourceError, UsageError
from clipfeat.images.class_globs import ClassGlobs
from clipfeat.images.source_options import SourceOptions
from clipfeat.store import load
from tests.conftest import make_features, texture


def sentences(run: Audit, check: str) -> list[str]:
    """Return the sentences of the findings of a check."""
    return [finding.sentence for finding in run.findings if finding.check == check]


def names(run: Audit) -> set[str]:
    """Return the names of the checks with findings."""
    return {finding.check for finding in run.findings}


@pytest.fixture
def embedded(image_folder: Path, tmp_path: Path) -> Path:
    embed(
        image_folder, tmp_path / "out.h5", encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    return tmp_path / "out.h5"


def test_each_check_has_one_result(image_folder: Path, embedded: Path) -> None:
    """Each check has findings, passed, or was skipped with a reason."""
    for run in (audit(image_folder), audit(embedded), audit(load(embedded)),
                audit(embedded, images=image_folder)):  # fmt: skip
        parts = [names(run), set(run.passed), set(run.skipped)]
        assert set.union(*parts) == set(CHECKS)
        assert sum(map(len, parts)) == len(CHECKS)
        assert run.n_files == 24


def test_some_facts_need_the_images(image_folder: Path, embedded: Path) -> None:
    """JPEG tables and EXIF are checked only with --images; sizes come from the feature file."""
    of_features = audit(embedded)
    assert of_features.skipped["JPEG quantisation"].endswith("Add the images with --images")
    assert "width" in of_features.passed
    of_both = audit(embedded, images=image_folder)
    assert "EXIF presence" in of_both.passed
    with pytest.raises(DataError, match="none of the images"):
        other = image_folder.parent / "other.png"
        Image.new("RGB", (8, 8)).save(other)
        audit(embedded, images=other)


def test_feature_files_of_one_encoder_are_splits(image_folder: Path, tmp_path: Path) -> None:
    """An image in both the training and the test file is a leak."""
    for name in ("train", "test"):
        embed(
            image_folder,
            tmp_path / f"{name}.h5",
            encoder="spectrum",
            options=EncoderOptions(device="cpu"),
        )
    run = audit([tmp_path / "train.h5", tmp_path / "test.h5"])
    (sentence,) = sentences(run, "exact duplicates")
    assert sentence.startswith("48 files are byte-identical in several splits")
    assert "train/fake/fake-00.png and test/fake/fake-00.png" in sentence
    of_images = audit([image_folder / "real", image_folder / "fake"])
    assert of_images.n_files == 24


def test_folders_named_after_splits_are_splits(tmp_path: Path) -> None:
    """Folder names give a column ``split``, and a class missing from a split is reported."""
    image = texture(np.random.default_rng(0), smooth=True)
    for place in ("train/real", "train/fake", "test/real"):
        (tmp_path / "images" / place).mkdir(parents=True)
        image.save(tmp_path / "images" / place / "1.png")
    run = audit(tmp_path / "images")
    assert "the split 'test' has no files of fake" in sentences(run, "class balance")
    assert run.has_leak


def test_groups_across_splits_are_found() -> None:
    """A group with files in both training and test is reported."""
    features = make_features(20, groups=True)
    split = np.where(np.arange(40) < 20, "train", "test")
    run = audit(replace(features, columns={"split": split}))
    (sentence,) = sentences(run, "groups across splits")
    assert sentence.startswith("10 of 10 groups have files in several splits, such as 'g0'")


def test_imbalance_and_missing_labels_are_reported() -> None:
    """Files without labels, small classes and a ratio of 16 to 1 are reported."""
    features = make_features(200)
    kept = features.take(np.r_[np.arange(212)])
    y = kept.y.copy()
    y[:5] = -1
    lines = sentences(audit(replace(kept, y=y)), "class balance")
    assert any(s.startswith("5 of 212 files have no label") for s in lines)
    assert any(s.startswith("classes are imbalanced, 16.2 to 1") for s in lines)
    assert any(s.startswith("fewer than 20 files of fake") for s in lines)


def test_damaged_files_do_not_stop_the_audit(image_folder: Path) -> None:
    """Damaged files are reported. A truncated image is not, because its header is readable."""
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


def test_wrong_inputs_are_refused(image_folder: Path, embedded: Path, tmp_path: Path) -> None:
    """Mixed sources, options in the wrong place, and empty folders are errors."""
    with pytest.raises(UsageError, match="feature files and images cannot be mixed"):
        audit([embedded, image_folder])
    with pytest.raises(UsageError, match="--images can only be combined"):
        audit(image_folder, images=image_folder)
    with pytest.raises(UsageError, match="Leave out --labels"):
        audit(embedded, inputs=SourceOptions(labels="x.csv"))
    with pytest.raises(UsageError, match="the feature set, which has labels"):
        audit(make_features(), inputs=SourceOptions(globs=ClassGlobs(generator_level=1)))
    (tmp_path / "none").mkdir()
    with pytest.raises(EmptySourceError):
        audit(tmp_path / "none")


def test_saved_files_agree_with_the_findings(image_folder: Path, tmp_path: Path) -> None:
    """The saved tables and JSON hold the findings. Without findings, they are empty."""
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


def test_phases_are_reported(
    image_folder: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """The phase of reading headers comes before the phase of the checks."""
    assert phases_of(partial(audit, image_folder)) == [
        "loading", "reading headers", "decoding a sample", "checking"
    ]  # fmt: skip
