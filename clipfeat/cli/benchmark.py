"""``clipfeat benchmark``."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import explains_resuming, print_line, reports_errors
from clipfeat.cli.option_groups import expands, fit_resources
from clipfeat.cli.protocol_options import ProtocolOptions
from clipfeat.fits.fit_resources import FitResources
from clipfeat.zoo.fit_options import FitOptions

if TYPE_CHECKING:
    from clipfeat.evaluate import Benchmark, Leaderboard
    from clipfeat.report.page import PageOptions


@reports_errors
@expands("resources", fit_resources, options.BENCHMARK_RESOURCES)
@expands("fit_options", FitOptions, options.FIT_OPTIONS)
@expands("protocol_options", ProtocolOptions, options.PROTOCOL_OPTIONS)
def benchmark(
    features: options.FeatureFiles = None,
    *,
    layers: options.LayersOfFeatures = None,
    clf: options.ComparedClassifiers = "all",
    scores: options.ScoresFiles = None,
    group_col: options.GroupColumn = "",
    group_duplicates: options.GroupDuplicatesOfBenchmark = False,
    merge_labels: options.MergeLabelsOfBenchmark = False,
    labels: options.LabelTables = None,
    protocol_options: ProtocolOptions,
    sort: options.SortMetric = "balanced_accuracy",
    by: options.RateColumnOfBenchmark = None,
    seed: options.Seed = 0,
    fit_options: FitOptions,
    vote: options.Votes = "uniform",
    vote_weights: options.ExtraVoteWeights = "",
    resources: FitResources,
    output: options.RunFolder = None,
    audit: options.AuditPage = True,
    thumbnails: options.Thumbnails = True,
    images: options.ShownImages = None,
    robustness: options.RobustnessRun = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Compare classifiers and their votes on the same folds.

    A vote combines all fitted classifiers except dummy. The default is a soft vote, which is the
    average of their probabilities (see --vote). The default protocol is the official split of the
    images if there is one, otherwise 5-fold cross-validation. Each of --test, --leave-one-out,
    --matrix and --few-shot selects another protocol. Only one of them can be used.

    Example: clipfeat benchmark out.h5 --clf all --cv 5 -o run/
    """
    from clipfeat.auditing.run_images import audit_run, thumbnail_reader
    from clipfeat.cli.feature_files import NO_GROUPS, feature_files, load_features
    from clipfeat.cli.label_tables import apply_label_tables
    from clipfeat.cli.parsing import parse_entries, parse_numbers
    from clipfeat.errors import unknown_name
    from clipfeat.evaluate import METRICS
    from clipfeat.evaluate import benchmark as run
    from clipfeat.evaluate.rates import named_columns
    from clipfeat.features.classes import positive_title
    from clipfeat.report import balance_text, claimed_folder, remarks
    from clipfeat.system.progress import Phase, reporting

    if sort not in METRICS:
        raise unknown_name("metric", sort, METRICS)
    weights = parse_numbers(vote_weights)
    entries = parse_entries(clf, scores or [])
    paths = feature_files(protocol_options.training_files(features))
    files = [paths[0], *(protocol_options.test or [])[:1]]
    shown = thumbnail_reader(files, images or ()) if thumbnails and output is not None else None
    curves = _curves(robustness)
    command = {
        "features": [str(path.resolve()) for path in paths],
        "layers": layers, "clf": clf, "group_col": group_col, "seed": seed, "vote": vote,
        "vote_weights": weights, "time_limit": resources.time_limit,
        **protocol_options.record(),
        **fit_options.resolved(protocol_options.balance).settings(),
    }  # fmt: skip
    newer = {
        "scores": scores, "group_duplicates": group_duplicates, "merge_labels": merge_labels,
        "labels": [str(path.resolve()) for path in labels or ()],
    }  # fmt: skip
    command |= {name: value for name, value in newer.items() if value}
    claim = (
        nullcontext(None)
        if output is None
        else claimed_folder(output, command, overwrite=overwrite)
    )
    with claim as cells:
        test = protocol_options.test
        data, test_data = load_features(
            paths, test, layers, group_col, group_duplicates=group_duplicates,
            merge_labels=merge_labels, progress=progress,
        )  # fmt: skip
        data, merged = apply_label_tables(data, labels, merge_labels=merge_labels)
        protocol = protocol_options.protocol(data, test_data)
        if by is not None:
            named_columns(
                by, {**data.columns, **(test_data.columns if test_data else {})}, data.groups
            )
        hint = "Repeat the same command to resume." if output else "Use -o to be able to resume."
        with explains_resuming(hint):
            result = run(
                data, entries, protocol=protocol, options=fit_options, vote=vote,
                vote_weights=weights, random_state=seed, resources=resources, cache=cells,
                progress=progress,
            )  # fmt: skip
        result = _with_command(result, paths, layers, group_col)
        groups_of_files = "" if group_col == NO_GROUPS else group_col
        written: list[Path] = []
        with reporting(progress) as report:
            report(Phase("ranking"))
            board = result.leaderboard(sort, by)
            new_labels = merged.labels if merged is not None else {}
            checked = (
                audit_run(result, board, files, groups_of_files, new_labels, report)
                if audit
                else None
            )
            # Files are written before the table is printed, because the reader may close the pipe.
            if output is not None:
                page = replace(curves, features=data, audit=checked, thumbnails=shown)
                written = result.save(
                    output, board=board, page=page, overwrite=True, progress=report
                )
        about = result.about
        grouped = (
            f", {about['groups']} groups, each in one fold" if about["grouped"] and not test else ""
        )
        title = f"{about['protocol']} on {about['images']} images{grouped}, {balance_text(about)}"
        _print(board, f"{title}{positive_title(result.classes)}, by {sort}")
        for line in [*remarks(result, board, checked), *map(str, written)]:
            print_line(line)


def _with_command(
    result: "Benchmark", paths: Sequence[Path], layers: str | None, group_col: str
) -> "Benchmark":
    """Add the command line and the options of the input to the record of a run."""
    inputs = {
        "features": [str(path) for path in paths],
        "layers": layers,
        "group_col": group_col,
    }
    recorded = {
        "command": shlex.join(["clipfeat", *sys.argv[1:]]),
        "options": {**inputs, **result.about["options"]},
    }
    return replace(result, about={**result.about, **recorded})


def _print(board: "Leaderboard", title: str) -> None:
    """Print the tables of a leaderboard."""
    from clipfeat.cli.console import print_leaderboard, print_pivot, print_rates

    print_leaderboard(board, title)
    for table in board.pivots:
        print_pivot(table)
    if board.rates is not None and board.entries:
        print_rates(board.rates, board.entries[0])


def _curves(folder: Path | None) -> "PageOptions":
    """Read the parts of the HTML report that ``clipfeat robustness`` wrote into a folder."""
    from clipfeat.prediction.degrading import DEGRADATIONS
    from clipfeat.report.page import PageOptions
    from clipfeat.report.robustness_curves import load_robustness
    from clipfeat.report.robustness_rates import load_rates

    if folder is None:
        return PageOptions()
    return PageOptions(
        robustness=load_robustness(folder),
        degraded_rates=load_rates(folder),
        degradations={name: row.title for name, row in DEGRADATIONS.items()},
    )
