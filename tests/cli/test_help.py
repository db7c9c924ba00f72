"""Tests of the help pages of all commands."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from clipfeat.cli import app
from clipfeat.cli.panels import PANELS
from tests.cli.command_line import clipfeat, succeed

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def help_page(*words: str, columns: int) -> str:
    """Return a help page for a terminal of this width, which click's test runner ignores."""
    return subprocess.run(
        [sys.executable, "-m", "clipfeat", *words, "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": str(columns)},
    ).stdout  # fmt: skip


def options_of(command: Any) -> list[Any]:
    return [
        one
        for one in command.params
        if one.param_type_name == "option" and "--help" not in one.opts
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_grouped_and_described(name: str) -> None:
    """Every option has a panel and a help sentence, and the panels have a fixed order."""
    options = options_of(COMMANDS[name])
    assert all(option.rich_help_panel in PANELS for option in options)
    for one in COMMANDS[name].params:
        if "--help" not in (one.opts or ()):
            assert (one.help or "").strip().endswith((".", ")")), one.name
    lines = succeed(name, "--help").stdout.splitlines()
    panels = [line.removesuffix(":") for line in lines if line.removesuffix(":") in PANELS]
    used = {option.rich_help_panel for option in options}
    assert panels == [panel for panel in PANELS if panel in used]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_page_has_an_example(name: str) -> None:
    """Each page shows an example command."""
    assert f"Example: clipfeat {name}" in " ".join(succeed(name, "--help").stdout.split())


def test_flags_agree_between_commands() -> None:
    """A long flag has the same short flag, or the same negation, in all commands."""
    spellings: dict[str, set[tuple[str, ...]]] = {}
    for command in COMMANDS.values():
        for option in options_of(command):
            flags = sorted([*option.opts, *option.secondary_opts])
            spellings.setdefault(option.name, set()).add(tuple(flags))
    assert {name: flags for name, flags in spellings.items() if len(flags) > 1} == {}


@pytest.mark.parametrize("columns", [80, 160])
def test_pages_use_the_width_of_the_terminal(columns: int) -> None:
    """The longest line of a page nearly fills the terminal."""
    page = help_page("benchmark", columns=columns)
    assert columns - 20 < max(map(len, page.splitlines())) <= columns


def test_the_list_of_commands_is_not_cut_off() -> None:
    """Each command's summary fits the list on a terminal of 80 columns."""
    page = help_page(columns=80)
    assert all(name in page for name in COMMANDS)
    assert "..." not in page.partition("Commands:")[2]


def test_the_version() -> None:
    """``--version`` prints the version and nothing else."""
    assert clipfeat("--version").stdout.startswith("clipfeat ")


def test_completion() -> None:
    """A completion request of the shell is answered with matching commands."""
    environment = {
        **os.environ, "_CLIPFEAT_COMPLETE": "complete_bash",
        "COMP_WORDS": "clipfeat be", "COMP_CWORD": "1",
    }  # fmt: skip
    script = [str(Path(sys.executable).parent / "clipfeat")]
    run = subprocess.run(script, capture_output=True, text=True, env=environment, check=False)
    assert "benchmark" in run.stdout
