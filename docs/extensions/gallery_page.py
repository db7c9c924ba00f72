"""The gallery: the page of the examples, with links that work on the site."""

import re
from collections.abc import Iterator
from pathlib import Path

LINK = re.compile(r"(?<!!)\[`?([^\]`]+)`?\]\((?!https?:)([^)#]+)\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)]+)\)")


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the gallery. Links to files become downloads."""
    examples = docs.parent / "examples"

    def download(match: re.Match[str]) -> str:
        name, target = match.groups()
        is_file = (examples / target).is_file()
        return f"{{download}}`{name} <../examples/{target}>`" if is_file else f"`{name}`"

    text = (examples / "README.md").read_text(encoding="utf-8").partition("\n")[2]
    text = LINK.sub(download, text)
    yield "gallery.inc.md", PICTURE.sub(r"![\1](../examples/\2)", text)
