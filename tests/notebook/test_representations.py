"""Tests that every public result has a card and a plain text, with hostile names escaped."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat import fit
from clipfeat.embedding.embed_report import EmbedReport
from clipfeat.embedding.profile import Profile
from clipfeat.embedding.run import EmbedCounts
from clipfeat.features import Failure, FeatureSet
from clipfeat.prediction.predictions import Predictions
from tests.conftest import make_features, make_spec
from tests.report.runs import make_run, with_generators

EVIL = "<script>alert(1)</script>\x1b[2J\u202e"
CLASSES = ("real", EVIL)


def features() -> FeatureSet:
    data = make_features(12, CLASSES, groups=True)
    return replace(data, columns={EVIL: data.paths}, failures=(Failure("a", "b", EVIL),))


def benchmark() -> Any:
    run = make_run(features(), None, {EVIL: 1.0, "knn": 0.5})
    return replace(run, errors={EVIL: EVIL}, about={**run.about, "protocol": EVIL})


def model() -> Any:
    return fit(make_features(12, CLASSES), "logreg", cv=2, progress=False)


def predictions() -> Predictions:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]])
    return Predictions([EVIL, "b", "c"], p, CLASSES, ["", "", ""], {"c": EVIL}, threshold=0.7)


def embed_report() -> EmbedReport:
    return EmbedReport(
        Path(EVIL), make_spec(EVIL), EmbedCounts(4, 2, 1, 1, 2.0), 3, 1, {EVIL: 3, "": 1},
        [Failure(EVIL, "DecodeError", EVIL)], Profile({}, {}, 1.0, 2, "cpu"), "", cause=EVIL,
        skipped={EVIL: 2},
    )  # fmt: skip


RESULTS: dict[str, Callable[[], Any]] = {
    "FeatureSet": features,
    "Benchmark": benchmark,
    "Leaderboard": lambda: benchmark().leaderboard(),
    "Predictions": predictions,
    "Model": model,
    "EmbedReport": embed_report,
}
NEXT = {
    "FeatureSet": "clipfeat.benchmark(features)",
    "Benchmark": "run.leaderboard()",
    "Leaderboard": "run.save(&quot;run/&quot;)",
    "Predictions": "predictions.to_pandas()",
    "Model": "model.predict(&quot;images/&quot;)",
    "EmbedReport": "features = clipfeat.load(",
}


@pytest.mark.parametrize("name", RESULTS)
def test_hostile_names_are_text(name: str) -> None:
    """No name becomes markup or a control character, in HTML or in plain text."""
    result = RESULTS[name]()
    html, text = result._repr_html_(), repr(result)
    assert "&lt;script&gt;" in html and "<script" not in html
    for output in (html, text):
        assert not re.search("[\x1b\u202e]", output)
    assert text.startswith(name) and len(text) < 600
    assert f"<code>{NEXT[name]}" in html
    assert html.count("<svg") > 0
    assert len(re.findall("<tr>", html)) == len(re.findall("</tr>", html)) > 1


def test_a_set_without_labels_and_a_set_of_many_classes_have_cards() -> None:
    """The card suggests a prediction without two classes, and shows at most 12 classes."""
    unlabelled = FeatureSet.from_arrays(np.eye(3), ["", "", ""])
    assert "3 images without a label." in unlabelled._repr_html_()
    assert "<code>model.predict(features)</code>" in unlabelled._repr_html_()
    many = make_features(2, tuple(f"c{i:02d}" for i in range(20)))
    assert "8 more classes." in many._repr_html_()
    assert "c11" in many._repr_html_() and "c12" not in many._repr_html_()


def test_numbers_are_those_of_the_objects() -> None:
    """The cards of a run, its leaderboard and a model show the same scores."""
    run = make_run(with_generators(40))
    board = run.leaderboard()
    first = board.entries[0]
    cell = board.cell(first, board.metric)
    number, _, spread = cell.partition(" ± ")
    assert cell in run._repr_html_() and cell in repr(board)
    assert f"<b>{number}</b><br><small>± {spread}</small>" in board._repr_html_()
    assert board.cell(first, "interval") in board._repr_html_()
    assert board.spread_note in run._repr_html_()
    fitted = model()
    mean = np.mean([r["value"] for r in fitted.scores if r["metric"] == "balanced_accuracy"])
    assert f"{mean:.3f}" in fitted._repr_html_()
    assert "Means over the folds" in fitted._repr_html_()
    html = predictions()._repr_html_()
    assert ">1 image<" in html and "0.900" in html and "predicted above 0.7000" in html
