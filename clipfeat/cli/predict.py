"""``clipfeat predict``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipfeat.cli.exits import TOO_MANY_BAD, reports_errors, say
from clipfeat.cli.outputs import check_file

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.prediction.predictions import Predictions


@reports_errors
def predict(
    model: Annotated[Path, typer.Argument(help="What `clipfeat fit` wrote.")],
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…", help="Images, as for `clipfeat embed`; or their feature files."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A CSV file; else standard output.")
    ] = None,
    template: Annotated[
        Path | None, typer.Option(help="A sample_submission.csv, to be filled in by its ids.")
    ] = None,
    fill: Annotated[
        str, typer.Option(help="A template's one column: probability, class, or auto.")
    ] = "auto",
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
    tta: Annotated[
        str | None, typer.Option(help="Views averaged with each image: hflip,… or a file.")
    ] = None,
    average: Annotated[
        str, typer.Option(help="Of frames, faces and views of one file: mean or confident.")
    ] = "mean",
    per_part: Annotated[
        bool, typer.Option("--per-part", help="A row for each of these instead.")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option(help="A table of true labels, to score by.")
    ] = None,
    path_col: Annotated[str, typer.Option(help="The table's column of paths.")] = "",
    label_col: Annotated[str, typer.Option(help="The table's column of labels.")] = "",
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "-b", min=1, help="Found by trying, if not given."),
    ] = None,
    num_workers: Annotated[int | None, typer.Option("--num-workers", "-j", min=1)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    max_bad: Annotated[
        int | None, typer.Option(min=0, help="Exit with 3 if more images than this fail.")
    ] = None,
) -> None:
    """Classify images: path, predicted class, a probability for each class.

    An image that cannot be read has a row that says so. Where the true labels are known, they are
    scored.

    Example: clipfeat predict model.clipfeat new/ -o predictions.csv
    """
    from clipfeat.cli.console import image_bar
    from clipfeat.embedding.resources import EmbedResources
    from clipfeat.errors import unknown_name
    from clipfeat.features.by_file import AVERAGES
    from clipfeat.images.manifest import TableColumns, read_text_table
    from clipfeat.images.options import SourceOptions
    from clipfeat.images.video.frames import FrameSampling
    from clipfeat.prediction.predicting import predict as run
    from clipfeat.prediction.submission import FILLS

    # All that can be known to be wrong before the work rather than after.
    check_file(output, overwrite=overwrite)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
    for flag, given, known in (("--average", average, AVERAGES), ("--fill", fill, FILLS)):
        if given not in known:
            raise unknown_name(flag, given, known)
    if template is not None:
        read_text_table(str(template))
    with image_bar("predicting") as progress:
        found = run(
            model,
            source[0] if len(source) == 1 else source,
            weights=weights or [],
            face_weights=face_weights,
            inputs=SourceOptions(
                labels=labels,
                columns=TableColumns(path_col, label_col, ""),
                frames=FrameSampling(fps, frames),
                views=tta,
            ),
            average=average,
            per_part=per_part,
            device=device,
            resources=EmbedResources(batch_size, num_workers),
            progress=progress,
        )
    table = found.to_pandas() if template is None else _filled(found, template, fill)
    if output is None:
        table.to_csv(sys.stdout, index=False)
    else:
        table.to_csv(output, index=False)
        counts = {name: found.predicted.count(name) for name in found.classes}
        print(
            f"{output}: {len(table)} rows; "
            + ", ".join(f"{n} {name}" for name, n in counts.items())
        )
    if found.errors:
        path, why = next(iter(found.errors.items()))
        say(f"{len(found.errors)} could not be read, or not all of it, such as {path}: {why}")
    if scores := found.scores():
        say("scores: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    if len(found.errors) > (len(found.errors) if max_bad is None else max_bad):
        raise typer.Exit(TOO_MANY_BAD)


def _filled(found: "Predictions", template: Path, fill: str) -> "pd.DataFrame":
    """The template with the predictions in it; what is missing is said."""
    from clipfeat.prediction.submission import fill_template

    filled = fill_template(found, template, fill)
    n_filled = len(filled.table) - len(filled.missing)
    say(f"filled {n_filled} of {len(filled.table)} rows of {template}; {filled.said}")
    if filled.missing:
        say(
            f"{len(filled.missing)} ids have no prediction, such as {filled.missing[0]}: "
            "their rows are as in the template"
        )
    return filled.table
