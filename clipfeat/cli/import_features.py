"""``clipfeat import``; the word itself is Python's."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors


@reports_errors
def import_features(
    source: Annotated[
        Path,
        typer.Argument(help="The folder that thingsvision or clip-retrieval wrote, or its file."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new feature file.")],
    name: Annotated[str, typer.Option(help="What to call the encoder: alexnet-fc7.")],
    images: Annotated[
        Path | None,
        typer.Option(help="The images' folder: keys are then digests of their bytes."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A table that names the classes.")] = None,
    path_col: Annotated[str, typer.Option(help="The table's column of paths.")] = "",
    label_col: Annotated[str, typer.Option(help="The table's column of labels.")] = "",
    group_col: Annotated[str, typer.Option(help="The table's column of groups.")] = "",
    class_folders: Annotated[
        bool,
        typer.Option(
            "--class-folders/--no-class-folders", help="A path's first folder is its label."
        ),
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
) -> None:
    """Make a feature file of what thingsvision or clip-retrieval wrote.

    Its encoder equals no other: such features are never mixed with those that clipfeat makes.

    Example: clipfeat import alexnet/ -o alexnet.h5 --name alexnet-fc7 --images images/
    """
    from clipfeat.cli.console import listed
    from clipfeat.images.manifest import TableColumns
    from clipfeat.store.importing import import_features as run

    made = run(
        source,
        output,
        name=name,
        images=images,
        labels=labels,
        columns=TableColumns(path_col, label_col, group_col),
        class_folders=class_folders,
        overwrite=overwrite,
    )
    print(f"{output}: {made.n_rows} rows of {made.spec.n_features} features by {made.spec.name}")
    n_by_path = made.n_rows + len(made.failures) - made.n_by_bytes
    print(f"keys: {made.n_by_bytes} of the images' bytes, {n_by_path} of their paths")
    known = {label: n for label, n in sorted(made.labels.items()) if label}
    print("labels: " + (", ".join(f"{label} {n}" for label, n in known.items()) or "none"))
    if made.failures:
        print("failed, and recorded in the file:")
        print(listed([f"{f.path}: {f.reason}: {f.message}" for f in made.failures]))
