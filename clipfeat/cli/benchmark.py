"""``clipfeat benchmark``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors, say
from clipfeat.errors import OutputExistsError


@reports_errors
def benchmark(
    features: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FEATURES.h5]…",
            help="Feature files; several encoders' are joined by image. None: the only one here.",
        ),
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Of features with several layers, only these: 3,6,last.")
    ] = None,
    clf: Annotated[
        str, typer.Option("--clf", help="Names, triplet+NAME; all (the usual) or every.")
    ] = "all",
    cv: Annotated[int, typer.Option(min=2, help="Folds.")] = 5,
    group_col: Annotated[
        str, typer.Option(help="A column whose equal rows are never parted; none: no groups.")
    ] = "",
    leave_out: Annotated[
        str | None, typer.Option(help="Hold out each value of this column in turn: generator.")
    ] = None,
    sort: Annotated[
        str, typer.Option(help="The metric that orders the table.")
    ] = "balanced_accuracy",
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
        str,
        typer.Option(help="How they vote: uniform, greedy, log_loss, stacking; or all."),
    ] = "uniform",
    vote_weights: Annotated[
        str, typer.Option(help="Weights of the vote, one each, as one more vote: 2,1,1.")
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
    num_workers: Annotated[int | None, typer.Option("--num-workers", "-j", min=1)] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for tables and out-of-fold probabilities."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder in use.")
    ] = False,
) -> None:
    """Compare classifiers, and their soft vote, on the same folds.

    Example: clipfeat benchmark out.h5 --clf all --cv 5 -o run/
    """
    from clipfeat.cli.console import print_leaderboard, step_bar
    from clipfeat.cli.features import asked_for
    from clipfeat.cli.numbers import numbers
    from clipfeat.errors import unknown_name
    from clipfeat.evaluate import METRICS
    from clipfeat.evaluate import benchmark as run
    from clipfeat.report import leaderboard, remarks, save_run

    if sort not in METRICS:
        raise unknown_name("metric", sort, METRICS)
    if output is not None and output.is_file():
        raise OutputExistsError(f"{output} is a file: -o takes a folder")
    if output is not None and output.exists() and not overwrite and any(output.iterdir()):
        raise OutputExistsError(f"{output} is not empty: give another -o, or --overwrite")
    given = numbers(vote_weights)
    data = asked_for(features or [], layers, group_col)
    with step_bar("benchmark") as progress:
        found = run(
            data, clf, cv=cv, leave_out=leave_out, seed=seed,
            balance=balance != "none" and balance, accelerate=accelerate,
            calibrate=calibrate, bag=bag, threshold=threshold, max_fpr=max_fpr,
            vote=vote,
            vote_weights=given, tune=tune, time_limit=time_limit,
            n_jobs=num_workers, progress=progress,
        )  # fmt: skip
    board = leaderboard(found.rows, sort)
    about = found.about
    grouped = f", {about['groups']} groups kept whole" if about["grouped"] else ""
    print_leaderboard(board, f"{about['protocol']} on {about['images']} images{grouped}, by {sort}")
    for line in remarks(found, sort):
        print(line)
    for entry, why in found.errors.items():
        say(f"{entry} failed: {why}")
    if output is not None:
        for path in save_run(found, board, output):
            print(path)
