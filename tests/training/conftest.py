"""Fixture that skips the HTML page, which takes most of the time of a run."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not write the page. The tests of the command line write it."""
    monkeypatch.setattr("clipfeat.report.run_folder.write_page", lambda *_: [Path("report.html")])
