"""Tests of push and pull with the real client and a local server."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from huggingface_hub.utils import are_progress_bars_disabled

from clipfeat.errors import HubError, RefusedFileError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.hub import model_card, pull, push
from clipfeat.model import MODEL_NAME, load_model
from clipfeat.system.user_cache import user_cache
from tests.conftest import make_spec

FILES = dict[str, bytes]


class Hub(BaseHTTPRequestHandler):
    """Server for the requests of the hub's uploads and downloads."""

    repositories: dict[str, FILES]
    hostile_headers: dict[str, str]
    requests: list[str]
    hostile_answer: str

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self.path.partition("?")[0].split("/")
        if self.path == "/api/repos/create":
            request = json.loads(body)
            name = "/".join(filter(None, (request.get("organization"), request["name"])))
            self.repositories.setdefault(name, {})
            self.answer({"url": f"https://huggingface.co/{name}"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "preupload" in parts:
            uploads = json.loads(body)["files"]
            regular = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False,
                        "oid": None} for f in uploads]  # fmt: skip
            self.answer({"files": regular})
        elif "commit" in parts:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files = self.repositories["/".join(parts[3:5])]
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"http://{self.headers['Host']}/{'/'.join(parts[3:5])}/commit/{'0' * 40}"
            self.answer({"commitUrl": url, "commitOid": "0" * 40, "success": True})
        else:
            self.answer({}, 404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        _, user, name, *rest = self.path.split("/")
        data = self.repositories.get(f"{user}/{name}", {}).get("/".join(rest[2:]))
        if data is None:
            self.answer({}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        digest = hashlib.sha1(data).hexdigest()
        self.requests.append(self.command)
        if self.hostile_answer.startswith(f"{self.command} "):
            self.answer_for_ever(self.hostile_answer.partition(" ")[2])
            return
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": "0" * 40}
        self.answer(data, 200, headers | self.hostile_headers)

    def answer_for_ever(self, kind: str) -> None:
        """Send headers or a body that do not end, until the client closes the connection."""
        heads = {
            "headers": b"HTTP/1.1 200 OK\r\nX-Name: ",
            "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
            "error": b"HTTP/1.1 500 Error\r\nContent-Length: 1000000\r\n\r\n",
            "redirection": b"HTTP/1.1 302 Found\r\nLocation: /me/model/resolve/main/x\r\n"
            b"Content-Length: 1000000\r\n\r\n",
        }
        with suppress(OSError):
            self.wfile.write(heads[kind])
            for _ in range(200):
                self.wfile.write(b"x")
                time.sleep(0.05)

    def answer(
        self, content: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    Hub.repositories, Hub.hostile_headers, Hub.requests = {}, {}, []
    Hub.hostile_answer = ""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def saved(features: FeatureSet, tmp_path: Path) -> Path:
    return fit(features, "logreg", cv=2).save(tmp_path / "fitted.clipfeat")


def test_a_model_comes_back_as_it_was(hub: str, saved: Path, features: FeatureSet) -> None:
    """A pulled model is bit-identical, and the repository has a model card."""
    url = push(saved, "me/model", token="secret", endpoint=hub)
    assert url.endswith("0" * 40)
    assert set(Hub.repositories["me/model"]) == {MODEL_NAME, "README.md"}
    pulled = pull("me/model", token="secret", endpoint=hub)
    before, after = (load_model(path).predict_proba(features) for path in (saved, pulled))
    assert np.array_equal(before, after)


def test_phases_are_reported(
    hub: str, saved: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """An upload shows its phases, and the progress bars of huggingface_hub are turned off."""
    run = partial(push, saved, "me/model", token="secret", endpoint=hub)
    assert phases_of(run) == ["loading", "uploading"]
    assert not are_progress_bars_disabled()


def test_a_folder_is_a_model_too(saved: Path, tmp_path: Path, features: FeatureSet) -> None:
    """A folder that contains a model file can be loaded like the file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / MODEL_NAME).write_bytes(saved.read_bytes())
    assert load_model(folder).classes == load_model(saved).classes
    with pytest.raises(RefusedFileError, match="not found"):
        load_model(tmp_path)


def test_the_card_describes_the_model(saved: Path) -> None:
    """The model card has metadata, classes, members, scores and fingerprints."""
    model = load_model(saved)
    card = model_card(model, "me/model")
    assert card.startswith("---\n")
    for word in ("real, fake", "logreg", "2-fold", model.specs[0].fingerprint, "clipfeat pull"):
        assert word in card


def test_a_pulled_file_is_downloaded_once(hub: str, saved: Path) -> None:
    """A downloaded commit is reused, even if the hub is unreachable."""
    Hub.repositories["me/model"] = {MODEL_NAME: saved.read_bytes()}
    first = pull("me/model", endpoint=hub)
    assert pull("me/model", endpoint=hub) == first
    assert Hub.requests == ["HEAD", "GET", "HEAD"]
    with (
        patch("huggingface_hub.get_hf_file_metadata", side_effect=ConnectionError("no network")),
        pytest.warns(UserWarning, match="unreachable"),
    ):
        assert pull("me/model", endpoint=hub) == first
        with pytest.raises(HubError, match="no network"):
            pull("me/model", revision="other", endpoint=hub)


@pytest.mark.parametrize("name", ["X-Repo-Commit", "ETag", "X-Linked-ETag"])
@pytest.mark.parametrize("value", ["{outside}", "../../../../outside", "a/../../../outside", ""])
def test_a_hostile_hub_writes_nothing_outside(
    hub: str, saved: Path, tmp_path: Path, name: str, value: str
) -> None:
    """Headers of the response cannot choose where a file is written."""
    Hub.repositories["me/model"] = {MODEL_NAME: saved.read_bytes()}
    Hub.hostile_headers = {name: value.format(outside=tmp_path / "outside")}
    before = set(tmp_path.rglob("*"))
    if name == "X-Repo-Commit":
        with pytest.raises(HubError, match="expected a commit"):
            pull("me/model", endpoint=hub)
    else:
        pull("me/model", endpoint=hub)
    cache = tmp_path / "cache"
    assert all(path == cache or cache in path.parents for path in {*tmp_path.rglob("*")} - before)


def test_an_endless_file_is_refused(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The download stops at the size limit and leaves no file."""
    monkeypatch.setattr("clipfeat.hub.MAX_MODEL", 2**20)
    Hub.repositories["me/model"] = {MODEL_NAME: bytes(2**20 + 1)}
    with pytest.raises(HubError, match="more bytes than the limit"):
        pull("me/model", endpoint=hub)
    assert not [path for path in user_cache().rglob("*model*") if path.is_file()]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("HEAD headers", "did not answer within 2 s"),
        ("GET headers", "did not answer within 2 s"),
        ("GET body", "the server sent"),
        ("GET error", "status 500"),
        ("GET redirection", "did not answer|more than 5 redirections|status 404"),
    ],
)
def test_an_answer_that_does_not_end_is_given_up(
    hub: str, saved: Path, monkeypatch: pytest.MonkeyPatch, answer: str, message: str
) -> None:
    """A byte now and then keeps each read alive, so the time of the whole answer is limited."""
    monkeypatch.setattr("clipfeat.hub.PATIENCE", 2)
    Hub.repositories["me/model"] = {MODEL_NAME: saved.read_bytes()}
    Hub.hostile_answer = answer
    begun = time.monotonic()
    with pytest.raises(HubError, match=message):
        pull("me/model", endpoint=hub)
    assert time.monotonic() - begun < 9
    assert not [path for path in user_cache().rglob("*model*") if path.is_file()]


@pytest.mark.parametrize("repository", ["me/nothing", "me/model"])
def test_a_missing_model_is_one_error(hub: str, repository: str) -> None:
    """A repository that does not exist or has no model raises `HubError`."""
    Hub.repositories["me/model"] = {"README.md": b"a card"}
    with pytest.raises(HubError, match=f"pulling from {repository} failed"):
        pull(repository, endpoint=hub)


def test_a_pickle_from_the_hub_is_refused(hub: str) -> None:
    """A downloaded file is checked like any model file, so a pickle is refused."""
    Hub.repositories["me/model"] = {MODEL_NAME: b"\x80\x04\x95"}
    with pytest.raises(RefusedFileError, match="not a clipfeat model file"):
        pull("me/model", endpoint=hub)


def test_random_weights_are_not_pushed(features: FeatureSet, tmp_path: Path) -> None:
    """A model of an encoder with random weights cannot be uploaded."""
    spec = make_spec(untrained=True)
    model = fit(replace(features, specs=(spec,)), "logreg", cv=0)
    path = model.save(tmp_path / "m.clipfeat")
    with pytest.warns(UserWarning), pytest.raises(UsageError, match="random weights"):
        push(path, "me/model", endpoint="http://127.0.0.1:9")


def test_an_unreachable_hub_is_one_error(saved: Path) -> None:
    """The error names the failed action. An invalid id is a usage error."""
    with pytest.raises(HubError, match="pushing to me/model failed"):
        push(saved, "me/model", token="secret", endpoint="http://127.0.0.1:9")
    with pytest.raises(UsageError, match="user/name"):
        pull("no/such/name")
