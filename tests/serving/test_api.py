"""Tests of the API: responses, refusals and limits."""

import asyncio
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")

from fastapi import HTTPException
from fastapi.testclient import TestClient

from clipfeat.errors import ReadError, StorageError
from clipfeat.model import Model
from clipfeat.model.adaptation import Adaptation
from clipfeat.prediction.predicting import predict
from clipfeat.serving import api, batching, server
from clipfeat.serving.answers import as_csv
from clipfeat.serving.app import create_app
from clipfeat.serving.batching import QueueFullError
from clipfeat.serving.encoding import ModelEncoders
from clipfeat.serving.limits import ServingLimits
from clipfeat.serving.opening import open_serving
from clipfeat.serving.server import Serving
from clipfeat.serving.uploads import Upload
from tests.serving.conftest import ONE_WORKER

OWN = "http://localhost"
Opener = Callable[..., TestClient]


@contextmanager
def opened(model: Model, **options: Any) -> Iterator[tuple[Serving, TestClient]]:
    """Open a server of a model, and return a client that needs no network."""
    limits = ServingLimits(**options.pop("limits", {}))
    with open_serving(model, limits, device="cpu", resources=ONE_WORKER, **options) as serving:
        yield serving, TestClient(create_app(serving), OWN)


@pytest.fixture(scope="module")
def client(model: Model) -> Iterator[TestClient]:
    with opened(model, limits={"max_files": 20, "max_file_mb": 1, "queue": 20}) as (_, client):
        yield client


