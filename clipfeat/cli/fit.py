"""``clipfeat fit``."""

from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors
from clipfeat.cli.option_groups import expands, fit_resources
from clipfeat.cli.outputs import check_file
from clipfeat.fits.fit_resources import FitResources
from clipfeat.zoo.fit_options import FitOptions

if TYPE_CHECKING:
    from clipfeat.features import FeatureSet
    from clipfeat.store.streaming import StreamedFeatures


@reports_errors
@expands("resources", fit_resources, options.FIT_RESOURCES)
@expands("fit_options", FitOptions, options.FIT_OPTIONS_OF_MODEL)
def fit(
    features: options.FeatureFiles = None,
    *,
    layers: options.LayersOfFeatures = None,
    clf: options.ModelClassifiers = "logreg",
    prompts: options.PromptsFile = None,
    weights: options.WeightsOfZeroShot = None,
    output: options.NewModelFile = Path("model.clipfeat"),
    cv: options.FoldsOrNone = 5,
    split: options.SplitColumn = "split",
    group_col: options.GroupColumn = "",
    group_duplicates: options.GroupDuplicates = False,
    merge_labels: options.MergeLabels = False,
    labels: options.LabelTables = None,
    seed: options.Seed = 0,
    fit_options: FitOptions,
    vote: options.Vote = "uniform",
    vote_weights: options.VoteWeights = "",
    resources: FitResources,
    out_of_core: bool | None = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Fit a classifier or a vote and save a model file.

    A vote combines several classifiers. The default is a soft vote, which is the average of their
    probabilities (see --vote). The printed scores are from cross-validation (see --cv). The saved
    model is fitted on all images, except the test images of an official split. The classifier
    zeroshot is not fitted. It needs descriptions of the classes (see --prompts) and an open_clip
    encoder, and is scored on all labelled images.

    Example: clipfeat fit out.h5 --clf logreg,svm -o model.clipfeat
    """
    from clipfeat.cli.console import print_leaderboard
    from clipfeat.cli.feature_files import open_features
    from clipfeat.cli.label_tables import apply_label_tables
    from clipfeat.cli.parsing import parse_numbers
    from clipfeat.evaluate.fitting import fit as run
    from clipfeat.evaluate.leaderboard import Leaderboard
    from clipfeat.features.classes import positive_title
    from clipfeat.report import model_remarks

    check_file(output, overwrite=overwrite)
    shares = parse_numbers(vote_weights)
    _check_prompts(clf, prompts, weights, fit_options)
    if prompts is not None:
        clf = "dummy"  # nothing is fitted
    if prompts is not None or labels:
        out_of_core = out_of_core or False
    opened = open_features(
        features or [], layers, group_col, group_duplicates=group_duplicates,
        merge_labels=merge_labels, clf=clf, tune=fit_options.tune, out_of_core=out_of_core,
        engine=resources.engine, progress=progress,
    )  # fmt: skip
    if prompts is not None:
        with opened as stored:
            data, _ = apply_label_tables(stored, labels, merge_labels=merge_labels)
            _zero_shot(data, prompts, weights, output, fit_options.positive)
        return
    with opened as stored:
        data, _ = apply_label_tables(stored, labels, merge_labels=merge_labels)
        model = run(
            data, clf, cv=cv, split=None if split == "none" else split, options=fit_options,
            vote=vote, vote_weights=shares, random_state=seed, resources=resources,
            progress=progress,
        )  # fmt: skip
    left_out = model.about.get("test_images_left_out", 0)
    positive = positive_title(model.classes)
    if model.scores:
        title = f"{cv}-fold cross-validation on {model.about['images']} images"
        if left_out:
            title += f", {left_out} test images left out"
        print_leaderboard(Leaderboard.from_rows(model.scores), f"{title}{positive}")
    model.save(output, overwrite=overwrite)
    print_line(
        f"{output}: {' + '.join(model.members)}, classes {', '.join(model.classes)}{positive}"
    )
    if left_out:
        print_line(
            f"{left_out} test images of column {split} are left out. Use --split none to use them"
        )
    for line in model_remarks(model):
        print_line(line)
    print_line(f"next: clipfeat predict {output} NEW_IMAGES/ -o predictions.csv")


def _check_prompts(
    clf: str, prompts: Path | None, weights: Path | None, fit_options: FitOptions
) -> None:
    """Check the options of zero-shot classification, which is not fitted."""
    from clipfeat.errors import UsageError

    if (clf.strip() == "zeroshot") != (prompts is not None):
        raise UsageError("--clf zeroshot and --prompts need each other. Pass both or neither")
    if weights is not None and prompts is None:
        raise UsageError("--weights is for --clf zeroshot only. Leave it out")
    if prompts is not None and fit_options != FitOptions(positive=fit_options.positive):
        raise UsageError(
            "zeroshot is not fitted, so the only option of classifiers that it accepts is "
            "--positive. Leave out the others"
        )


def _zero_shot(
    data: "FeatureSet | StreamedFeatures",
    prompts: Path,
    weights: Path | None,
    output: Path,
    positive: str | None,
) -> None:
    """Save a zero-shot model, and score it on the labelled images."""
    from clipfeat.cli.predict import print_scores
    from clipfeat.errors import UsageError
    from clipfeat.features import FeatureSet
    from clipfeat.prediction.predictions import predictions_of
    from clipfeat.prediction.zero_shot import zero_shot

    if not isinstance(data, FeatureSet):
        raise UsageError("zeroshot needs features in memory. Leave out --out-of-core")
    model = zero_shot(data, prompts, weights=weights, positive=positive)
    model.save(output, overwrite=True)
    print_line(f"{output}: zeroshot, classes {', '.join(model.classes)}")
    print_scores(predictions_of(model, data, "mean"))
    print_line(f"next: clipfeat predict {output} NEW_IMAGES/ -o predictions.csv")
