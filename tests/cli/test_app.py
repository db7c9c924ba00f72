"""Tests of ``clipfeat app``."""

import socket
from pathlib import Path
from typing import Any

import pytest

from clipfeat.browsing.image_search import search_image
from tests.cli.command_line import assert_fails, clipfeat, embed, succeed

pytest.importorskip("fastapi")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record the applications that would be served, and start no server."""
    applications: list[Any] = []

    def run(application: Any, listener: socket.socket, on_start: Any) -> None:
        applications.append(application)
        on_start()

    monkeypatch.setattr("clipfeat.web.running.run", run)
    return applications


def test_a_feature_file_and_a_run(image_folder: Path, started: list[Any]) -> None:
    """Images come from the embedded folder, predictions from the run, and copies are listed."""
    embed()
    succeed("benchmark", "--clf", "logreg", "-o", "run", "--no-audit", "--no-thumbnails")
    result = succeed("app", "out.h5", "--run", "run", "--port", 0)
    assert result.stdout.startswith("showing 24 images at http://127.0.0.1:")
    assert "token" not in result.stdout
    session = started[0].state.session
    assert session.entries[0] == "logreg"
    assert session.data.roots == (str(image_folder),)
    with session.thumbnails as thumbnails:
        assert thumbnails.make(0) is not None
    image = (image_folder / session.data.paths[5]).read_bytes()
    assert search_image(session.data, image, 3).rows[0] == 5


def test_labels_replace_those_of_the_file(image_folder: Path, started: list[Any]) -> None:
    """A table of labels may contain a class that the feature file lacks."""
    embed()
    Path("labels.csv").write_text("path,label\nreal/real-00.png,unclear\n")
    succeed("app", "--labels", "labels.csv", "--port", 0)
    facet = started[0].state.session.data.facets["class"]
    assert dict(zip(facet.values, facet.counts, strict=True)) == {
        "fake": 12, "real": 11, "unclear": 1
    }  # fmt: skip


def test_the_file_of_decisions(image_folder: Path, started: list[Any]) -> None:
    """Decisions are saved next to the feature file, unless labels.csv is another table."""
    embed()
    succeed("app", "--port", 0, "--annotator", "ann")
    labels = started[0].state.session.labels
    labels.decide(0, "unclear")
    assert (
        Path("labels.csv").read_text().splitlines()[-1].startswith("fake/fake-00.png,unclear,ann,")
    )
    Path("labels.csv").write_text("path,label\nreal/real-00.png,unclear\n")
    result = succeed("app", "--port", 0)
    assert result.stderr.startswith("labelling is switched off: labels.csv is not a file of decis")
    assert started[1].state.session.labels is None
    succeed("app", "--port", 0, "--label-file", "mine.csv")
    assert started[2].state.session.labels.file == Path("mine.csv")
    assert_fails(clipfeat("app", "--port", 0, "--label-file", "labels.csv"), 6, "labels.csv is not")


def test_a_server_for_the_network_has_a_token(image_folder: Path, started: list[Any]) -> None:
    """A server that other machines can reach prints an address with a token."""
    embed()
    result = succeed("app", "--host", "0.0.0.0", "--port", 0)
    assert "/?token=" in result.stdout


def test_errors_are_one_line(image_folder: Path, started: list[Any]) -> None:
    """Missing files, wrong folders and invalid tokens are reported before the server starts."""
    embed()
    words = ("app", "out.h5", "--port", 0)
    assert_fails(clipfeat("app", "none.h5", "--port", 0), 6, "none.h5")
    assert_fails(clipfeat(*words, "--run", "images"), 6, "holds no benchmark run")
    assert_fails(clipfeat(*words, "--images", "none"), 2, "is not a folder")
    assert_fails(clipfeat(*words, "--token", "short"), 2, "at least 8 characters")
    assert not started
