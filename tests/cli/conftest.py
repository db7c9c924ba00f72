"""Fixture that gives each command-line test its own folder."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
