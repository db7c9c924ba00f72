"""Tests that all blocks of the README and of the pages run, and that all options exist."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipfeat.cli import app
from tests.docs.blocks import DOCS, ROOT, SKIP_REASONS, commands, pages, skip_reasons
from tests.docs.running import PageRun

SITE = [page for page in pages() if "tutorials" not in page.parts]
LISTED = [*pages(), ROOT / "benchmarks" / "README.md", ROOT / "examples" / "README.md"]

LIBRARIES = {"video": "av", "faces": "cv2"}
"""Libraries of extras that pages need."""


def name(page: Path) -> str:
    """Return the path of a page below the checkout."""
    return page.relative_to(ROOT).as_posix()


def has_blocks(page: Path) -> bool:
    """Return whether a page has a block that can run."""
    return re.search(r"^ *```(sh|python)$", page.read_text(encoding="utf-8"), re.M) is not None


@pytest.mark.parametrize("page", [page for page in SITE if has_blocks(page)], ids=name)
def test_blocks_run(page: Path, here: Path) -> None:
    """The blocks of a page run in order, and print the output that the page shows."""
    pytest.importorskip(LIBRARIES.get(page.stem, "sybil"))
    if page in (ROOT / "README.md", DOCS / "index.md"):  # they start with images only
        for written in (*here.glob("*.h5"), *here.glob("*.clipfeat")):
            written.unlink()
    PageRun().run(page)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_skipped_blocks_state_a_known_reason(page: Path) -> None:
    """Each skip comment gives one of the known reasons."""
    for reason in skip_reasons(page):
        assert reason.strip('"').partition(":")[0] in SKIP_REASONS, reason


@cache
def help_page(command: str) -> str:
    """Return the help page of a command."""
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0, command
    return result.stdout


@pytest.mark.parametrize("page", LISTED, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    """Every command and option on a page exists, even in skipped blocks."""
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if "clipfeat" not in words:
            continue
        words = words[words.index("clipfeat") + 1 :]
        if not words or words[0].startswith("-"):
            continue
        for word in words[1:]:
            if word.startswith("-") and word != "-":
                pattern = rf"(^|[\s,]){re.escape(word.partition('=')[0])}\b"
                assert re.search(pattern, help_page(words[0])), (line, word)


def test_every_how_to_page_is_listed() -> None:
    """Every how-to page is listed in the index."""
    index = (DOCS / "how-to" / "index.md").read_text(encoding="utf-8")
    for page in (DOCS / "how-to").glob("*.md"):
        assert page.stem == "index" or f"\n{page.stem}\n" in index, page.name
