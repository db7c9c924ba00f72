"""Tests of labelling while browsing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.auditing.duplicates import near_pairs
from clipfeat.browsing.file_cache import FileCache
from clipfeat.browsing.lists import LISTS
from clipfeat.browsing.session import BrowseSession
from clipfeat.browsing.thumbnails import BrowseThumbnails
from clipfeat.features import FeatureSet
from clipfeat.labelling.label_session import LabelSession
from tests.auditing.test_duplicates import with_copies
from tests.browsing.browsed import browse_data, with_split
from tests.conftest import make_features
from tests.report.runs import make_run

testclient = pytest.importorskip("starlette.testclient")


@pytest.fixture
def session(tmp_path: Path) -> BrowseSession:
    """Return a session that browses images and saves their labels in a file."""
    features = with_split(20)
    data = browse_data(features)
    thumbnails = BrowseThumbnails(data, FileCache(tmp_path / "cache"))
    labels = LabelSession(data.features, tmp_path / "labels.csv", "ann")
    labels.decide(3, "fake")
    return BrowseSession(data, thumbnails, make_run(features), labels=labels)


def test_decisions_replace_labels_everywhere(session: BrowseSession) -> None:
    """Details, filters, errors and lists use the saved decisions and the new ones."""
    from clipfeat.browsing.application import create_browse_application
    from clipfeat.web.access import Access

    application = create_browse_application(session, Access())
    with testclient.TestClient(application, base_url="http://127.0.0.1") as client:

        def rows(**query: Any) -> list[int]:
            numbers: list[int] = np.frombuffer(
                client.post("/rows", json=query).content, "<u4"
            ).tolist()
            return numbers

        def label(row: int) -> str:
            answer = client.post("/details", json={"query": {}, "rows": [row]}).json()
            return str(answer[0]["label"])

        assert label(3) == "fake"
        assert 3 in rows(where={"class": ["fake"]})
        assert 'href="/label"' in client.get("/").text
        client.post("/label/decide", json={"row": 5, "label": "odd"})
        assert label(5) == "odd"
        assert rows(where={"class": ["odd"]}) == [5]
        assert 5 in rows(show="errors", entry="svm")
        assert 'value="odd"' in client.get("/filters").text
        panel = client.get("/panel/5").text
        assert 'data-label="odd" aria-pressed="true"' in panel
        client.post("/label/undo")
        assert label(5) == "real"
        assert rows(where={"class": ["real"]}).count(5) == 1
        assert client.get("/label").status_code == 200


def test_without_a_file_there_is_no_labelling(session: BrowseSession) -> None:
    """Without a label file, the page has no labelling link and no label buttons."""
    from clipfeat.browsing.application import create_browse_application
    from clipfeat.web.access import Access

    plain = BrowseSession(session.data, session.thumbnails)
    with testclient.TestClient(
        create_browse_application(plain, Access()), base_url="http://127.0.0.1"
    ) as client:
        assert 'href="/label"' not in client.get("/").text
        assert "data-label" not in client.get("/panel/0").text
        assert client.get("/label").status_code == 404


def test_identical_files_follow_the_decisions(tmp_path: Path) -> None:
    """After a correction, the list no longer reports copies with different labels."""
    data = browse_data(with_copies({104: 4}, exact=True))
    labels = LabelSession(data.features, tmp_path / "labels.csv", "ann")
    thumbnails = BrowseThumbnails(data, FileCache(tmp_path / "cache"))
    session = BrowseSession(data, thumbnails, labels=labels)
    assert "different labels" in session.list_future("duplicates", "").result(30).sentences[0]
    labels.decide(104, labels.label_of(4))
    session.refresh_labels()
    assert "different labels" not in session.list_future("duplicates", "").result(30).sentences[0]


def test_a_failed_search_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the error was reported, the next request searches again."""
    errors = iter([MemoryError("full")])

    def search(features: FeatureSet) -> Any:
        for error in errors:
            raise error
        return near_pairs(features)

    kind = replace(LISTS["near-duplicates"], search=search)
    monkeypatch.setitem(LISTS, "near-duplicates", kind)
    data = browse_data(with_copies({104: 4}, exact=False))
    session = BrowseSession(data, BrowseThumbnails(data, FileCache(tmp_path / "cache")))
    for _ in range(2):  # the first request starts the search, and the second reports the error
        with pytest.raises(MemoryError):
            session.list_future("near-duplicates", "").result(30)
    assert session.list_future("near-duplicates", "").result(30).rows.tolist() == [4, 104]


def test_near_duplicates_follow_the_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a correction, the labels of near duplicates agree. The slow search is not repeated."""
    searched: list[int] = []

    def search(features: FeatureSet) -> Any:
        searched.append(len(features))
        return near_pairs(features)

    kind = replace(LISTS["near-duplicates"], search=search)
    monkeypatch.setitem(LISTS, "near-duplicates", kind)
    data = browse_data(with_copies({104: 4}, exact=False))
    labels = LabelSession(data.features, tmp_path / "labels.csv", "ann")
    thumbnails = BrowseThumbnails(data, FileCache(tmp_path / "cache"))
    session = BrowseSession(data, thumbnails, labels=labels)
    listed = session.list_future("near-duplicates", "").result(30)
    assert "different labels" in listed.sentences[0]
    labels.decide(104, labels.label_of(4))
    session.refresh_labels()
    listed = session.list_future("near-duplicates", "").result(30)
    assert "different labels" not in listed.sentences[0]
    assert listed.rows.tolist() == [4, 104]
    assert searched == [200]


def test_label_errors_follow_the_decisions(tmp_path: Path) -> None:
    """A corrected image is no longer in the list of possible label errors."""
    features = make_features(30, apart=12.0)
    y = features.y.copy()
    y[3] = 1
    data = browse_data(replace(features, y=y))
    labels = LabelSession(data.features, tmp_path / "labels.csv", "ann")
    thumbnails = BrowseThumbnails(data, FileCache(tmp_path / "cache"))
    session = BrowseSession(data, thumbnails, labels=labels)
    assert session.list_future("label-errors", "").result(60).rows.tolist() == [3]
    labels.decide(3, "real")
    session.refresh_labels()
    assert session.list_future("label-errors", "").result(60).rows.tolist() == []


def test_labels_of_the_features_come_back(session: BrowseSession) -> None:
    """Predictions are compared with new labels. An undo restores the labels of the file."""
    predictions = session.predictions("svm")
    assert predictions is not None
    assert session.labels is not None
    before = session.data.features.y.tolist()
    session.labels.decide(7, "fake")
    session.refresh_labels()
    compared = session.predictions("svm")
    assert compared is not None
    assert compared.wrong[7] == (compared.classes[compared.predicted[7]] != "fake")
    assert (compared.p == predictions.p).all()
    session.labels.undo()
    session.refresh_labels()
    assert session.data.features.y.tolist() == before
