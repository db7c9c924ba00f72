"""Script that prints the output of a page's blocks, for copying into its ``output`` blocks.

Usage: ``python -m tests.docs.record docs/tutorials/NAME.md FOLDER``. The blocks run in FOLDER,
which must not exist.
"""

import os
import sys
from pathlib import Path

from sybil import Example

from tests.docs.running import PageRun


class Recording(PageRun):
    """Run of a page that prints the output of each block instead of checking it."""

    def shell(self, example: Example) -> None:
        """Run commands, and print their output."""
        super().shell(example)
        print(f"$ {example.parsed}{self.printed}", flush=True)

    def python(self, example: Example) -> None:
        """Run Python code, and print its output."""
        super().python(example)
        print(f">>> {example.parsed}{self.printed}", flush=True)

    def output(self, example: Example) -> None:
        """Do nothing instead of checking the output."""


if __name__ == "__main__":
    page, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    folder.mkdir(parents=True)
    os.chdir(folder)
    Recording().run(page)
