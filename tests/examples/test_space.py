"""Tests of the app of the Space, without Gradio."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import clipfeat
from tests.examples.conftest import ROOT
from tests.exporting.conftest import model_of, pictures

pytest.importorskip("fastapi")

FOLDER = ROOT / "examples" / "space"


class Refused(Exception):
    """Stand-in for ``gradio.Error``."""


def test_the_app_predicts_as_clipfeat_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities equal those of `clipfeat.predict`. A damaged file is an error."""
    from clipfeat.encoders import EncoderOptions

    options = EncoderOptions(image_size=64, precision="fp32", device="cpu")
    model = model_of([("efficientnet-lite0", options)], "logreg", threshold=0.0)
    model.save(tmp_path / "model.clipfeat")
    made: list[Any] = []
    gradio = ModuleType("gradio")
    gradio.Error = Refused  # type: ignore[attr-defined]
    for name in ("Image", "Label", "Interface"):
        setattr(gradio, name, lambda *args, **keywords: made.append((args, keywords)) or keywords)
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    monkeypatch.setenv("MODEL", str(tmp_path / "model.clipfeat"))
    names: dict[str, Any] = {"__name__": "app"}
    exec(compile((FOLDER / "app.py").read_text(), "app.py", "exec"), names)
    with names["OPENED"]:
        Image.fromarray(pictures(1)[0]).save(tmp_path / "one.png")
        expected = clipfeat.predict(model, tmp_path / "one.png", progress=False)
        shown = names["classify"](str(tmp_path / "one.png"))
        assert (shown["label"], expected.predicted) == ("fake", ["fake"])  # above the threshold
        p = shown["value"]
        assert list(p) == ["real", "fake"]
        assert np.abs(np.array([*p.values()]) - expected.probabilities[0]).max() < 1e-5
        assert names["classify"](None)["value"] == {}
        (tmp_path / "bad.png").write_bytes(b"nothing")
        with pytest.raises(Refused, match="cannot be decoded"):
            names["classify"](str(tmp_path / "bad.png"))
    assert next(keywords["title"] for _, keywords in made if "title" in keywords) == "real or fake?"


def test_the_app_is_short() -> None:
    assert len((FOLDER / "app.py").read_text().splitlines()) <= 40
