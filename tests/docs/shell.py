"""Execution of shell blocks. Commands of clipfeat run in this process, which saves time."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest import mock

from typer.testing import CliRunner

from clipfeat.cli import app, console
from tests.docs.blocks import ROOT

DEFAULTS = {
    "embed": {"encoder": "efficientnet-lite0", "image_size": "64", "precision": "fp32"},
    "train": {"image_size": "64"},
}
"""Defaults of options in the tests: an encoder that needs no download, small images, and no
comparison of precisions, which takes seconds."""
ENCODER_SUBSTITUTES = {
    "clip-vit-b-32": "spectrum",
    "clip-vit-l-14": "efficientnet-lite0",
    "efficientnet-b4": "spectrum",
}
"""Encoders whose weights need a download, and those that take their place in the tests."""

WIDTH = 110
"""Width of tables on the site, in characters."""

_NEEDS_BASH = re.compile(r"[$;*?~{}<]|&(?!&)|\|\||>>|2>")


def run_block(text: str) -> str:
    """Run the lines of a shell block, and return their output."""
    lines = text.replace("\\\n", " ").splitlines()
    return "".join(run_line(line) for line in lines if line.strip() and line.strip()[0] != "#")


def run_line(line: str) -> str:
    """Run commands that are separated by ``&&``."""
    parts = [part.strip() for part in re.split(r"&&", line)]
    return "".join(run_command(part) for part in parts)


def run_command(command: str) -> str:
    """Run one command, which may read from a pipe or write to a file."""
    words = shlex.split(command, comments=True)
    if not words:
        return ""
    if words[0] in ("pip", "uv"):
        check_extras(words)
        return ""
    outside_quotes = re.sub(r"'[^']*'|\"[^\"$]*\"|\s#.*", "", command)
    if "clipfeat" not in words or _NEEDS_BASH.search(outside_quotes):
        return run_bash(command)
    target = None
    if ">" in words:
        target = Path(words[words.index(">") + 1])
        words = words[: words.index(">")]
    given = None
    if "|" in words:
        given = run_bash(command[: command.index("|")])
        words = words[words.index("|") + 1 :]
    assert words[0] == "clipfeat", command
    printed = run_clipfeat(words[1:], given)
    if target is not None:
        target.write_text(printed, encoding="utf-8")
        return ""
    return printed


def run_clipfeat(words: list[str], given: str | None = None) -> str:
    """Run a clipfeat command in this process, and return its standard output and error."""
    substituted = [ENCODER_SUBSTITUTES.get(word, word) for word in words]
    with mock.patch.object(console, "WIDTH_WITHOUT_TERMINAL", WIDTH):
        result = CliRunner().invoke(app, substituted, input=given, default_map=DEFAULTS)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 7), f"clipfeat {shlex.join(words)}\n{result.stderr}"
    return result.stdout + result.stderr


def run_bash(command: str) -> str:
    """Run a command of another program, or one that needs bash."""
    shim = Path("bin/clipfeat")
    if not shim.exists():
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m clipfeat "$@"\n')
        shim.chmod(0o755)
    result = subprocess.run(
        ["bash", "-euc", f'PATH="$PWD/bin:$PATH"; {command}'],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, f"{command}\n{result.stderr}"
    return result.stdout


def check_extras(words: list[str]) -> None:
    """Check that the extras in an installation command exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"\[([^\]]+)\]", " ".join(words)):
        unknown = {*extras.split(",")} - {*project["optional-dependencies"]}
        assert not unknown, f"pyproject.toml has no extra {', '.join(unknown)}"
