"""A folder of its own for every test of the command line."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
