"""``clipfeat benchmark``."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors, say
from clipfeat.cli.outputs import check_folder
from clipfeat.errors import OutputExistsError

ASKED = "asked.json"


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
    train: Annotated[
        list[Path] | None, typer.Option(help="With --test: what is trained on, as FEATURES.h5.")
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option(help="Test on these instead; one file for each encoder.")
    ] = None,
    leave_one_out: Annotated[
        str | None, typer.Option(help="Hold out each value of this column in turn: generator.")
    ] = None,
    matrix: Annotated[
        str | None, typer.Option(help="Train on each value of this column, test on each.")
    ] = None,
    few_shot: Annotated[
        str, typer.Option(help="Train on so many images of each class: 10,100,1000.")
    ] = "",
    repeats: Annotated[
        int | None, typer.Option(min=1, help="How often, each with its own seed; few-shot: 5.")
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
        float | None, typer.Option(help="Seconds for each classifier; a longer one is stopped.")
    ] = None,
    accelerate: Annotated[
        bool,
        typer.Option("--accelerate/--no-accelerate", help="Fit by scikit-learn-intelex or a GPU."),
    ] = True,
    num_workers: Annotated[int | None, typer.Option("--num-workers", "-j", min=1)] = None,
    engine: Annotated[
        str, typer.Option(help="local, or ray: on every machine of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Of the cluster: auto, HOST:6379; else RAY_ADDRESS, or this machine."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for the run; the same command resumes it."),
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Begin the page of -o with an audit.")
    ] = True,
    thumbnails: Annotated[
        bool,
        typer.Option("--thumbnails/--no-thumbnails", help="Show images in the page of -o."),
    ] = True,
    robustness: Annotated[
        Path | None, typer.Option(help="A folder of `clipfeat robustness -o`, for the page.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder in use.")
    ] = False,
) -> None:
    """Compare classifiers, and their soft vote, on the same folds.

    Example: clipfeat benchmark out.h5 --clf all --cv 5 -o run/
    """
    from clipfeat.cli.console import print_leaderboard, print_pivot, step_bar
    from clipfeat.cli.features import asked_for, chosen
    from clipfeat.cli.numbers import numbers
    from clipfeat.cli.page import read_robustness, write_report
    from clipfeat.errors import UsageError, unknown_name
    from clipfeat.evaluate import METRICS
    from clipfeat.evaluate import benchmark as run
    from clipfeat.evaluate.resampling import resampled
    from clipfeat.evaluate.standings import standings
    from clipfeat.report import leaderboard, remarks, save_run
    from clipfeat.report.pivot import pivots
    from clipfeat.report.run_folder import CELLS

    if sort not in METRICS:
        raise unknown_name("metric", sort, METRICS)
    if bool(train) and (bool(features) or not test):
        raise UsageError("--train names what FEATURES.h5 would, for use with --test")
    given, sizes = numbers(vote_weights), numbers(few_shot) or []
    if any(size != int(size) for size in sizes):
        raise UsageError(f"numbers of images are whole, got --few-shot {few_shot}")
    paths = chosen(train or features or [])
    curves = read_robustness(robustness)
    if output is not None:
        asked = {
            "features": [str(path.resolve()) for path in paths],
            "test": [str(path.resolve()) for path in test or []],
            "layers": layers, "clf": clf, "cv": cv, "group_col": group_col,
            "leave_one_out": leave_one_out, "matrix": matrix, "few_shot": sizes,
            "repeats": repeats, "seed": seed, "balance": balance, "calibrate": calibrate,
            "bag": bag, "threshold": threshold, "max_fpr": max_fpr, "vote": vote,
            "vote_weights": given, "tune": tune, "time_limit": time_limit,
            "accelerate": accelerate,
        }  # fmt: skip
        claim(output, asked, overwrite)
    data = asked_for(paths, layers, group_col)
    with step_bar("benchmark") as progress:
        found = run(
            data, clf, cv=cv, leave_one_out=leave_one_out, matrix=matrix,
            few_shot=[int(size) for size in sizes],
            test=asked_for(test, layers, group_col) if test else None,
            repeats=repeats, seed=seed,
            balance=balance, accelerate=accelerate,
            calibrate=calibrate, bag=bag, threshold=threshold, max_fpr=max_fpr,
            vote=vote,
            vote_weights=given, tune=tune, time_limit=time_limit,
            keep=None if output is None else output / CELLS, n_jobs=num_workers,
            engine=engine, address=address, progress=progress,
        )  # fmt: skip
    found = replace(
        found, about={**found.about, "command": shlex.join(["clipfeat", *sys.argv[1:]])}
    )
    drawn = resampled(found, found.complete, sort)
    board = leaderboard(found.rows, sort, standings(found, sort, drawn))
    tables = pivots(found.rows, sort, board.entries, found.about["column"])
    said = remarks(found, sort, drawn)
    # Kept before it is shown: whoever reads the table may close the pipe.
    written: list[Path] = []
    if output is not None:
        written = save_run(found, board, output, said, tables)
        written += write_report(
            found, board, output, features=data, files=[paths[0], *(test or [])[:1]], remarks=said,
            audit=audit, robustness=curves, pictures=thumbnails,
        )[:1]  # fmt: skip
    about = found.about
    grouped = f", {about['groups']} groups kept whole" if about["grouped"] and not test else ""
    print_leaderboard(board, f"{about['protocol']} on {about['images']} images{grouped}, by {sort}")
    for table in tables:
        print_pivot(table)
    for line in said:
        print(line)
    for entry, why in found.errors.items():
        say(f"{entry} failed: {why}")
    for path in written:
        print(path)


def claim(folder: Path, asked: Mapping[str, object], overwrite: bool) -> None:
    """Take a folder for a run: an empty one, or one that the same command began or finished.

    Raises
    ------
    OutputExistsError
        If it holds anything else, and is not to be overwritten.
    """
    from clipfeat.system.files import publish

    check_folder(folder, overwrite=True)
    told = folder / ASKED
    text = json.dumps(asked, indent=1, sort_keys=True)
    # A command that failed before its first cell has left nothing but what it was.
    in_use = folder.exists() and any(path != told for path in folder.iterdir())
    if in_use and not overwrite and not (told.is_file() and told.read_text() == text):
        raise OutputExistsError(
            f"{folder} is not empty, and not what this very command began: give another -o, or "
            "--overwrite"
        )
    folder.mkdir(parents=True, exist_ok=True)
    publish(text.encode(), told)
