"""``clipfeat robustness``."""

from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import exit_on_failures, print_error_line, print_line, reports_errors
from clipfeat.cli.option_groups import expands, source_options
from clipfeat.cli.outputs import check_folder
from clipfeat.embedding.embed_resources import EmbedResources

if TYPE_CHECKING:
    from clipfeat.evaluate.rates import RateTable
    from clipfeat.images.source_options import SourceOptions
    from clipfeat.prediction.degrading import Robustness


@reports_errors
@expands("resources", EmbedResources, options.LOCAL_EMBED_RESOURCES)
@expands("inputs", source_options, options.SOURCE_OPTIONS_OF_ROBUSTNESS)
def robustness(
    model: options.ModelFile,
    source: options.LabelledSources,
    *,
    degrade: options.Degradations = "all",
    by: options.RateColumn = None,
    output: options.RobustnessFolder = None,
    weights: options.WeightsFiles = None,
    face_weights: options.FaceWeightsOfModel = None,
    inputs: "SourceOptions",
    resources: EmbedResources,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    max_bad: options.MaxBad = None,
    progress: options.ShowProgress = True,
) -> None:
    """Score a model on degraded images.

    The degradations are compression, blur, resizing, cropping, noise and a combination of
    these. Each has several strengths. Each image is encoded once per degradation and strength. The
    first table shows the scores for each degradation and strength. If the images have several
    generators or sources, a second table shows the false positive rate or recall of each.

    Example: clipfeat robustness model.clipfeat test/ -o robustness/
    """
    from clipfeat.cli.console import counted
    from clipfeat.prediction.degraded_rates import check_rate_column
    from clipfeat.prediction.degrading import DEGRADATIONS, check_degradations
    from clipfeat.prediction.degrading import robustness as run
    from clipfeat.prediction.predicting import as_model, open_images
    from clipfeat.report.robustness_curves import save_robustness
    from clipfeat.report.robustness_rates import save_rates

    check_folder(output, overwrite=overwrite)
    names = [name.strip() for name in degrade.split(",") if name.strip()]
    degradations = list(DEGRADATIONS) if names == ["all"] else names
    check_degradations(degradations)
    fitted = as_model(model)
    images = open_images(fitted, source, inputs)
    check_rate_column(images, by)
    result = run(
        fitted,
        images,
        degradations=degradations,
        weights=weights or [],
        face_weights=face_weights,
        inputs=inputs,
        device=device,
        resources=resources,
        progress=progress,
    )
    _print(result)
    if output is not None:
        titles = {name: row.title for name, row in DEGRADATIONS.items()}
        for path in save_robustness(result.to_pandas(), output, titles):
            print_line(path)
    rates = result.rates(by)
    if rates is not None:
        _print_rates(rates)
    if output is not None:
        for path in save_rates(rates, output):
            print_line(path)
    if result.errors:
        name, reason = next(iter(result.errors.items()))
        print_error_line(
            f"{counted(len(result.errors), 'file')} could not be read or degraded, for example "
            f"{name}: {reason}"
        )
    if n_training := next(iter(result.predictions.values())).n_training:
        print_error_line(f"not scored: {counted(n_training, 'training image')} of the model")
    exit_on_failures(len(result.errors), max_bad)


def _print_rates(rates: "RateTable") -> None:
    """Print the rates on the original images, and on the most degraded images of each kind."""
    from clipfeat.cli.console import print_rates, print_table
    from clipfeat.prediction.degrading import ORIGINAL
    from clipfeat.report.robustness_rates import strongest_rates

    print_rates(rates, ORIGINAL)
    heads, rows = strongest_rates(rates)
    print_table("rates at the strongest degradation of each kind", heads, rows)


def _print(result: "Robustness") -> None:
    """Print a table with one row per degradation and strength, and one column per metric."""
    from rich.table import Table

    from clipfeat.cli.console import console, of_all, visible_columns
    from clipfeat.evaluate import METRICS
    from clipfeat.features.classes import positive_title
    from clipfeat.prediction.degrading import ORIGINAL
    from clipfeat.system.escaping import rich_text

    out = console()
    metrics = visible_columns(METRICS, out.width)
    n_scored = of_all(result.rows[0].n, result.n_images)
    title = rich_text(f"scored on {n_scored} images{positive_title(result.classes)}")
    table = Table(title=title, title_justify="left")
    table.add_column("degradation", no_wrap=True)
    for heading in ("strength", *(METRICS[name].title for name in metrics)):
        table.add_column(heading, justify="right", no_wrap=True)
    scores: dict[tuple[str, str], dict[str, float]] = {}
    for row in result.rows:
        scores.setdefault((row.degradation, f"{row.strength:g}"), {})[row.metric] = row.value
    previous = ""
    for (name, strength), values in scores.items():
        if name != previous:
            table.add_section()
        cells = (f"{values[metric]:.3f}" for metric in metrics)
        table.add_row(
            name if name != previous else "", "" if name == ORIGINAL else strength, *cells
        )
        previous = name
    out.print(table)
