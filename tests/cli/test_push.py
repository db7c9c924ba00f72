"""Tests of ``clipfeat push``."""

from functools import partial
from pathlib import Path

import pytest

from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.hub import push
from tests.cli.command_line import assert_fails, clipfeat, succeed
from tests.test_hub import Hub, hub

__all__ = ["hub"]


@pytest.fixture(autouse=True)
def local_hub(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Direct all uploads to a local server."""
    monkeypatch.setattr("clipfeat.hub.push", partial(push, token="secret", endpoint=hub))


def test_the_address_is_printed(features: FeatureSet, tmp_path: Path) -> None:
    """The model file and its card are uploaded, and the repository's address is printed."""
    fit(features, "logreg", cv=0).save(tmp_path / "model.clipfeat")
    printed = succeed("push", str(tmp_path / "model.clipfeat"), "me/detector").stdout
    assert "me/detector" in printed
    assert {"model.clipfeat", "README.md"} <= set(Hub.repositories["me/detector"])


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    """A path without a model file is an error without a traceback."""
    assert_fails(clipfeat("push", str(tmp_path / "none.clipfeat"), "me/detector"), 6, "none")
