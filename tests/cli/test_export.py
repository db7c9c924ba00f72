"""Tests of ``clipfeat export``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import DataError, OutputExistsError
from clipfeat.model import Model, load_model
from clipfeat.model.abstention import Abstention
from clipfeat.model.adaptation import Adaptation
from clipfeat.store import load
from tests.cli.command_line import assert_fails, clipfeat, embed, succeed
from tests.conftest import make_features
from tests.model.test_codecs import fitted


def test_a_model_is_exported_for_scikit_learn(image_folder: Path) -> None:
    """The exported estimator returns the probabilities of the model."""
    skops_io = pytest.importorskip("skops.io")
    embed()
    succeed("fit", "out.h5", "--clf", "logreg,lgbm,svm", "--cv", 0)
    line = succeed("export", "model.clipfeat", "-o", "x.skops").stdout
    assert line.startswith("x.skops: ") and line.endswith("predicts 0 for real, 1 for fake\n")
    assert_fails(clipfeat("export", "model.clipfeat", "-o", "x.skops"), 2, "exists")
    assert_fails(clipfeat("export", "model.clipfeat", "-o", "x.pkl"), 2, "-o model.skops")
    estimator = skops_io.load("x.skops", trusted=skops_io.get_untrusted_types(file="x.skops"))
    features = load("out.h5")
    expected = load_model("model.clipfeat").predict_proba(features)
    assert np.array_equal(estimator.predict_proba(features.X), expected)


def test_the_suffix_chooses_the_format(image_folder: Path) -> None:
    """A known suffix selects the format. An unknown one is an error."""
    embed()
    assert "x.parquet: 24 rows" in succeed("export", "out.h5", "-o", "x.parquet").stdout
    assert_fails(clipfeat("export", "out.h5", "-o", "x.xlsx"), 2, ".parquet")


def test_what_an_estimator_lacks_is_listed(tmp_path: Path) -> None:
    """A model folder is accepted. The warning names the settings that are not exported."""
    pytest.importorskip("skops.io")
    features = make_features()
    estimator = fitted("logreg", features)
    model = Model(estimator, features.classes, features.specs, threshold=0.9)
    model.save(tmp_path / "run" / "model.clipfeat")
    done = succeed("export", tmp_path / "run", "-o", tmp_path / "x.skops")
    assert "without the threshold 0.9" in done.stderr


def test_an_onnx_file_may_be_in_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_model = pytest.importorskip("clipfeat.exporting.onnx_model")
    exported = onnx_model.OnnxExport(b"graph", {}, None)
    monkeypatch.setattr(onnx_model, "to_onnx", lambda *args, **options: exported)
    onnx_model.export_onnx("model.clipfeat", tmp_path / "new" / "model.onnx")
    assert (tmp_path / "new" / "model.onnx").read_bytes() == b"graph"
    with pytest.raises(OutputExistsError, match=r"model\.onnx exists"):
        onnx_model.export_onnx("model.clipfeat", tmp_path / "new" / "model.onnx")
    onnx_model.export_onnx("model.clipfeat", tmp_path / "new" / "model.onnx", overwrite=True)


def test_features_of_another_width_are_refused() -> None:
    """A model fitted on arrays refuses features with another number of columns."""
    features = replace(make_features(), specs=())
    model = Model(fitted("logreg", features), features.classes, ())
    with pytest.raises(DataError, match="fitted on 6 features, but X has the shape"):
        model.predict_proba(replace(features, X=features.X[:, :5]))


def test_the_card_states_adaptation_and_abstention() -> None:
    features = make_features()
    model = Model(fitted("logreg", features), features.classes, features.specs)
    adapted = replace(model, adaptation=Adaptation((-0.5, 0.5), "labels", 10, {}, {}))
    assert "Adapted with 10 images" in adapted._repr_html_()
    p = np.tile(np.linspace(0.1, 0.9, 20), 2)
    abstaining = replace(model, abstention=Abstention(0.1, p, (20, 20), (20, 20)))
    assert "unsure images at level 0.1" in abstaining._repr_html_()
