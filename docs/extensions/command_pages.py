"""A page for each command, from the Typer application."""

from collections.abc import Iterator

import click
import typer

from clipfeat.cli import app
from clipfeat.cli.panels import PanelCommand


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the page of each command."""
    group = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        yield f"cli/{name}.md", command_page(name, command)


def command_page(name: str, command: PanelCommand) -> str:
    """Return the page of a command: its description, its usage, and a table for each panel."""
    context = click.Context(command, info_name=f"clipfeat {name}")
    description, example = split_example(command.help or "")
    lines = [f"# clipfeat {name}", "", description, ""]
    lines += ["```text", command.get_usage(context).removeprefix("Usage: "), "```", ""]
    if example:
        lines += ["Example:", "", "```sh", example, "```", ""]
    for title, rows in command.sections(context).items():
        lines += [f"## {title}", ""]
        for names, text in rows:
            lines += [f"`{' '.join(names.split())}`", f": {markdown(text)}", ""]
    return "\n".join(lines)


def split_example(text: str) -> tuple[str, str]:
    """Split the last paragraph off if it starts with ``Example:``."""
    paragraphs = text.split("\n\n")
    if paragraphs[-1].startswith("Example:"):
        return markdown("\n\n".join(paragraphs[:-1])), paragraphs[-1].removeprefix(
            "Example:"
        ).strip()
    return markdown(text), ""


def markdown(text: str) -> str:
    """Escape the characters of a plain text that Markdown would interpret."""
    parts = " ".join(text.split(" ")).split("`")
    for i in range(0, len(parts), 2):  # the text outside backticks
        for character in "\\*_<>[]{}$|":
            parts[i] = parts[i].replace(character, "\\" + character)
    return "`".join(parts)
