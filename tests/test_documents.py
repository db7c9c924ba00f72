"""The README agrees with the code."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipfeat.cli import app
from clipfeat.encoders import ALIASES, DEFAULT_ENCODER
from clipfeat.zoo import classifiers

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md"]


def commands(page: Path) -> list[str]:
    """Return the clipfeat commands of a page's shell blocks, one line each."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [part.strip() for line in lines for part in line.split("&&") if "clipfeat " in part]


@pytest.mark.parametrize("line", sorted({line for page in PAGES for line in commands(page)}))
def test_commands_and_options_exist(line: str) -> None:
    """Every command and option on the pages exists."""
    words = shlex.split(line, comments=True)
    words = words[words.index("clipfeat") + 1 :]
    if words[0].startswith("-"):
        return
    result = CliRunner().invoke(app, [words[0], "--help"])
    assert result.exit_code == 0, line
    for word in words[1:]:
        if word.startswith("-") and word != "-":
            assert re.search(rf"(^|[\s,]){re.escape(word)}\b", result.stdout), (line, word)


def test_tables_are_complete() -> None:
    """The README's tables list every short name and every classifier."""
    for short, full in ALIASES.items():
        assert f"| `{short}` |" in README
        assert full == short or f"`{full}`" in README
    for name in classifiers():
        assert f"| `{name}` |" in README
    assert (
        f"| `{DEFAULT_ENCODER}` | `{ALIASES[DEFAULT_ENCODER]}` | 512 | 224 | **the default**"
        in README
    )


def test_python_blocks_compile() -> None:
    """The README's Python blocks compile."""
    for block in re.findall(r"```python\n(.*?)```", README, re.S):
        compile(block, "README.md", "exec")
