"""``clipfeat fit``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors
from clipfeat.cli.outputs import check_file


@reports_errors
def fit(
    features: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FEATURES.h5]…",
            help="Feature files; several encoders' become one vote. None: the only one here.",
        ),
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Of features with several layers, only these: 3,6,last.")
    ] = None,
    clf: Annotated[
        str, typer.Option("--clf", help="One classifier, or several that vote: logreg,svm.")
    ] = "logreg",
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file.")] = Path(
        "model.clipfeat"
    ),
    cv: Annotated[int, typer.Option(min=0, help="Folds that score it; 0 for none.")] = 5,
    group_col: Annotated[
        str, typer.Option(help="A column whose equal rows are never parted; none: no groups.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of folds and classifiers.")] = 0,
    balance: Annotated[
        str, typer.Option(help="Count classes alike, by prior, weights or sampling.")
    ] = "none",
    calibrate: Annotated[
        str, typer.Option(help="Calibrate by sigmoid, isotonic or temperature; or none.")
    ] = "none",
    bag: Annotated[int, typer.Option(min=0, help="Average the models of so many folds.")] = 0,
    threshold: Annotated[
        str | None,
        typer.Option(help="Decide by the threshold best for accuracy or balanced_accuracy."),
    ] = None,
    max_fpr: Annotated[
        float | None,
        typer.Option(help="Decide by the threshold at which so few negatives are called positive."),
    ] = None,
    vote: Annotated[
        str, typer.Option(help="How they vote: uniform, greedy, log_loss or stacking.")
    ] = "uniform",
    vote_weights: Annotated[
        str, typer.Option(help="Weights of the vote, one each, in place of --vote: 2,1,1.")
    ] = "",
    tune: Annotated[
        bool, typer.Option("--tune/--no-tune", help="Search each classifier's parameters.")
    ] = False,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds in which --tune must be done, fits and all.")
    ] = None,
    accelerate: Annotated[
        bool,
        typer.Option("--accelerate/--no-accelerate", help="Fit by scikit-learn-intelex or a GPU."),
    ] = True,
    out_of_core: Annotated[
        bool | None,
        typer.Option(
            "--out-of-core/--in-memory",
            help="Read features in blocks; by itself where they take half of the memory.",
        ),
    ] = None,
    num_workers: Annotated[int | None, typer.Option("--num-workers", "-j", min=1)] = None,
    engine: Annotated[
        str, typer.Option(help="local, or ray: on every machine of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Of the cluster: auto, HOST:6379; else RAY_ADDRESS, or this machine."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model file.")] = False,
) -> None:
    """Fit a classifier, or a soft vote of several, and save it.

    Example: clipfeat fit out.h5 --clf logreg,svm -o model.clipfeat
    """
    from clipfeat.cli.console import print_leaderboard, step_bar
    from clipfeat.cli.features import to_fit
    from clipfeat.cli.numbers import numbers
    from clipfeat.evaluate.fitting import fit as run
    from clipfeat.fits.resources import FitResources
    from clipfeat.report import leaderboard, model_remarks
    from clipfeat.zoo.fit_options import FitOptions

    check_file(output, overwrite=overwrite)
    options = FitOptions(
        balance=balance, calibrate=calibrate, bag=bag, tune=tune, threshold=threshold,
        max_fpr=max_fpr, accelerate=accelerate,
    )  # fmt: skip
    resources = FitResources(num_workers, time_limit, engine, address)
    given = numbers(vote_weights)
    held = to_fit(
        features or [], layers, group_col, clf=clf, tune=tune, out_of_core=out_of_core,
        engine=engine,
    )  # fmt: skip
    with held as data, step_bar("fitting") as progress:
        model = run(
            data, clf, cv=cv, options=options, vote=vote, vote_weights=given, random_state=seed,
            resources=resources, progress=progress,
        )  # fmt: skip
    if model.scores:
        title = f"{cv}-fold cross-validation on {model.about['images']} images"
        print_leaderboard(leaderboard(model.scores), title)
    model.save(output, overwrite=overwrite)
    print(f"{output}: {' + '.join(model.members)}, classes {', '.join(model.classes)}")
    for line in model_remarks(model):
        print(line)
    print(f"next: clipfeat predict {output} NEW_IMAGES/ -o predictions.csv")
