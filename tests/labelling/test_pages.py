"""Tests of the routes of the labelling page."""

import re

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from clipfeat.labelling.label_log import read_decisions
from clipfeat.labelling.label_session import LabelSession
from tests.labelling.labelled import HOSTILE


@pytest.fixture
def client(application: FastAPI, session: LabelSession) -> TestClient:
    session.wait(30)
    return TestClient(application, base_url="http://127.0.0.1")


def test_decisions_by_requests(client: TestClient, session: LabelSession) -> None:
    """Each change returns the new state and is saved in the file."""
    state = client.get("/label/state").json()
    first, second = (image["row"] for image in state["pending"][:2])
    state = client.post("/label/decide", json={"row": first, "label": "real"}).json()
    assert state["counts"] == {"real": 1}
    assert state["pending"][0]["row"] == second
    assert read_decisions(session.file)[0].label == "real"
    state = client.post("/label/skip", json={"row": second}).json()
    assert len(state["pending"]) == 58
    state = client.post("/label/undo").json()
    assert state["undone"] == state["pending"][0]["row"] == first
    state = client.post("/label/class", json={"name": "odd"}).json()
    assert state["classes"] == [HOSTILE, "real", "odd"]
    client.post("/label/decide", json={"row": first, "label": "odd"})
    client.post("/label/decide", json={"row": second, "label": "real"})
    assert client.post("/label/refit").status_code == 202
    session.wait(30)
    assert client.get("/label/state").json()["n_fitted"] == 2


def test_wrong_requests_change_nothing(client: TestClient, session: LabelSession) -> None:
    """Unknown rows, empty names, needless undos and requests from other sites are refused."""
    for path, value, message in (
        ("decide", {"row": 99, "label": "real"}, "there is no image 99"),
        ("decide", {"row": 0, "label": " "}, "the label '' is empty"),
        ("class", {"name": "a\nb"}, "control characters"),
        ("undo", {}, "no decision to undo"),
    ):
        answer = client.post(f"/label/{path}", json=value)
        assert answer.status_code == 400
        assert message in answer.json()["detail"]
    assert client.post("/label/decide", json={"row": "x"}).status_code == 422
    foreign = {"Origin": "http://evil.example"}
    answer = client.post("/label/decide", json={"row": 0, "label": "real"}, headers=foreign)
    assert answer.status_code == 403
    assert not session.file.exists()


def test_the_page_is_escaped_and_has_no_inline_code(client: TestClient) -> None:
    """Names are escaped, and scripts and styles are files of this server."""
    answer = client.get("/label")
    assert HOSTILE not in answer.text
    title = "&lt;img src=x onerror=alert(1)&gt;.h5"
    assert title in answer.text
    code = r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle="
    assert not re.search(code, answer.text.replace(title, ""))
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    for file in ("label.js", "label.css"):
        assert client.get(f"/static/labelling/{file}").status_code == 200
