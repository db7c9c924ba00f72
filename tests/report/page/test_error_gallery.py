"""Tests of the error gallery."""

from collections.abc import Sequence

from clipfeat.evaluate.protocols import KFold
from clipfeat.report.page.error_gallery import errors_section
from clipfeat.report.plots.out_of_fold import out_of_fold_predictions
from tests.report.runs import make_run, with_generators

PNG = b"\x89PNG\r\n\x1a\n"


def test_each_class_shows_its_most_confident_errors_once() -> None:
    """With two repeats, a file is shown once. Unreadable files have no thumbnail."""
    features = with_generators(40)
    run = make_run(features, KFold(4, repeats=2).plan(features), {"svm": 0.5})
    predictions = out_of_fold_predictions(run, "svm")
    assert predictions is not None
    requested: list[str] = []

    def thumbnails(paths: Sequence[str]) -> dict[str, bytes]:
        requested.extend(paths)
        return {paths[0]: PNG, paths[1]: b"<svg onload=alert(1)>"}

    gallery = errors_section(run, "svm", predictions, thumbnails).gallery
    assert gallery is not None
    assert sorted(gallery) == ["True class fake", "True class real"]
    images = [image for of_class in gallery.values() for image in of_class]
    assert [image.path for image in images] == requested
    assert len(set(requested)) == len(requested) == 16
    assert [bool(image.source) for image in images] == [True] + [False] * 15
    for heading, of_class in gallery.items():
        confidence = [float(image.caption.rpartition(" ")[2]) for image in of_class]
        assert confidence == sorted(confidence, reverse=True)
        assert confidence[0] > 0.5
        assert all(image.caption.startswith(heading[-4:]) for image in of_class)


def test_without_errors_there_is_no_gallery() -> None:
    """Without errors, the section is one sentence."""
    run = make_run(with_generators(30), skills={"svm": 100.0})
    predictions = out_of_fold_predictions(run, "svm")
    assert predictions is not None
    assert errors_section(run, "svm", predictions, None).paragraphs == ["svm made no errors."]
