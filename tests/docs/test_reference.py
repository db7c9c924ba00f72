"""Tests that the hand-written pages cover everything that is registered."""

import re

import pytest
import yaml

from clipfeat import __version__
from clipfeat.evaluate.metrics import METRICS
from tests.docs.blocks import DOCS, ROOT

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
LINKED_PAGES = [
    path for path in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md")] if path.name != "CHANGELOG.md"
]


def test_every_metric_has_a_section() -> None:
    """The page of metrics explains each registered metric."""
    text = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert {*re.findall(r"^## (\w+)$", text, re.M)} >= {*METRICS}


@pytest.mark.parametrize("page", LINKED_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_files(page) -> None:
    """Relative links outside the site lead to files. Sphinx checks the site's own links."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        file = target.partition("#")[0]
        if file and "://" not in file:
            assert (page.parent / file).exists(), target


def test_citation_has_the_version() -> None:
    """The citation file is valid YAML with the required fields and the package's version."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= {*citation}
    assert citation["version"] == __version__


def test_readme_is_short() -> None:
    """The README has at most 150 lines."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
