"""``clipfeat merge``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors


@reports_errors
def merge(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE.h5…", help="Feature files of one encoder.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new feature file.")],
    prefer: Annotated[
        str | None,
        typer.Option(help="first or last: the file to believe where two contradict each other."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
) -> None:
    """Merge several feature files of the same encoder into one.

    Paths become relative to the folder that holds the images of all.

    Example: clipfeat merge a.h5 b.h5 -o all.h5
    """
    from clipfeat.store import merge_files

    made = merge_files(files, output, prefer=prefer, overwrite=overwrite)
    print(
        f"{made.path}: {made.n_rows} rows of {len(files)} files, {made.n_doubled} that were there "
        f"twice left out, {made.n_failures} failures"
    )
    if made.root:
        print(f"paths are relative to {made.root}")
