"""The list of blocks that no test runs, from the ``skip`` comments of all pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

SKIP = re.compile(
    r'^[ \t]*(?:%|<!--+)[ \t]*skip:[ \t]*(?:next|start)[ \t]+"(?P<reason>[^"]+)".*?'
    r"^[ \t]*```\S*\n(?P<source>.*?)^[ \t]*```",
    re.M | re.S,
)
ROOT_PAGES = ("README.md", "CONTRIBUTING.md")


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the list."""
    lines = []
    for path in [*(docs.parent / name for name in ROOT_PAGES), *sorted(docs.rglob("*.md"))]:
        if "generated" in path.parts or "_build" in path.parts:
            continue
        for match in SKIP.finditer(path.read_text(encoding="utf-8")):
            name = path.relative_to(docs.parent).as_posix()
            source = dedent(match["source"])
            lines += [f"**{name}**, {match['reason']}", "", f"```sh\n{source}```", ""]
    yield "untested.inc.md", "\n".join(lines) or "None.\n"