@pytest.fixture
def start(model: Model) -> Iterator[Opener]:
    """Return a function that starts servers with other limits."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(opened(model, **options))[1]


def files_of(images: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(images.rglob("*.png"))]


def send(client: TestClient, files: Any, **options: Any) -> Any:
    """Post files to the API."""
    return client.post("/predict", files=[("files", file) for file in files], **options)


@pytest.mark.parametrize("name", ["model", "model_of_two"])
def test_probabilities_are_those_of_predict(
    name: str, image_files: Path, request: pytest.FixtureRequest
) -> None:
    """Predictions equal those of `predict`, even with several encoders."""
    model = request.getfixturevalue(name)
    files = files_of(image_files)
    with opened(model) as (_, client):
        answer = send(client, files).json()
        table = pd.read_csv(io.StringIO(send(client, files, params={"format": "csv"}).text))
    expected = predict(model, image_files, device="cpu", progress=False)
    p = [[one["probabilities"][name] for name in model.classes] for one in answer["results"]]
    assert np.allclose(p, expected.probabilities, rtol=0, atol=1e-6)
    assert [one["predicted"] for one in answer["results"]] == expected.predicted
    assert answer["classes"] == list(model.classes)
    assert list(table) == [column for column in expected.to_pandas() if column != "label"]
    columns = [f"p_{name}" for name in model.classes]
    assert np.allclose(table[columns], expected.probabilities, rtol=0, atol=1e-6)
    unsure = [None] * 12 if model.abstention is None else expected.unsure.tolist()
    assert [one["is_unsure"] for one in answer["results"]] == unsure
    assert model.abstention is None or (table.unsure.tolist() == unsure and len({*unsure}) == 2)


def test_every_file_has_an_answer(client: TestClient, image_files: Path) -> None:
    """Results follow the order of the upload, even for equal names. Failures have a reason."""
    (_, good), *_ = files_of(image_files)
    files = [
        ("../../etc/passwd", good), ("a.png", b"text"), ("=1+2", b""), ("a.png", good),
        ("cut.png", good[:200]), ("b\x1b[2J.png", b"x" * 2**21),
    ]  # fmt: skip
    results = send(client, files).json()["results"]
    assert [one["name"] for one in results][:5] == [name for name, _ in files[:5]]
    assert [bool(one["predicted"]) for one in results] == [True, False, False, True, False, False]
    assert results[0]["probabilities"] == results[3]["probabilities"]
    assert results[0]["is_training"] and not results[1]["is_training"]
    reasons = [one["error"] for one in results]
    assert reasons[0] is None and reasons[2] == "ReadError: the file is empty"
    assert reasons[1].startswith("DecodeError: ") and "truncated" in reasons[4]
    assert reasons[5] == "ReadError: the file has more than 1048576 bytes"
    lines = send(client, files, headers={"accept": "text/csv"}).text.splitlines()
    assert lines[0] == "path,predicted,p_real,p_fake,error"
    assert lines[3].startswith("'=1+2,,,,ReadError")
    assert len(lines) == 7 and not re.search(r"[\x00-\x1f]", "".join(lines))


def test_malformed_requests_are_refused(client: TestClient, image_files: Path) -> None:
    """The message is one sentence, and the status code states the kind of error."""
    form = "multipart/form-data; boundary=x"
    field = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n1\r\n'
    part = field.replace(b"\r\n\r\n", b'; filename="a"\r\n\r\n')
    cases = [
        (b"", None, 415, "got nothing"),
        (b"1", "image/png", 415, "got image/png"),
        (b"", "multipart/form-data", 415, "curl -F files=@image.jpg"),
        (b"--x--\r\n", form, 422, "no images"),
        (part % b"files", form, 422, "last boundary"),
        (b"no boundary", form, 422, "malformed"),
        (part % b"other" + b"--x--\r\n", form, 422, "unknown field 'other'"),
        (field % b"files" + b"--x--\r\n", form, 422, "a text, not a file"),
        (field % b"urls" + b"--x--\r\n", form, 403, "--allow-remote"),
        (b"--x\r\n" + b"A: b\r\n" * 100 + b"\r\n\r\n--x--\r\n", form, 422, "malformed"),
        (b"--x\r\nA: " + b"b" * 10_000 + b"\r\n\r\n\r\n--x--\r\n", form, 422, "malformed"),
        (part % b"files" * 1000 + b"--x--\r\n", form, 413, "more than 20 images"),
        (b"[]", "application/json", 422, "list of texts"),
        (b'{"urls": [1]}', "application/json", 422, "list of texts"),
        (b'{"urls": []}', "application/json", 422, "no images"),
        (b"[" * 100_000, "application/json", 422, "list of texts"),
        (b" " * 200_000, "application/json", 413, "more than 20 images"),
        (b'{"urls": ["http://example.org/1.png"]}', "application/json", 403, "--allow-remote"),
    ]
    for content, kind, status, text in cases:
        headers = {} if kind is None else {"content-type": kind}
        answer = client.post("/predict", content=content, headers=headers)
        assert (answer.status_code, kind, content[:30]) == (status, kind, content[:30])
        assert text in answer.json()["detail"]
    assert send(client, files_of(image_files), params={"format": "xml"}).status_code == 422


def test_a_full_queue_asks_to_wait(
    start: Opener, image_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images above the limit are refused with Retry-After. Accepted ones are answered."""
    release = threading.Event()
    prepare = ModelEncoders.prepare
    client = start(limits={"max_files": 2, "queue": 2})
    monkeypatch.setattr(ModelEncoders, "prepare", lambda *args: release.wait(60) and prepare(*args))
    first, second, *_ = files_of(image_files)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(send(client, [first, second])))
    thread.start()
    while client.get("/health").json()["queued"] < 2:
        thread.join(0.01)
    refused = send(client, [first])

    def read(*args: Any) -> None:
        raise AssertionError("the body is kept although the queue is full")

    monkeypatch.setattr(api, "read_uploads", read)
    early = client.post("/predict", content=b"{}", headers={"content-type": "application/json"})
    release.set()
    thread.join()
    assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 60
    assert "the server is busy" in refused.json()["detail"]
    assert early.status_code == 429
    assert [one["error"] for one in answers[0].json()["results"]] == [None, None]
    assert client.get("/health").json() == {"status": "ok", "queued": 0}
    metrics = client.get("/metrics").text
    assert 'clipfeat_requests_total{status="429"} 2.0' in metrics
    assert 'clipfeat_images_total{outcome="predicted"} 2.0' in metrics
    assert "# TYPE clipfeat_batches_total counter" in metrics
    assert re.search(r"^clipfeat_batches_total [1-9]", metrics, re.MULTILINE)


