"""Tests of the audit of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.auditing import run_images
from clipfeat.errors import ClipfeatWarning, DataError
from tests.report.runs import make_run, with_generators


def test_the_audit_gets_the_predictions_of_the_best_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities are matched by path and class. An error of the audit is a warning."""
    run = make_run(with_generators(20), None, {"svm": 2.0, "knn": 0.1})
    run = replace(run, classes=run.classes[::-1])  # as with --positive real
    calls: list[dict[str, Any]] = []

    def audit(files: list[Path], **options: Any) -> None:
        calls.append(options)
        raise DataError("no images")

    monkeypatch.setattr(run_images, "audit", audit)
    with pytest.warns(ClipfeatWarning, match="the run has no audit: no images"):
        assert run_images.audit_run(run, run.leaderboard(), ["out.h5"]) is None
    (options,) = calls
    assert options["judge"] == "svm"
    path = str(run.paths[3])
    assert np.array_equal(options["probabilities"][path], run.probabilities["svm"][3, ::-1])
