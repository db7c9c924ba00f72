"""Command-line options that form one options object."""

from dataclasses import fields

import typer
from typer.testing import CliRunner

from clipfeat.cli.option_groups import expands
from clipfeat.cli.option_types import FIT_OPTIONS
from clipfeat.zoo.fit_options import FitOptions


def test_every_fitting_option_has_a_command_line_option() -> None:
    """A new field of `FitOptions` needs an entry in `FIT_OPTIONS`."""
    assert set(FIT_OPTIONS) == {field.name for field in fields(FitOptions)}


def test_a_command_receives_the_object() -> None:
    """Options on the command line become fields. Other fields keep their defaults."""
    app, received = typer.Typer(), []

    @app.command()
    @expands("fit_options", FitOptions, FIT_OPTIONS)
    def command(name: str, fit_options: FitOptions = FitOptions(), seed: int = 0) -> None:
        received.append((name, fit_options, seed))

    result = CliRunner().invoke(app, ["x", "--bag", "3", "--seed", "1", "--no-accelerate"])
    assert result.exit_code == 0, result.output
    assert received == [("x", FitOptions(bag=3, accelerate=False), 1)]
