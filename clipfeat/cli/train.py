"""``clipfeat train``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import explains_resuming, print_error_line, print_line, reports_errors
from clipfeat.cli.option_groups import expands, source_options
from clipfeat.errors import UsageError
from clipfeat.training.recipe import DEFAULT_RECIPE

if TYPE_CHECKING:
    from clipfeat.images.source_options import SourceOptions
    from clipfeat.prediction.predictions import Predictions
    from clipfeat.prediction.submission import Template
    from clipfeat.training.result import Training


@reports_errors
@expands("inputs", source_options, options.SOURCE_OPTIONS_OF_TRAINING)
def train(
    source: options.Sources,
    *,
    recipe: options.RecipeName = DEFAULT_RECIPE,
    encoder: options.EncodersOfRecipe = "",
    image_size: options.SizesOfRecipe = "",
    weights: options.WeightsOfRecipe = None,
    layers: options.LayersOfRecipe = None,
    abstain: options.AbstainOfTraining = None,
    inputs: "SourceOptions",
    test: options.TestImages = None,
    seed: options.Seed = 0,
    output: options.TrainingFolder,
    template: options.TemplateOfTraining = None,
    fill: options.FillOfTraining = "auto",
    overwrite: options.Overwrite = False,
    time_limit: options.TimeLimitOfTraining = "",
    device: options.Device = "auto",
    progress: options.ShowProgress = True,
) -> None:
    """Train a model on images with a recipe.

    A recipe is a complete set of choices, such as the encoders, the classifiers and the votes. The
    command writes the features, compares the classifiers and their votes by cross-validation on the
    training images, and audits the images. The classifier or vote with the best balanced accuracy
    is fitted on all training images. The images of --test are predicted at the end, scored if they
    have labels, and do not influence the model. The default recipe needs no download.

    Example: clipfeat train images/ -o run/ --test new/
    """
    from clipfeat.cli.console import print_overview
    from clipfeat.cli.parsing import parse_counts, parse_seconds
    from clipfeat.images.overview import overview_of
    from clipfeat.images.source_options import open_inputs
    from clipfeat.prediction.submission import Template
    from clipfeat.training.recipe import find_recipe
    from clipfeat.training.result import SUBMISSION
    from clipfeat.training.train import official_test_records
    from clipfeat.training.train import train as run

    limit = parse_seconds(time_limit) if time_limit else None
    names = [name.strip() for name in encoder.split(",") if name.strip()]
    sizes = parse_counts(image_size, "--image-size")
    row = replace(find_recipe(recipe).using(names, sizes, weights or [], layers), abstain=abstain)
    images = open_inputs(source, inputs)
    if template is not None and test is None and not official_test_records(images):
        raise UsageError("--template needs the images to predict. Add --test IMAGES/")
    submission = None if template is None else Template(template, fill)
    print_overview(overview_of(images))
    command = "command without --overwrite" if overwrite else "same command"
    hint = f"Finished work is kept in {output}. Repeat the {command} to resume."
    with explains_resuming(hint):
        training = run(
            images, output, row, inputs=inputs, test=test, time_limit=limit, device=device,
            random_state=seed, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    _print(training)
    if submission is not None and training.test is not None:
        _fill(training.test, submission, output / SUBMISSION)


def _print(training: "Training") -> None:
    from clipfeat.cli.console import print_facts, print_leaderboard, print_list, print_rates
    from clipfeat.evaluate.metrics import METRICS
    from clipfeat.features.classes import positive_title
    from clipfeat.training.summary import files, findings, next_steps, results

    about, board = training.benchmark.about, training.board
    title = f"{about['protocol']} on {about['images']} training images"
    title += positive_title(training.benchmark.classes)
    print_leaderboard(board, f"{title}, by {METRICS[board.metric].title}")
    if board.rates is not None:
        print_rates(board.rates, training.entry)
    for heading, lines in (
        ("findings:", findings(training)),
        ("results:", results(training)),
        ("next:", next_steps(training)),
    ):
        print_line(heading)
        print_list(lines, limit=len(lines))
    print_line("files:")
    print_facts({f"  {name}": path for name, path in files(training).items()})


def _fill(predictions: "Predictions", template: "Template", path: Path) -> None:
    """Write the submission."""
    from clipfeat.prediction.submission import fill_template
    from clipfeat.system.files import publish

    filled = fill_template(predictions, template)
    publish(filled.table.to_csv(index=False).encode(), path)
    n_filled = len(filled.table) - len(filled.missing)
    print_line(f"{path}: filled {n_filled} of {len(filled.table)} rows, {filled.summary}")
    if filled.missing:
        print_error_line(
            f"{len(filled.missing)} ids have no prediction, for example {filled.missing[0]}. These "
            "rows keep the template's values."
        )
