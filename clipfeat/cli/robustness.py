"""``clipfeat robustness``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipfeat.cli.exits import TOO_MANY_BAD, reports_errors, say
from clipfeat.cli.outputs import check_folder

if TYPE_CHECKING:
    from clipfeat.prediction.robustness import Robustness


@reports_errors
def robustness(
    model: Annotated[Path, typer.Argument(help="What `clipfeat fit` wrote.")],
    source: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE…", help="Labelled images that it was not fitted on."),
    ],
    degrade: Annotated[
        str, typer.Option(help="all, or some: jpeg,webp,blur,shrink,enlarge,crop,noise,combined.")
    ] = "all",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for the table and its pictures."),
    ] = None,
    weights: Annotated[
        list[Path] | None, typer.Option(help="Local weights, one file for each encoder.")
    ] = None,
    face_weights: Annotated[
        Path | None, typer.Option(help="YuNet's file, if the model is of faces it found.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a video.")] = None,
    frames: Annotated[
        int | None, typer.Option(help="Frames of a video, evenly spaced; 8 if not given.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A table of the true labels.")] = None,
    path_col: Annotated[str, typer.Option(help="The table's column of paths.")] = "",
    label_col: Annotated[str, typer.Option(help="The table's column of labels.")] = "",
    batch_size: Annotated[int | None, typer.Option("--batch-size", "-b", min=1)] = None,
    num_workers: Annotated[int | None, typer.Option("--num-workers", "-j", min=1)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder in use.")
    ] = False,
    max_bad: Annotated[
        int | None, typer.Option(min=0, help="Exit with 3 if more images than this fail.")
    ] = None,
) -> None:
    """Score a model on images as they are, compressed, blurred, resized, cropped and noisy.

    Each image is decoded once and encoded once for every strength.

    Example: clipfeat robustness model.clipfeat test/ -o robustness/
    """
    from clipfeat.cli.console import image_bar
    from clipfeat.embedding.resources import EmbedResources
    from clipfeat.images.manifest import TableColumns
    from clipfeat.images.options import SourceOptions
    from clipfeat.images.video.frames import FrameSampling
    from clipfeat.prediction.robustness import DEGRADATIONS
    from clipfeat.prediction.robustness import robustness as run
    from clipfeat.report.robustness import save_robustness

    check_folder(output, overwrite=overwrite)
    names = [name.strip() for name in degrade.split(",") if name.strip()]
    with image_bar("degrading") as progress:
        found = run(
            model,
            source[0] if len(source) == 1 else source,
            degradations=list(DEGRADATIONS) if names == ["all"] else names,
            weights=weights or [],
            face_weights=face_weights,
            inputs=SourceOptions(
                labels=labels,
                columns=TableColumns(path_col, label_col, ""),
                frames=FrameSampling(fps, frames),
            ),
            device=device,
            resources=EmbedResources(batch_size, num_workers),
            progress=progress,
        )
    _print(found)
    if output is not None:
        titles = {name: row.title for name, row in DEGRADATIONS.items()}
        for written in save_robustness(found.to_pandas(), output, titles):
            print(written)
    if found.errors:
        path, why = next(iter(found.errors.items()))
        say(f"{len(found.errors)} could not be read or degraded, such as {path}: {why}")
    if len(found.errors) > (len(found.errors) if max_bad is None else max_bad):
        raise typer.Exit(TOO_MANY_BAD)


def _print(found: "Robustness") -> None:
    """Print a line for each state, a column for each metric."""
    from rich.table import Table

    from clipfeat.cli.console import console, shown
    from clipfeat.evaluate import METRICS
    from clipfeat.prediction.robustness import ORIGINAL

    out = console()
    metrics = shown(METRICS, out.width)
    table = Table(title=f"{found.rows[0].n} images", title_justify="left")
    table.add_column("degradation", no_wrap=True)
    for heading in ("strength", *(METRICS[name].title for name in metrics)):
        table.add_column(heading, justify="right", no_wrap=True)
    states: dict[tuple[str, str], dict[str, float]] = {}
    for row in found.rows:
        states.setdefault((row.degradation, f"{row.strength:g}"), {})[row.metric] = row.value
    before = ""
    for (name, strength), values in states.items():
        if name != before:
            table.add_section()
        cells = (f"{values[metric]:.3f}" for metric in metrics)
        table.add_row(name if name != before else "", "" if name == ORIGINAL else strength, *cells)
        before = name
    out.print(table)
