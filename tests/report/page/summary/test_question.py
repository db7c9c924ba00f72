"""Tests of the description of the question and of the protocol."""

import pytest

from clipfeat.evaluate.protocols import FewShot, KFold, LeaveOneOut, Matrix, Protocol
from clipfeat.report.page.summary.question import images_text, protocol_text
from tests.conftest import make_features
from tests.report.runs import make_run, with_generators


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (KFold(4, repeats=2), "4-fold cross-validation: each part of the images is tested with "
         "models that were trained on the other 3 parts. This is repeated with 2 random seeds."),
        (LeaveOneOut("generator"), "Each of 3 values of generator is held out in turn. Models are "
         "trained on the images of the other values and tested on the images that were held out."),
        (Matrix("generator", 2), "For each of 3 values of generator, models are trained on the "
         "images of this value and tested on the images of every value, in 2 folds."),
        (FewShot([2, 8], repeats=3), "Models are trained on few images of each class (2, 8), drawn "
         "3 times. The scores below are those of the largest number, 8."),
    ],
    ids=["KFold", "LeaveOneOut", "Matrix", "FewShot"],
)  # fmt: skip
def test_each_protocol_is_described(protocol: Protocol, words: str) -> None:
    """The numbers in the text are those of the trials."""
    features = with_generators(40)
    assert protocol_text(make_run(features, protocol.plan(features), {"svm": 1.0})) == words


def test_a_separate_test_set_and_groups_are_described() -> None:
    """Groups are mentioned only if the protocol keeps them together."""
    features = make_features(30, ("a", "b", "c", "d"), groups=True)
    run = make_run(features, KFold(3).plan(features), {"svm": 1.0}, grouped=True, groups=10)
    assert protocol_text(run).endswith("The images of each of 10 groups stay together.")
    given = make_run(features, None, {"svm": 1.0}, given_split=True, grouped=True, groups=10)
    assert protocol_text(given).endswith("tested on 120 separate images.")


def test_classes_are_counted() -> None:
    """Few classes are listed with counts. Many classes have a range of counts."""
    run = make_run(with_generators(30), positive="fake")
    assert images_text(run) == "60 images (30 real, 30 fake). The positive class is fake."
    many = make_run(
        make_features(20, ("a", "b", "c", "d")), per_class={"a": 5, "b": 9, "c": 7, "d": 7}
    )
    assert images_text(many) == "80 images of 4 classes, 5 to 9 of each."
