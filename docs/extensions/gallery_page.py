"""The gallery: the page of the examples, with links that work on the site."""

import re
from collections.abc import Iterator
from pathlib import Path

FILE = re.compile(r"(?<!!)\[`?([^\]`]+)`?\]\((?!https?:)([^)#/]+)\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)]+)\)")


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the gallery. Links to files become downloads."""
    text = (docs.parent / "examples" / "README.md").read_text(encoding="utf-8")
    text = text.partition("\n")[2]  # without the heading
    text = FILE.sub(r"{download}`\1 <../examples/\2>`", text)
    yield "gallery.inc.md", PICTURE.sub(r"![\1](../examples/\2)", text)
