"""Tests of exit codes and of the last line of a command that fails."""

import pytest
import typer

from clipfeat.cli.exits import INTERRUPTED, explains_resuming, reports_errors


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
