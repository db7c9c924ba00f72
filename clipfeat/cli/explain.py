"""``clipfeat explain``."""

from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors
from clipfeat.cli.option_groups import expands, source_options
from clipfeat.cli.outputs import check_file

if TYPE_CHECKING:
    from clipfeat.images.source_options import SourceOptions


@reports_errors
@expands("inputs", source_options, options.EXPLAINED_SOURCE_OPTIONS)
def explain(
    model: options.ModelFile,
    source: options.Sources,
    *,
    inputs: "SourceOptions",
    features: options.TrainingFeatures = None,
    n_neighbours: options.NeighbourCount = 8,
    weights: options.WeightsFiles = None,
    face_weights: options.FaceWeightsOfModel = None,
    device: options.Device = "auto",
    html: options.HtmlPage = None,
    images: options.ShownTrainingImages = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Explain predictions by the nearest training images.

    For each image, the command prints the class probabilities of each classifier in the model. It
    then lists the nearest training images and their cosine distances in feature space.

    Example: clipfeat explain model.clipfeat new/1.jpg --html why.html
    """
    from clipfeat.cli.console import short_name
    from clipfeat.cli.feature_files import feature_files
    from clipfeat.prediction.explaining import explain as run
    from clipfeat.prediction.explaining import save_explanations
    from clipfeat.store import load

    check_file(html, overwrite=overwrite, flag="--html")
    files = feature_files(features or [])
    explanations = run(
        model,
        source,
        load(*files, progress=progress),
        inputs=inputs,
        n_neighbours=n_neighbours,
        weights=weights or [],
        face_weights=face_weights,
        device=device,
        progress=progress,
    )
    for one in explanations:
        print_line(one.path)
        for name, p in {**one.members, "vote": one.probabilities}.items():
            print_line(
                f"  {name}: "
                + ", ".join(f"p_{short_name(label)} {value:.3f}" for label, value in p.items())
            )
        for neighbour in one.neighbours:
            label = short_name(neighbour.label) or "unlabelled"
            print_line(f"  distance {neighbour.distance:.3f}: {neighbour.path} ({label})")
    if html is not None:
        print_line(save_explanations(explanations, html, files[0], images))