def test_places_are_reserved_before_downloads(
    start: Opener, image_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second request is refused without a download, and a failed one frees its places."""
    (_, good), *_ = files_of(image_files)
    release = threading.Event()
    downloaded: list[str] = []

    def download(url: str, max_bytes: int, seconds: float) -> bytes:
        downloaded.append(url)
        assert release.wait(60)
        return good

    monkeypatch.setattr(server, "download", download)
    client = start(allow_remote=True, limits={"max_files": 2, "queue": 3})
    first = {"urls": ["http://example.org/1.png", "http://example.org/2.png"]}
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(client.post("/predict", json=first)))
    thread.start()
    while len(downloaded) < 2:
        thread.join(0.01)
    assert client.get("/health").json()["queued"] == 2
    other = {"urls": ["http://example.org/3.png", "http://example.org/4.png"]}
    assert client.post("/predict", json=other).status_code == 429
    release.set()
    thread.join()
    assert [one["error"] for one in answers[0].json()["results"]] == [None, None]
    assert sorted(downloaded) == first["urls"]
    monkeypatch.setattr(server.Serving, "downloaded", read_too_much)
    assert client.post("/predict", json=other).status_code == 413
    assert client.get("/health").json()["queued"] == 0


async def read_too_much(*args: Any) -> None:
    """Refuse the downloads of a request."""
    raise HTTPException(413, "too much")


def test_a_late_prediction_is_an_error(
    start: Opener, image_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the time limit, the client gets an error although the work continues."""
    release = threading.Event()
    prepare = ModelEncoders.prepare
    client = start(limits={"timeout": 0.05})
    monkeypatch.setattr(ModelEncoders, "prepare", lambda *args: release.wait(60) and prepare(*args))
    (result, _) = send(client, files_of(image_files)[:2]).json()["results"]
    release.set()
    assert result["error"] == "there was no prediction within 0.05 s"


def test_large_images_are_refused(start: Opener, image_files: Path) -> None:
    """Images with too many pixels are refused before they are decoded."""
    (answer,) = send(start(limits={"max_pixels": 2303}), files_of(image_files)[:1]).json()[
        "results"
    ]
    assert "2304 pixels (48x48), more than the limit of 2303" in answer["error"]


def test_memory_for_requests_is_limited(start: Opener, image_files: Path) -> None:
    """A request that exceeds the remaining memory is refused with Retry-After."""
    client = start(limits={"max_request_mb": 1})
    serving = client.app.state.serving  # type: ignore[attr-defined]
    file = ("a.png", b"x" * 2**19)
    with serving.holding() as hold:
        hold(serving.limits.held_bytes - 2**18)
        assert send(client, [file]).status_code == 429
    assert send(client, [file]).status_code == 200
    assert send(client, [("a.png", b"x" * 2**20)]).status_code == 413


def test_urls_are_downloaded(
    start: Opener, image_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and URLs have results in the order of the request. Failed downloads have a reason."""
    (_, good), *_ = files_of(image_files)

    def download(url: str, max_bytes: int, seconds: float) -> bytes:
        if url != "http://example.org/a.png":
            raise ReadError("the file does not exist")
        return good

    monkeypatch.setattr(server, "download", download)
    client = start(allow_remote=True, limits={"max_request_mb": 1})
    urls = ["http://example.org/b.png", "http://example.org/a.png"]
    as_json = client.post("/predict", json={"urls": urls}).json()["results"]
    parts = [("files", ("c.png", good)), *(("urls", (None, url)) for url in urls)]
    as_form = client.post("/predict", files=parts).json()["results"]
    assert [one["name"] for one in as_form] == ["c.png", *urls]
    assert as_form[1:] == as_json
    assert as_json[0]["error"] == "ReadError: the file does not exist"
    assert as_json[1]["probabilities"] == as_form[0]["probabilities"]
    assert client.get("/model").json()["allows_urls"]
    body = b'{"urls": ["http://a/\\ud800", "http://example.org/a.png"]}'
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    bad, good_one = answer.json()["results"]
    assert (bad["name"], bad["error"]) == (
        "http://a/\\ud800",
        "ReadError: the URL is not valid Unicode",
    )
    assert good_one["probabilities"] == as_json[1]["probabilities"]


@pytest.mark.parametrize(("n_held", "refusal"), [(0, HTTPException), (2**20, QueueFullError)])
def test_refused_downloads_give_their_memory_back(
    start: Opener, monkeypatch: pytest.MonkeyPatch, n_held: int, refusal: type[Exception]
) -> None:
    """After a request ends, its downloads no longer count towards the memory limit."""

    def download(url: str, max_bytes: int, seconds: float) -> bytes:
        time.sleep(0.01 * int(url))
        return bytes(2**20)

    monkeypatch.setattr(server, "download", download)
    serving = start(limits={"max_request_mb": 1}).app.state.serving  # type: ignore[attr-defined]
    uploads = [Upload(str(number), is_url=True) for number in range(8)]

    async def request() -> None:
        with pytest.raises(refusal), serving.holding() as hold:
            await serving.downloaded(uploads, hold)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    with serving.holding() as hold:
        hold(n_held)
        asyncio.run(request())
    with serving.holding() as hold:
        hold(serving.limits.held_bytes)  # all memory is free


def test_downloads_have_their_own_threads(start: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a thread for each allowed download, even on a machine with few cores."""
    together = threading.Barrier(server.N_DOWNLOADS)
    n_running, largest = 0, 0

    def download(url: str, max_bytes: int, seconds: float) -> bytes:
        nonlocal n_running, largest
        n_running += 1
        largest = max(largest, n_running)
        together.wait(30)
        n_running -= 1
        return b"x"

    monkeypatch.setattr(server, "download", download)
    serving = start().app.state.serving  # type: ignore[attr-defined]
    uploads = [Upload(str(n), is_url=True) for n in range(2 * server.N_DOWNLOADS)]
    done = asyncio.run(serving.downloaded(uploads, lambda n_bytes: None))
    assert [one.data for one in done] == [b"x"] * len(uploads)
    assert largest <= server.N_DOWNLOADS


def test_uploads_are_kept_only_on_request(start: Opener, image_files: Path, tmp_path: Path) -> None:
    """Uploads are saved only with --keep, named by their content hash."""
    folder = tmp_path / "kept"
    files = [(f"../../{name}", data) for name, data in files_of(image_files)[:2]]
    client = start(keep=folder)
    for _ in range(2):
        assert send(client, [*files, ("no suffix", b"text")]).status_code == 200
    kept = sorted(folder.iterdir())
    assert len(kept) == 3 and sorted(path.suffix for path in kept) == ["", ".png", ".png"]
    assert {path.read_bytes() for path in kept} == {b"text", *(data for _, data in files)}
    assert list(tmp_path.iterdir()) == [folder]


def test_an_unexpected_error_costs_one_image(
    start: Opener, image_files: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """The other images of the batch are predicted. The error text is only logged."""
    encode, sizes = ModelEncoders.encode, list[int]()
    monkeypatch.setattr(ModelEncoders, "n_workers", 1)  # on any number of cores
    client = start()

    def fail(self: ModelEncoders, images: Any, *args: Any) -> Any:
        sizes.append(len(images))
        if first in [image.path for image in images]:
            raise RuntimeError("CUDA error in /home/secret")
        return encode(self, images, *args)

    first = f"{1:012d}"  # the image 0 has warmed the server up
    monkeypatch.setattr(ModelEncoders, "encode", fail)
    monkeypatch.setattr(batching, "WAIT_SECONDS", 10)
    results = send(client, files_of(image_files)[:4]).json()["results"]
    assert [one["error"] for one in results] == ["an unexpected error of the server", *[None] * 3]
    assert "/home/secret" in caplog.text
    assert sizes == [4, 1, 1, 1, 1]  # one batch, then its images


def test_a_full_disk_is_counted(
    start: Opener, image_files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The metrics count the status of the response."""

    def refuse(*args: Any) -> None:
        raise StorageError("no space left on the device")

    client = start(keep=tmp_path / "kept")
    monkeypatch.setattr(server, "keep", refuse)
    assert send(client, files_of(image_files)[:1]).status_code == 503
    assert 'clipfeat_requests_total{status="503"} 1.0' in client.get("/metrics").text


def test_an_adapted_model_is_never_unsure(model_of_two: Model) -> None:
    """The table of an adapted model has no column for unsure images, as in `predict`."""
    adapted = replace(model_of_two, adaptation=Adaptation((0.0, 0.1), "prior", 1, {}, {}))
    assert "unsure" in as_csv(model_of_two, [], [])
    assert "unsure" not in as_csv(adapted, [], [])


def test_the_queue_is_answered_at_the_end(model: Model, image_files: Path) -> None:
    """Accepted images are predicted before the server ends."""
    with open_serving(model, device="cpu", resources=ONE_WORKER) as serving:
        futures = serving.batcher.submit([data for _, data in files_of(image_files)] * 4)
    assert all(future.done() and future.result().predicted for future in futures)


def test_a_hanging_decoder_does_not_prevent_the_end(
    model: Model, image_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted server does not wait for images that are being decoded."""
    release = threading.Event()
    with (
        pytest.raises(KeyboardInterrupt),
        open_serving(model, device="cpu", resources=ONE_WORKER) as serving,
    ):
        monkeypatch.setattr(ModelEncoders, "prepare", lambda *args: release.wait(60))
        futures = serving.batcher.submit([data for _, data in files_of(image_files)])
        raise KeyboardInterrupt
    assert not any(future.done() for future in futures)
    release.set()


def test_the_model_is_described(client: TestClient, model: Model) -> None:
    """The description equals the facts in the model file."""
    facts = client.get("/model").json()
    assert facts["classes"] == ["real", "fake"] and facts["positive"] == "fake"
    assert facts["encoders"][0]["fingerprint"] == model.specs[0].fingerprint
    assert facts["n_training_images"] == 12 and facts["max_files"] == 20


def test_the_documentation_lists_all_routes(client: TestClient) -> None:
    """The page lists each route and loads nothing from other hosts."""
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"{path}</code></h2>" in page
    assert "<script>" not in page and "https://" not in page
