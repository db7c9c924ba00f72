"""Tests that the tutorials run, with fewer images, and print the shown output."""

from functools import partial
from pathlib import Path

import pytest

from clipfeat.cli import demo_images
from tests.docs.blocks import DOCS
from tests.docs.running import PageRun

TUTORIALS = [path for path in sorted((DOCS / "tutorials").glob("*.md")) if path.stem != "index"]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a tutorial run in order in an empty folder."""
    few_images = partial(demo_images.make_simulated, patches=3, new=2)
    monkeypatch.setattr(demo_images, "make_simulated", few_images)
    monkeypatch.chdir(tmp_path)
    PageRun().run(page)
