"""``clipfeat next``."""

from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_error_line, print_line, reports_errors
from clipfeat.cli.outputs import check_file

if TYPE_CHECKING:
    from clipfeat.features import FeatureSet


@reports_errors
def next_images(
    features: options.FeatureFiles = None,
    *,
    n: options.QueueLength = 50,
    labels: options.LabelTablesOfQueue = None,
    seed: options.SeedOfQueue = 0,
    output: options.QueueFile = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """List the images that are most useful to label next.

    If fewer than two classes have labelled images, the command selects images that are far from
    each other in feature space. Otherwise, it fits a logistic regression and selects the images
    with the most uncertain predictions, each from a different cluster of features.

    Example: clipfeat next out.h5 -n 50
    """
    from clipfeat.cli.console import counted
    from clipfeat.cli.feature_files import feature_files
    from clipfeat.cli.label_tables import apply_label_tables
    from clipfeat.labelling.queue import label_queue
    from clipfeat.store import load
    from clipfeat.system.escaping import spreadsheet_csv
    from clipfeat.system.files import publish
    from clipfeat.system.progress import Phase, reporting

    check_file(output, overwrite=overwrite)
    files = feature_files(features or [])
    with reporting(progress) as report:
        report(Phase("loading"))
        data = load(*files, progress=report)
        if labels is None:
            labels = _labels_of(files[0], data)
        data, _ = apply_label_tables(data, labels)
        report(Phase("choosing"))
        queue = label_queue(data, n, seed=seed)
    how = (
        f"by uncertainty and cluster ({counted(queue.n_labelled, 'labelled image')})"
        if queue.n_labelled
        else "far from each other (fewer than two classes have labels)"
    )
    if queue.n_unlabelled:
        n_unlabelled = counted(queue.n_unlabelled, "unlabelled image")
        print_error_line(f"selected {len(queue)} of {n_unlabelled}, {how}")
    else:
        print_error_line("all images have a label")
    if output is None:
        for path in queue.paths.tolist():
            print_line(path)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        publish(spreadsheet_csv(queue.to_pandas()).encode(), output)
        print_line(output)


def _labels_of(features: Path, data: "FeatureSet") -> list[Path]:
    """Return the file of decisions beside a feature file, if it has decisions about its images."""
    from clipfeat.errors import RefusedFileError
    from clipfeat.labelling.decided_images import DecidedImages
    from clipfeat.labelling.label_log import labels_beside, read_decisions
    from clipfeat.system.locations import is_remote

    if is_remote(features):
        return []
    file = labels_beside(features)
    try:
        is_about_images = any(map(DecidedImages(data).has, read_decisions(file)))
        return [file] if is_about_images else []
    except RefusedFileError:
        print_error_line(
            f"{file} was not written by `clipfeat app`, so it is ignored. To use it as a table of "
            "labels, pass it with --labels"
        )
        return []
