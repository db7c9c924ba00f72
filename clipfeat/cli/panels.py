"""Help pages with the options of a command grouped into panels.

The pages are plain text instead of Typer's Rich tables, for two reasons. Rich tables spend three
columns on the names and types of options, which leaves 20 characters for the help text of
``clipfeat fit`` in a terminal of 80 columns. Importing Rich also takes half of the 0.3 seconds that
``clipfeat --help`` may take.
"""

from typing import Any

import typer
from typer.core import TyperCommand

INPUT = "Input"
ENCODER = "Encoder"
AUGMENTATION = "Augmentation"
CLASSIFIERS = "Classifiers"
EVALUATION = "Evaluation"
OUTPUT = "Output"
SERVER = "Server"
PERFORMANCE = "Performance"
PANELS = (INPUT, ENCODER, AUGMENTATION, CLASSIFIERS, EVALUATION, SERVER, OUTPUT, PERFORMANCE)
"""Panels in the order of the help page. Options without a panel follow, under "Options"."""

FULL_WIDTH = {"max_content_width": 10_000}
"""Context settings that let help pages use the whole terminal. Click's default is 80 columns."""


class PanelCommand(TyperCommand):
    """Command whose help page groups the options by their ``rich_help_panel``."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write a section for the arguments and one for each panel."""
        for title, rows in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Return the names and help texts of the arguments and options, by panel."""
        sections: dict[str, list[tuple[str, str]]] = {
            title: [] for title in ("Arguments", *PANELS, "Options")
        }
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            names, text = record
            if parameter.param_type_name == "argument":
                # Click's help record also has the Python type of the argument, which users do not
                # need.
                sections["Arguments"].append((names.partition(" <")[0], text))
            else:
                panel = getattr(parameter, "rich_help_panel", None)
                sections[panel or "Options"].append((names, text))
        return {title: rows for title, rows in sections.items() if rows}
