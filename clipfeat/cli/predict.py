"""``clipfeat predict``."""

import sys
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import exit_on_failures, print_error_line, print_line, reports_errors
from clipfeat.cli.option_groups import expands, source_options
from clipfeat.cli.outputs import check_file
from clipfeat.embedding.embed_resources import EmbedResources

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.images.source_options import SourceOptions
    from clipfeat.prediction.predictions import Predictions
    from clipfeat.prediction.submission import Template


@reports_errors
@expands("resources", EmbedResources, options.LOCAL_EMBED_RESOURCES)
@expands("inputs", source_options, options.SOURCE_OPTIONS_OF_MODEL)
def predict(
    model: options.ModelFile,
    source: options.SourcesOrFeatures,
    *,
    output: options.PredictionsFile = None,
    template: options.Template = None,
    fill: options.Fill = "auto",
    positive: options.PositiveOfPredictions = None,
    weights: options.WeightsFiles = None,
    face_weights: options.FaceWeightsOfModel = None,
    inputs: "SourceOptions",
    tta: options.TestTimeViews = None,
    average: options.Average = "mean",
    per_part: options.PerPart = False,
    abstain: options.AbstainOfModel = None,
    resources: EmbedResources,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    max_bad: options.MaxBad = None,
    progress: options.ShowProgress = True,
) -> None:
    """Predict the classes of images.

    The table has one row per image or video, with the path, the predicted class and the class
    probabilities. For an unreadable file, the row contains the error instead. If the true labels
    are known, the scores are printed. A model that was fitted with --abstain also marks unsure
    images.

    Example: clipfeat predict model.clipfeat new/ -o predictions.csv
    """
    from clipfeat.cli.console import counted
    from clipfeat.features.classes import positive_last
    from clipfeat.features.label_text import count_texts
    from clipfeat.images.skipping import skipped_text
    from clipfeat.model import load_model
    from clipfeat.prediction.predicting import predict as run
    from clipfeat.prediction.submission import Template
    from clipfeat.system.escaping import spreadsheet_csv
    from clipfeat.system.files import publish

    # Invalid options must be errors before the images are encoded, which may take hours.
    check_file(output, overwrite=overwrite)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
    submission = None if template is None else Template(template, fill)
    fitted = load_model(model)
    if abstain is not None:
        fitted = fitted.abstaining(abstain)
    if positive is not None:
        positive_last(fitted.classes, positive)
    predictions = run(
        fitted,
        source,
        weights=weights or [],
        face_weights=face_weights,
        inputs=replace(inputs, views=tta),
        average=average,
        per_part=per_part,
        device=device,
        resources=resources,
        progress=progress,
    )
    if positive is not None:
        predictions = _with_positive(predictions, positive)
    if submission is None:
        table = predictions.to_pandas()
    else:
        table = _filled_template(predictions, submission)
    # Submissions and piped tables must not change. People may open the others in a spreadsheet.
    is_read = submission is None and (output is not None or sys.stdout.isatty())
    text = spreadsheet_csv(table) if is_read else table.to_csv(index=False)
    if output is None:
        sys.stdout.write(text)
    else:
        publish(text.encode(), output)
        counts = {name: predictions.predicted.count(name) for name in predictions.classes}
        print_line(
            f"{output}: {counted(len(table), 'row')}, predicted {', '.join(count_texts(counts))}"
        )
    print_unsure(predictions)
    if predictions.skipped:
        print_error_line(skipped_text(predictions.skipped))
    if predictions.errors:
        path, reason = next(iter(predictions.errors.items()))
        print_error_line(
            f"{counted(len(predictions.errors), 'file')} could not be read in full, for example "
            f"{path}: {reason}"
        )
    print_scores(predictions)
    exit_on_failures(len(predictions.errors), max_bad)


def _with_positive(predictions: "Predictions", positive: str) -> "Predictions":
    """Set the positive class, and print that this does not change the predicted classes."""
    if predictions.threshold is not None and positive != predictions.positive:
        print_error_line(
            f"--positive {positive} changes the metrics, but not the predicted classes. The "
            f"threshold of the model stays: it predicts {predictions.positive} if p_"
            f"{predictions.positive} is above {predictions.threshold:.4f}"
        )
    return predictions.with_positive(positive)


def print_unsure(predictions: "Predictions") -> None:
    """Print the number of unsure images, and how often a prediction set lacks the true class."""
    from clipfeat.cli.console import counted

    abstention = predictions.abstention
    if abstention is None:
        return
    n_unsure, n = int(predictions.unsure.sum()), len(predictions.paths)
    print_error_line(f"unsure: {n_unsure} of {counted(n, 'image')}, level {abstention.level:g}")
    if missed := predictions.missed:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in missed.items())
        print_error_line(f"images whose prediction set lacks their true class: {shares}")


def print_scores(predictions: "Predictions") -> None:
    """Print the scores on the labelled images, and the labels that match no class."""
    from clipfeat.cli.console import counted, of_all
    from clipfeat.prediction.label_match import is_respelled, list_unmatched

    classes, unmatched = predictions.classes, predictions.unmatched
    if scores := predictions.scores():
        number = of_all(predictions.n_scored, len(predictions.paths))
        positive = predictions.positive
        about = "" if positive is None else f", positive class {positive}"
        values = ", ".join(
            f"{name} {'–' if isnan(value) else f'{value:.4f}'}" for name, value in scores.items()
        )
        print_error_line(f"scored on {number} images{about}: {values}")
    if predictions.n_training and scores:
        print_error_line(
            f"not scored: {counted(predictions.n_training, 'training image')} of the model"
        )
    elif predictions.n_training:
        print_error_line(
            f"not scored: all labelled images ({predictions.n_training}) are training images of "
            "the model. Predict other images to score it"
        )
    # If no label resembles a class, the labels are names of folders, such as "new", not classes.
    if unmatched and (scores or any(is_respelled(label, classes) for label in unmatched)):
        print_error_line(
            f"not scored: {unmatched.total()} images with labels that match no class of the model "
            f"({', '.join(classes)}): {list_unmatched(unmatched, classes)}"
        )


def _filled_template(predictions: "Predictions", template: "Template") -> "pd.DataFrame":
    """Fill in the template and print how many rows were filled and how many were not."""
    from clipfeat.prediction.submission import fill_template

    filled = fill_template(predictions, template)
    n_filled = len(filled.table) - len(filled.missing)
    print_error_line(
        f"filled {n_filled} of {len(filled.table)} rows of {template.path}, {filled.summary}"
    )
    if filled.missing:
        print_error_line(
            f"{len(filled.missing)} of {len(filled.table)} ids in {template.path} have no "
            f"prediction, for example {filled.missing[0]}. These rows keep the template's values."
        )
    return filled.table
