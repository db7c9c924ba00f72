"""Tests of the routes, without a browser."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipfeat.browsing.data import open_browse_data
from clipfeat.browsing.file_cache import FileCache
from clipfeat.browsing.image_search import search_image
from clipfeat.browsing.session import BrowseSession
from clipfeat.browsing.thumbnails import BrowseThumbnails
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DataError
from clipfeat.store import load
from tests.browsing.browsed import browse_data, with_split
from tests.report.runs import make_run

EVIL = '<img src="https://example.com/x" onerror=alert(1)>'

testclient = pytest.importorskip("starlette.testclient")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> BrowseSession:
    """Return a session over images with hostile names, of which only one exists."""
    folder = tmp_path_factory.mktemp("browsed")
    features = with_split(20)
    paths = features.paths.copy().astype("U90")
    paths[0], paths[1] = "one.png", f"{EVIL.replace('/', '')}\u202e.png"
    features = replace(
        features, paths=paths, classes=("real", EVIL),
        columns={
            **features.columns,
            "generator": np.where(features.y == 0, "", EVIL),
            "mood": np.where(features.y == 0, "dark\x07", "light"),
        },
    )  # fmt: skip
    Image.new("RGB", (20, 10)).save(folder / "one.png")
    data = browse_data(features, [str(folder)])
    thumbnails = BrowseThumbnails(data, FileCache(folder / "cache"))
    return BrowseSession(data, thumbnails, make_run(features))


@pytest.fixture(scope="module")
def client(session: BrowseSession) -> Iterator[Any]:
    """Return a client that calls the application without a server."""
    from clipfeat.browsing.application import create_browse_application
    from clipfeat.web.access import Access

    application = create_browse_application(session, Access())
    with testclient.TestClient(application, base_url="http://127.0.0.1") as running:
        yield running


def until_ready(call: Any) -> Any:
    """Repeat a request until its result is computed."""
    for _ in range(600):
        answer = call()
        if answer.status_code != 202:
            return answer
        time.sleep(0.05)
    raise AssertionError("the result was never ready")


def test_parts_of_the_page_escape_names(client: Any) -> None:
    """Markup in classes, columns and paths is text, and control characters are visible."""
    entry = {"entry": "svm"}
    for path, parameters in (("/", {}), ("/filters", entry), ("/panel/1", entry)):
        answer = client.get(path, params=parameters)
        assert answer.status_code == 200
        assert "<img src=&#34;https://" in answer.text.replace("&lt;", "<")
        assert '<img src="https' not in answer.text
        assert "\u202e" not in answer.text
        assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "\\u202e.png" in client.get("/panel/1").text
    answer = client.post("/details", json={"query": {}, "rows": [1]})
    assert answer.json()[0]["path"].endswith("\\u202e.png")


def test_a_value_with_control_characters_is_a_filter(client: Any) -> None:
    """A filter accepts a value in the escaped form that the page shows."""
    page = client.get("/").text
    assert 'value="dark\\x07"' in page
    where = {"column:mood": ["dark\\x07"]}
    rows = np.frombuffer(client.post("/rows", json={"where": where}).content, "<u4")
    assert rows.tolist() == list(range(20))


def test_the_routes_of_the_page_are_no_api(client: Any) -> None:
    """They may change with the page, so the OpenAPI description does not list them."""
    assert client.get("/openapi.json").json()["paths"] == {}


def test_rows_and_details(client: Any, session: BrowseSession) -> None:
    """Rows are compact arrays, and the details belong to the rows of the query."""
    predictions = session.predictions("svm")
    assert predictions is not None
    query = {"show": "errors", "order": "mistakes", "entry": "svm"}
    rows = np.frombuffer(client.post("/rows", json=query).content, "<u4")
    assert sorted(rows) == np.flatnonzero(predictions.wrong).tolist()
    first = int(rows[0])
    (detail,) = client.post("/details", json={"query": query, "rows": [first]}).json()
    assert detail["wrong"]
    assert detail["path"] == session.data.paths[first]
    assert detail["confidence"] == pytest.approx(predictions.confidence[first])


def test_a_list_is_computed_in_the_background(client: Any) -> None:
    """The status is 202 until the list is ready. An error of the list becomes a message."""
    query = {"show": "duplicates"}
    assert until_ready(lambda: client.post("/rows", json=query)).content == b""
    summary = client.get("/list/duplicates").json()
    assert summary == {"n": 0, "sentences": ["No two files have the same bytes."]}
    query["show"] = "near-duplicates"
    answer = until_ready(lambda: client.post("/rows", json=query))
    assert answer.status_code == 400
    assert "encoder with trained weights" in answer.json()["detail"]


def test_arrays_of_the_map(client: Any, session: BrowseSession) -> None:
    """The map has two coordinates per image. A facet has one code per image."""
    points = np.frombuffer(until_ready(lambda: client.get("/map/pca")).content, "<u2")
    assert points.shape == (2 * len(session.data),)
    codes = client.get("/codes", params={"facet": "predicted", "entry": "svm"}).content
    predictions = session.predictions("svm")
    assert predictions is not None
    assert np.frombuffer(codes, "<u2").tolist() == predictions.predicted.tolist()
    x, y = points[:2].tolist()
    brush = {"map": "pca", "left": x, "top": y, "right": x, "bottom": y}
    rows = np.frombuffer(client.post("/rows", json={"brush": brush}).content, "<u4")
    assert 0 in rows


def test_thumbnails(client: Any) -> None:
    """A missing image has a placeholder, which browsers are told not to cache."""
    answer = client.get("/thumbnail/0")
    assert Image.open(io.BytesIO(answer.content)).size == (20, 10)
    assert "private" in answer.headers["cache-control"]
    missing = client.get("/thumbnail/2?size=large")
    assert missing.headers["content-type"].startswith("image/svg")
    assert missing.headers["cache-control"] == "no-store"


def test_similar_images(client: Any) -> None:
    """The most similar image is the image itself."""
    answer = client.get("/similar/5?k=3").json()
    assert answer["rows"][0] == 5
    assert answer["similarities"][0] == pytest.approx(1)
    assert len(answer["rows"]) == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/panel/999", None, 400),
        ("GET", "/thumbnail/-1", None, 400),
        ("GET", "/thumbnail/0?size=huge", None, 422),
        ("GET", "/map/none", None, 400),
        ("GET", "/list/none", None, 400),
        ("GET", "/codes?facet=none", None, 400),
        ("GET", "/similar/0?k=0", None, 422),
        ("POST", "/rows", {"show": "none"}, 400),
        ("POST", "/rows", {"entry": "none"}, 400),
        ("POST", "/rows", {"where": "x"}, 422),
        ("POST", "/rows", {"where": {"none": ["x"]}}, 400),
        ("POST", "/rows", {"brush": {"map": "pca"}}, 422),
        ("POST", "/details", {"query": {}, "rows": [999]}, 400),
        ("POST", "/search/text", {"text": "a red car"}, 400),
    ],
)
def test_invalid_requests_have_a_message(
    client: Any, method: str, path: str, body: Any, status: int
) -> None:
    """Every invalid request gets a message, and none is an internal error."""
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


@pytest.mark.parametrize("value", ['"\\ud800"', "NaN", '{"\\ud800": NaN}'])
def test_values_that_no_answer_can_repeat(client: Any, value: str) -> None:
    """A lone surrogate and NaN are valid in a request, but not in the JSON of an answer."""
    body = f'{{"brush": {value}}}'
    answer = client.post("/rows", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"]


def test_a_changed_image_has_its_own_placeholder(
    client: Any, session: BrowseSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The placeholder of a changed image is not cached by the browser."""
    hashed = replace(session.data, is_hashed=np.ones(len(session.data), dtype=bool))
    monkeypatch.setattr(session.thumbnails, "data", hashed)
    answer = client.get("/thumbnail/0")
    assert "has changed" in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.filterwarnings("ignore:.*RANDOM weights")
def test_an_image_is_decoded_like_those_of_the_features(tmp_path: Path) -> None:
    """With --decode scaled, a search for one of the images finds exactly its features."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        pixels = rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=95)
    options = EncoderOptions(untrained=True, device="cpu", precision="fp32", image_size=32,
                             decode="scaled")  # fmt: skip
    file = tmp_path / "out.h5"
    embed(folder, file, encoder="timm:test_vit", options=options, progress=False)
    data = open_browse_data(load(file), [file], [folder])
    assert data.features.specs[0].is_scaled
    matches = search_image(data, (folder / "1.jpg").read_bytes(), 3)
    assert data.paths[matches.rows[0]] == "1.jpg"
    assert matches.similarities[0] == pytest.approx(1, abs=1e-6)
    with pytest.raises(DataError, match="the query image cannot be encoded"):
        search_image(data, b"no image", 3)
