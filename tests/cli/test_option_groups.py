"""Tests of command-line options that are combined into one options object."""

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from clipfeat.cli import app
from clipfeat.cli import option_types as options
from clipfeat.cli.option_groups import expands, fit_resources, source_options
from clipfeat.cli.protocol_options import ProtocolOptions
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.fits.fit_resources import FitResources
from clipfeat.zoo.fit_options import FitOptions


@pytest.mark.parametrize(
    ("kind", "types", "of_the_command"),
    [
        (FitOptions, options.FIT_OPTIONS_OF_MODEL, {}),
        (ProtocolOptions, options.PROTOCOL_OPTIONS, {}),
        (FitResources, options.FIT_RESOURCES, {"out_of_core"}),
        (FitResources, options.BENCHMARK_RESOURCES, {}),
        (EmbedResources, options.EMBED_RESOURCES, {"device"}),
    ],
)
def test_every_field_has_a_command_line_option(
    kind: type, types: dict[str, Any], of_the_command: set[str]
) -> None:
    """Each field of an options class has a command-line option."""
    assert set(types) == {field.name for field in fields(kind)} | set(of_the_command)


def test_every_encoder_option_has_a_command_line_option() -> None:
    """A new field of `EncoderOptions` needs an option. ``arguments`` is ``--encoder-arg``."""
    names = {field.name for field in fields(EncoderOptions)}
    assert set(options.ENCODER_OPTIONS) == names - {"arguments"} | {"encoder_arg"}


def test_every_source_option_has_a_command_line_option() -> None:
    """Each parameter of `source_options` has a command-line option."""
    assert set(options.SOURCE_OPTIONS) == set(signature(source_options).parameters)
    assert set(options.SOURCE_OPTIONS_OF_TRAINING) == set(options.SOURCE_OPTIONS)
    assert set(options.SOURCE_OPTIONS_OF_MODEL) <= set(options.SOURCE_OPTIONS)


@pytest.mark.parametrize("name", ["embed", "predict", "adapt", "robustness", "explain", "audit"])
def test_every_command_that_reads_tables_has_the_remedy_of_their_errors(name: str) -> None:
    """Commands that read tables have both flags that errors about paths recommend."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert options.TABLE_PATH_OPTIONS.keys() <= {one.name for one in command.params}


def received_by(command: Callable[..., None], *arguments: str) -> None:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


def test_a_command_receives_the_object() -> None:
    """Given options become fields, and other fields keep their defaults."""
    received = []

    @expands("fit_options", FitOptions, options.FIT_OPTIONS)
    def command(name: str, *, fit_options: FitOptions, seed: int = 0) -> None:
        received.append((name, fit_options, seed))

    received_by(command, "x", "--bag", "3", "--seed", "1", "--no-accelerate")
    assert received == [("x", FitOptions(bag=3, accelerate=False), 1)]


def test_an_option_of_the_command_stands_among_the_options_of_the_object() -> None:
    """A command's own option is listed in the order of the types."""
    received = []

    @expands("resources", fit_resources, options.FIT_RESOURCES)
    def command(*, resources: FitResources, out_of_core: bool | None = None) -> None:
        received.append((resources, out_of_core))

    assert list(signature(command).parameters) == list(options.FIT_RESOURCES)
    received_by(command, "--num-workers", "2", "--in-memory", "--time-limit", "10m")
    assert received == [(FitResources(n_jobs=2, time_limit=600), False)]


def test_an_option_of_one_object_stands_among_the_options_of_another() -> None:
    """``--device`` is listed with the resources, but sets a field of the encoder options."""
    received = []

    @expands("resources", EmbedResources, options.EMBED_RESOURCES)
    @expands("encoder_options", EncoderOptions, {"crop": options.Crop, "device": options.Device})
    def command(*, encoder_options: EncoderOptions, resources: EmbedResources) -> None:
        received.append((encoder_options, resources))

    assert list(signature(command).parameters) == ["crop", *options.EMBED_RESOURCES]
    received_by(command, "--device", "cpu", "--batch-size", "8")
    assert received == [(EncoderOptions(device="cpu"), EmbedResources(batch_size=8))]
