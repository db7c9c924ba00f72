"""Tests of ``clipfeat pull``."""

from functools import partial
from pathlib import Path

import pytest

from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.hub import pull, push
from clipfeat.model import load_model
from tests.cli.command_line import assert_fails, clipfeat, succeed
from tests.test_hub import hub

__all__ = ["hub"]


@pytest.fixture(autouse=True)
def local_hub(hub: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Direct all downloads to a local server."""
    monkeypatch.setattr("clipfeat.hub.pull", partial(pull, token="secret", endpoint=hub))
    return hub


def test_the_path_is_printed(local_hub: str, features: FeatureSet, tmp_path: Path) -> None:
    """The printed path is that of the downloaded model file."""
    path = fit(features, "logreg", cv=0).save(tmp_path / "model.clipfeat")
    push(path, "me/detector", token="secret", endpoint=local_hub)
    printed = succeed("pull", "me/detector").stdout.strip()
    assert load_model(printed).classes == load_model(path).classes


def test_a_missing_repository_is_one_line() -> None:
    """A repository without a model file is an error without a traceback."""
    assert_fails(clipfeat("pull", "me/nothing"), 1, "me/nothing")
