"""``clipfeat export``."""

from pathlib import Path

import numpy as np
import pytest

from clipfeat.model import load_model
from clipfeat.store import load
from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


def test_a_model_is_exported_for_scikit_learn(image_folder: Path) -> None:
    """The exported estimator has the probabilities of the model."""
    skops_io = pytest.importorskip("skops.io")
    embed()
    succeed("fit", "out.h5", "--clf", "logreg,lgbm,svm", "--cv", 0)
    assert "x.skops: " in succeed("export", "model.clipfeat", "-o", "x.skops").stdout
    assert_fails(clipfeat("export", "model.clipfeat", "-o", "x.skops"), 2, "exists")
    assert_fails(clipfeat("export", "model.clipfeat", "-o", "x.pkl"), 2, "-o model.skops")
    estimator = skops_io.load("x.skops", trusted=skops_io.get_untrusted_types(file="x.skops"))
    features = load("out.h5")
    expected = load_model("model.clipfeat").predict_proba(features)
    assert np.array_equal(estimator.predict_proba(features.X), expected)


def test_the_suffix_chooses_the_format(image_folder: Path) -> None:
    """Known suffixes are written, others are errors."""
    embed()
    assert "x.parquet: 24 rows" in succeed("export", "out.h5", "-o", "x.parquet").stdout
    assert_fails(clipfeat("export", "out.h5", "-o", "x.xlsx"), 2, ".parquet")
