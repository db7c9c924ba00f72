"""``clipfeat explain``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors
from clipfeat.cli.outputs import check_file


@reports_errors
def explain(
    model: Annotated[Path, typer.Argument(help="What `clipfeat fit` wrote.")],
    source: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="As for predict.")],
    features: Annotated[
        list[Path] | None,
        typer.Option(help="The feature files it was fitted on. None: the only one here."),
    ] = None,
    n_neighbours: Annotated[
        int, typer.Option("--neighbours", min=1, help="Training images to show.")
    ] = 8,
    weights: Annotated[
        list[Path] | None, typer.Option(help="Local weights, one file for each encoder.")
    ] = None,
    face_weights: Annotated[
        Path | None, typer.Option(help="YuNet's file, if the model is of faces it found.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    html: Annotated[Path | None, typer.Option(help="Write a page with thumbnails.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page.")] = False,
) -> None:
    """Show the training images nearest to an image, and what each member says of it.

    Example: clipfeat explain model.clipfeat new/1.jpg --features out.h5 --html why.html
    """
    from clipfeat.cli.features import chosen
    from clipfeat.images import open_source
    from clipfeat.prediction.explaining import explain as run
    from clipfeat.prediction.explaining import explanation_page
    from clipfeat.store import load, open_stored

    check_file(html, overwrite=overwrite, flag="--html")
    files = chosen(features or [])
    images = source[0] if len(source) == 1 else source
    found = run(
        model,
        images,
        load(*files),
        n_neighbours=n_neighbours,
        weights=weights or [],
        face_weights=face_weights,
        device=device,
    )
    for one in found:
        print(one.path)
        for name, p in {**one.members, "together": one.probabilities}.items():
            print(f"  {name}: " + ", ".join(f"{label} {value:.3f}" for label, value in p.items()))
        for near in one.neighbours:
            print(f"  {near.distance:.3f} {near.label or '?'} {near.path}")
    if html is not None:
        with open_stored(files[0]) as stored:
            root = stored.newest.text("root")
        html.write_text(explanation_page(found, open_source(images).root, root), encoding="utf-8")
        print(html)
