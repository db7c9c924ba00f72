"""Models on the hub: the real client against a stand-in that speaks its file layout."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import HubError, RefusedFileError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.hub import model_card, pull, push
from clipfeat.model import MODEL_NAME, load_model
from tests.conftest import make_spec

FILES = dict[str, bytes]


class Hub(BaseHTTPRequestHandler):
    """Repositories as the hub has them: create, preupload, commit, resolve."""

    repositories: dict[str, FILES]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self.path.partition("?")[0].split("/")
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.repositories.setdefault(name, {})
            self.answer({"url": f"https://huggingface.co/{name}"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "preupload" in parts:
            files = json.loads(body)["files"]
            regular = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False,
                        "oid": None} for f in files]  # fmt: skip
            self.answer({"files": regular})
        elif "commit" in parts:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    held = self.repositories["/".join(parts[3:5])]
                    held[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
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
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": "0" * 40}
        self.answer(data, 200, headers)

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
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    Hub.repositories = {}
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
    """What is pulled predicts, to the bit, what was pushed; its card stands beside it."""
    url = push(saved, "me/model", token="secret", endpoint=hub)
    assert url.endswith("0" * 40)
    assert set(Hub.repositories["me/model"]) == {MODEL_NAME, "README.md"}
    found = pull("me/model", token="secret", endpoint=hub)
    ours, theirs = (load_model(path).predict_proba(features) for path in (saved, found))
    assert np.array_equal(ours, theirs)


def test_a_folder_is_a_model_too(saved: Path, tmp_path: Path, features: FeatureSet) -> None:
    """A folder that holds the hub's file loads as the file does."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / MODEL_NAME).write_bytes(saved.read_bytes())
    assert load_model(folder).classes == load_model(saved).classes
    with pytest.raises(RefusedFileError, match="no such model file"):
        load_model(tmp_path)


def test_the_card_says_what_it_is(saved: Path) -> None:
    """Classes, members, scores and fingerprints, and metadata for the hub."""
    model = load_model(saved)
    card = model_card(model, "me/model")
    assert card.startswith("---\n")
    for word in ("real, fake", "logreg", "2-fold", model.specs[0].fingerprint, "clipfeat pull"):
        assert word in card


@pytest.mark.parametrize("repository", ["me/nothing", "me/model"])
def test_what_is_not_there_is_said(hub: str, repository: str) -> None:
    """A repository that is missing, or holds no model, ends in one sentence."""
    Hub.repositories["me/model"] = {"README.md": b"a card"}
    with pytest.raises(HubError, match=f"pulling from {repository} failed"):
        pull(repository, endpoint=hub)


def test_a_pickle_from_the_hub_is_refused(hub: str) -> None:
    """What the hub holds under the model's name is checked as any file is."""
    Hub.repositories["me/model"] = {MODEL_NAME: b"\x80\x04\x95"}
    with pytest.raises(RefusedFileError, match="not a whole model file"):
        pull("me/model", endpoint=hub)


def test_nobody_is_served_by_random_weights(features: FeatureSet, tmp_path: Path) -> None:
    """A model of an untrained encoder is not uploaded."""
    spec = make_spec(untrained=True)
    model = fit(replace(features, specs=(spec,)), "logreg", cv=0)
    path = model.save(tmp_path / "m.clipfeat")
    with pytest.warns(UserWarning), pytest.raises(UsageError, match="random weights"):
        push(path, "me/model", endpoint="http://127.0.0.1:9")


def test_no_hub_is_one_sentence(saved: Path) -> None:
    """An address where nobody answers says what failed."""
    with pytest.raises(HubError, match="pushing to me/model failed"):
        push(saved, "me/model", token="secret", endpoint="http://127.0.0.1:9")
    with pytest.raises(UsageError, match="user/name"):
        pull("no/such/name")
