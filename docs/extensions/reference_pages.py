"""Pages of the reference that are generated from the code, before Sphinx lists its sources.

The folder ``reference/generated`` is not committed. A file is only written if its text changes, so
that an incremental build stays incremental. Files that end in ``.inc.md`` are included by pages
that are written by hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import api_pages
import command_pages
import gallery_page
import registry_tables
import untested_blocks
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
GENERATED = DOCS / "reference" / "generated"


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each generated file."""
    yield from command_pages.pages()
    yield from api_pages.pages()
    yield from registry_tables.pages()
    yield from gallery_page.pages(DOCS)
    yield from untested_blocks.pages(DOCS)


def write_pages(app: Sphinx, config: Any) -> None:
    """Write all generated files, and delete old files that are no longer generated."""
    wanted = {GENERATED / name: text for name, text in pages()}
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in [*GENERATED.rglob("*.md"), *GENERATED.rglob("*.rst")]:
        if path not in wanted and path.parent.name != "api":  # autosummary writes this folder
            path.unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages after the configuration is read, and before the sources are listed."""
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
