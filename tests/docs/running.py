"""Execution of a page's blocks."""

import contextlib
import io
import re
from pathlib import Path
from unittest import SkipTest

from sybil import Example

from tests.docs.blocks import Evaluators, parse
from tests.docs.shell import run_block

ELISION = "..."
_OF_THE_IMAGES = re.compile(
    r"\b[0-9a-f]{10}\b|\S+\.png\b|\b(svm|logreg|soft vote)(?= at threshold|, the best single)"
)


class PageRun:
    """Run of a page's blocks in the current directory. It stores the output of the last block."""

    def __init__(self) -> None:
        self.printed = ""

    def run(self, page: Path) -> None:
        """Evaluate all blocks in order. Skipped blocks are left out."""
        evaluators = Evaluators(self.shell, self.python, self.output, self.file)
        for example in parse(page, evaluators):
            with contextlib.suppress(SkipTest):
                example.evaluate()

    def shell(self, example: Example) -> None:
        """Run commands."""
        try:
            self.printed = run_block(example.parsed)
        except AssertionError as error:
            raise AssertionError(f"{example.path}:{example.line}: {error}") from error

    def python(self, example: Example) -> None:
        """Run Python in the namespace of the page."""
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(source, example.path, "exec"), example.namespace)
        self.printed = out.getvalue()

    def output(self, example: Example) -> None:
        """Check that the block above printed every line. A printed line may be shown as several.

        Numbers and spaces may differ.
        """
        printed = comparable(self.printed)
        for line in example.parsed.splitlines():
            if line.strip() != ELISION:
                assert comparable(line) in printed, (
                    f"{example.path}:{example.line}: not printed: {line}\nprinted:\n{self.printed}"
                )

    def file(self, example: Example) -> None:
        """Write a file."""
        name, text = example.parsed
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def comparable(text: str) -> str:
    """Remove spaces, table lines, and everything that depends on the images from a text.

    Numbers, hashes, image names and the best classifier depend on the images. A table row is
    reduced to its first cell, because undefined values are shown as words.

    Examples
    --------
    >>> comparable("│ svm   │ 0.93 ± 0.02 │") == comparable("│ svm │  0.9 │")
    True
    """
    text = re.sub(r"^│([^│]*)│.*$", r"│\1│", text, flags=re.M)
    text = re.sub(_OF_THE_IMAGES, "", text)
    return re.sub(r"[\d.,+−–-]+|[\s━─]+", "", text)
