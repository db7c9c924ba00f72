"""Tests of the remarks on adapted models."""

from dataclasses import replace

from clipfeat.evaluate.fitting import fit
from clipfeat.model.adaptation import Adaptation
from clipfeat.report import model_remarks
from clipfeat.report.adaptation import adaptation_remarks
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


def test_a_bound_on_the_false_positive_rate_no_longer_holds() -> None:
    """After an adaptation, remarks warn if the bound is void or nothing improved."""
    model = fit(make_features(80), "logreg", cv=2, options=FitOptions(max_fpr=0.1))
    scores = {"accuracy": 0.5, "log_loss": 0.7}
    adapted = replace(model, adaptation=Adaptation((-0.5, 0.5), "labels", 12, scores, scores))
    text = "\n".join(adaptation_remarks(adapted))
    assert text in "\n".join(model_remarks(adapted))
    assert "Adapted with 12 labelled images: +1.000 on the logit of fake." in text
    assert "accuracy 0.5000 → 0.5000, log_loss 0.7000 → 0.7000" in text
    assert "WARNING: the adaptation does not lower the log loss" in text
    assert "bound on the false positive rate (max_fpr 0.1) no longer holds" in text
    assert not adaptation_remarks(model)
