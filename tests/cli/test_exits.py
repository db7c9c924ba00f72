"""Tests of exit codes and of the last line of a command that fails."""

import pytest
import typer

from clipfeat.cli.console import print_list, print_table
from clipfeat.cli.exits import (
    INTERRUPTED,
    explains_resuming,
    print_error_line,
    print_line,
    reports_errors,
)
from clipfeat.errors import unknown_name
from clipfeat.system.escaping import terminal_text
from tests.conftest import make_spec


def test_an_interrupted_command_explains_how_to_resume(capsys: pytest.CaptureFixture[str]) -> None:
    """The line has the hint on resuming, and the exit code is 130."""

    @reports_errors
    def command() -> None:
        with explains_resuming("Repeat the same command to resume."):
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as exit_:
        command()
    assert exit_.value.exit_code == INTERRUPTED
    assert capsys.readouterr().err == "interrupted. Repeat the same command to resume.\n"


@pytest.mark.parametrize("name", ["x" * 60_000, "\x1b" * 60_000])
def test_long_names_do_not_flood_the_terminal(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The middle of a long message, line or cell is left out. The remedy at the end is kept."""
    print_error_line(f"error: {name} is unknown. Pass another name")
    printed = capsys.readouterr().err
    assert len(printed) <= 2001 and printed.startswith("error: ")
    assert printed.endswith(" is unknown. Pass another name\n")
    print_line(name)
    assert len(capsys.readouterr().out) <= 10_001
    print_list([name] * 3)
    assert len(capsys.readouterr().out) <= 3 * 2003 * len(terminal_text(name[0]))
    print_table(name, [name], [[name]])
    assert len(capsys.readouterr().out) < 5000
    assert len(str(unknown_name("encoder", name, ["timm:…"]))) < 1000
    assert len(make_spec(name, layer=name).title) < 500
