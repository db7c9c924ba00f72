"""The gallery of mistakes."""

from collections.abc import Sequence

from clipfeat.evaluate.protocols import KFold
from clipfeat.report.page.error_gallery import mistakes_section
from clipfeat.report.plots.out_of_fold import gather
from tests.report.runs import make_run, with_generators

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_surest_mistakes_of_each_class_once() -> None:
    """Over two seeds a file is shown once, the surer first; thumbnails where they can be read."""
    features = with_generators(40)
    run = make_run(features, KFold(4, repeats=2).plan(features), {"svm": 0.5})
    answers = gather(run, "svm")
    assert answers is not None
    asked: list[str] = []

    def thumbnails(paths: Sequence[str]) -> dict[str, bytes]:
        asked.extend(paths)
        return {paths[0]: PNG, paths[1]: b"<svg onload=alert(1)>"}

    gallery = mistakes_section(run, "svm", answers, thumbnails).gallery
    assert gallery is not None
    assert sorted(gallery) == ["fake, taken for another", "real, taken for another"]
    pictures = [picture for of_class in gallery.values() for picture in of_class]
    assert [picture.path for picture in pictures] == asked
    assert len(set(asked)) == len(asked) == 16
    assert [bool(picture.source) for picture in pictures] == [True] + [False] * 15
    for heading, of_class in gallery.items():
        sure = [float(picture.said.rpartition(" ")[2]) for picture in of_class]
        assert sure == sorted(sure, reverse=True)
        assert sure[0] > 0.5
        assert all(picture.said.startswith(heading[:4]) for picture in of_class)


def test_without_mistakes_it_says_so() -> None:
    """No gallery, one sentence."""
    run = make_run(with_generators(30), skills={"svm": 100.0})
    answers = gather(run, "svm")
    assert answers is not None
    assert mistakes_section(run, "svm", answers, None).says == ["svm made none."]
