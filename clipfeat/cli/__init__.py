"""Command line with one module per command.

A command parses its options, calls the library and prints the result.
"""

import gc
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from clipfeat import __version__
from clipfeat.cli.adapt import adapt
from clipfeat.cli.audit import audit
from clipfeat.cli.benchmark import benchmark
from clipfeat.cli.browse_app import browse
from clipfeat.cli.classifiers import classifiers
from clipfeat.cli.compare import compare
from clipfeat.cli.demo import demo
from clipfeat.cli.embed import embed
from clipfeat.cli.encoders import encoders
from clipfeat.cli.exits import INTERRUPTED, report_stopping
from clipfeat.cli.explain import explain
from clipfeat.cli.export import export
from clipfeat.cli.fit import fit
from clipfeat.cli.import_features import import_features
from clipfeat.cli.info import info
from clipfeat.cli.merge import merge
from clipfeat.cli.next import next_images
from clipfeat.cli.panels import FULL_WIDTH, PanelCommand
from clipfeat.cli.predict import predict
from clipfeat.cli.pull import pull
from clipfeat.cli.push import push
from clipfeat.cli.recipes import recipes
from clipfeat.cli.robustness import robustness
from clipfeat.cli.search import search
from clipfeat.cli.serve import serve
from clipfeat.cli.streams import open_closed_streams, reports_failed_output
from clipfeat.cli.train import train
from clipfeat.cli.verify import verify
from clipfeat.system.interrupts import handle_stop_signals, ignore_stop_signals

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], **FULL_WIDTH},
)
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo, "train": train, "embed": embed, "audit": audit, "benchmark": benchmark,
    "compare": compare, "fit": fit, "predict": predict, "adapt": adapt, "robustness": robustness,
    "explain": explain, "search": search, "next": next_images, "app": browse, "serve": serve,
    "info": info, "verify": verify, "merge": merge, "import": import_features, "export": export,
    "push": push, "pull": pull, "encoders": encoders, "classifiers": classifiers,
    "recipes": recipes,
}  # fmt: skip
"""Commands by name, in the order of `clipfeat --help`."""
for name, command in COMMANDS.items():
    app.command(name, cls=PanelCommand)(command)


def _print_version(value: bool) -> None:
    if value:
        print(f"clipfeat {__version__}")
        raise typer.Exit


@app.callback()
def clipfeat(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Classify images with frozen features and classical classifiers.

    An encoder computes the features of each image once and writes them to a feature file.
    Classifiers are then fitted on the features. Several classifiers can form a vote, by default a
    soft vote, which is the average of their probabilities.

    Start with: clipfeat demo

    Then: clipfeat embed images/ out.h5 && clipfeat fit out.h5
    """


def main() -> None:
    """Run the command line. SIGTERM and SIGHUP are handled like Ctrl-C."""
    # Imports create many objects and no garbage. With Python's default of 700, the garbage
    # collector takes 0.5 of the 2.9 s of processor time of the import of torch and timm.
    gc.set_threshold(50_000, 10, 10)
    open_closed_streams()
    handle_stop_signals(report_stopping)
    try:
        with reports_failed_output():
            app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        # The exit code is already set. A signal while Python exits would replace it.
        ignore_stop_signals()
        gc.freeze()  # a last search for garbage would take 0.2 s or more after an import of torch
