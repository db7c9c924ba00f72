"""``clipfeat export``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors


@reports_errors
def export(
    file: Annotated[Path, typer.Argument(help="A feature file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Ends in .parquet, .npz or .csv.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
) -> None:
    """Write a feature file's rows for other tools: path, key, label, group, …, features.

    Example: clipfeat export out.h5 -o out.parquet
    """
    from clipfeat.store import export as run
    from clipfeat.system.locations import location

    n_rows = run(file, output, overwrite=overwrite)
    made = location(output)
    print(f"{made}: {n_rows} rows, {made.stat().st_size:,} bytes")
