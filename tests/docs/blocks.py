"""Parser of a page's blocks: commands, Python, output, files and skip comments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sybil import Document, Example, Region
from sybil.parsers.myst import CodeBlockParser, SkipParser
from sybil.parsers.myst.lexers import DirectiveLexer
from sybil.typing import Evaluator

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

SKIP_REASONS = {
    "hub": "needs a download, or an account of a hub",
    "gpu": "needs a GPU",
    "cluster": "needs a Ray cluster, or takes too long on a local one",
    "store": "needs an object store",
    "server": "starts a server that runs until it is stopped",
    "browser": "opens a browser",
    "weights": "needs a file of weights that the project does not have",
    "data": "needs a data set that the project does not have",
    "time": "takes minutes; another test runs it",
    "fragment": "shows a part of a file or of a program",
}
"""First words of the reasons in ``skip`` comments, and their meanings."""

_SKIP = re.compile(r"skip:\s*(?:next|start)\b(.*)$", re.M)


def pages() -> list[Path]:
    """Return the README and all hand-written pages of the site."""
    written = (path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & {*path.parts})
    return [ROOT / "README.md", *sorted(written)]


@dataclass(frozen=True)
class Evaluators:
    """Functions that evaluate the blocks of each kind."""

    shell: Evaluator
    python: Evaluator
    output: Evaluator
    file: Evaluator


def parse(page: Path, evaluators: Evaluators) -> list[Example]:
    """Return the blocks of a page in order."""
    document = Document.parse(
        str(page),
        CodeBlockParser("sh", evaluators.shell),
        CodeBlockParser("python", evaluators.python),
        CodeBlockParser("output", evaluators.output),
        file_parser(evaluators.file),
        SkipParser(),
    )
    return list(document.examples())


def file_parser(evaluate: Evaluator) -> "FileParser":
    """Return the parser of blocks whose caption is a file name."""
    return FileParser(evaluate)


@dataclass(frozen=True)
class FileParser:
    """Parser of ``code-block`` directives with a ``:caption:``, which is the name of a file."""

    evaluate: Evaluator

    def __call__(self, document: Document) -> Iterator[Region]:
        """Yield a region with the file's name and text for each block."""
        for region in DirectiveLexer("code-block")(document):
            name = region.lexemes["options"].get("caption")
            if name:
                region.parsed = (name, str(region.lexemes["source"]))
                region.evaluator = self.evaluate
                yield region


def skip_reasons(page: Path) -> list[str]:
    """Return the text after ``next`` or ``start`` of each ``skip`` comment."""
    return [match.strip(" ->") for match in _SKIP.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> list[str]:
    """Return the clipfeat commands of a page's shell blocks, one line each."""
    blocks = re.findall(r"^ *```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.S | re.M)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [part.strip() for line in lines for part in line.split("&&") if "clipfeat " in part]
