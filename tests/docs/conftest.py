"""Fixtures that give each page a copy of one small workspace."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sybil")

from tests.docs.workspace import make_features, make_images, make_people
from tests.kept_decoders import kept_decoders


@pytest.fixture(scope="module", autouse=True)
def decoders() -> Iterator[None]:
    """Keep the decoding processes for the next page."""
    with kept_decoders():
        yield


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the images, the features and the model once per session."""
    folder = tmp_path_factory.mktemp("workspace")
    make_images(folder)
    make_people(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_features()
    return folder


@pytest.fixture
def here(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in a copy of the workspace."""
    shutil.copytree(workspace, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
