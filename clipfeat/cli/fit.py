"""``clipfeat fit``."""

from pathlib import Path

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors
from clipfeat.cli.option_groups import expands
from clipfeat.cli.outputs import check_file
from clipfeat.fits.fit_resources import FitResources
from clipfeat.zoo.fit_options import FitOptions


@reports_errors
@expands("resources", FitResources, options.FIT_RESOURCES)
@expands("fit_options", FitOptions, options.FIT_OPTIONS)
def fit(
    features: options.FeatureFiles = None,
    *,
    layers: options.LayersOfFeatures = None,
    clf: options.ModelClassifiers = "logreg",
    output: options.NewModelFile = Path("model.clipfeat"),
    cv: options.FoldsOrNone = 5,
    split: options.SplitColumn = "split",
    group_col: options.GroupColumn = "",
    group_duplicates: options.GroupDuplicates = False,
    merge_labels: options.MergeLabels = False,
    seed: options.Seed = 0,
    fit_options: FitOptions,
    vote: options.Vote = "uniform",
    vote_weights: options.VoteWeights = "",
    resources: FitResources,
    out_of_core: bool | None = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Fit a classifier or a soft vote and save a model file.

    A soft vote is the average of the probabilities of several classifiers. The printed scores are
    from cross-validation. The saved model is fitted on all images, except the test images of an
    official split (see --split).

    Example: clipfeat fit out.h5 --clf logreg,svm -o model.clipfeat
    """
    from clipfeat.cli.console import print_leaderboard
    from clipfeat.cli.feature_files import open_features
    from clipfeat.cli.parsing import parse_numbers
    from clipfeat.evaluate.fitting import fit as run
    from clipfeat.evaluate.leaderboard import Leaderboard
    from clipfeat.features.classes import positive_title
    from clipfeat.report import model_remarks

    check_file(output, overwrite=overwrite)
    weights = parse_numbers(vote_weights)
    opened = open_features(
        features or [], layers, group_col, group_duplicates=group_duplicates,
        merge_labels=merge_labels, clf=clf, tune=fit_options.tune, out_of_core=out_of_core,
        engine=resources.engine, progress=progress,
    )  # fmt: skip
    with opened as data:
        model = run(
            data, clf, cv=cv, split=None if split == "none" else split, options=fit_options,
            vote=vote, vote_weights=weights, random_state=seed, resources=resources,
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
