"""``clipfeat compare``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import reports_errors
from clipfeat.cli.outputs import check_file


@reports_errors
def compare(
    runs: options.RunFolders,
    metric: options.ComparedMetric = "balanced_accuracy",
    output: options.ComparisonFile = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Compare each benchmark run with the first, image by image.

    Only images that all runs tested are compared. All runs are scored on the same images, so the
    intervals and p-values are for paired differences.

    Example: clipfeat compare run-clip/ run-effnet/
    """
    from rich.markup import escape
    from rich.table import Table

    from clipfeat.cli.console import console
    from clipfeat.evaluate import METRICS
    from clipfeat.evaluate import compare as compare_runs
    from clipfeat.features.classes import positive_title

    names = [str(path) for path in runs]
    check_file(output, overwrite=overwrite)
    comparison = compare_runs(runs, metric)
    title = f"{METRICS[metric].title} on the {comparison.n_files} images that all runs tested"
    title = escape(f"{title}{positive_title(comparison.classes)}")
    table = Table(title=title, title_justify="left")
    for heading in ("classifier", "run"):
        table.add_column(heading, no_wrap=heading == "classifier")
    for heading in ("value", "95 % interval", f"better than {names[0]} by", "95 %, paired", "p"):
        table.add_column(heading, justify="right")
    previous = ""
    for row in comparison.entries:
        if row.entry != previous:
            table.add_section()
        compared = row.run != names[0] and row.better == row.better
        difference = (
            f"{row.better:+.4f}", f"{row.better_low:+.4f} to {row.better_high:+.4f}",
            f"{row.p_value:.3f}",
        )  # fmt: skip
        table.add_row(
            row.entry if row.entry != previous else "", row.run, f"{row.value:.4f}",
            f"{row.low:.4f} to {row.high:.4f}", *(difference if compared else ("", "", "")),
        )  # fmt: skip
        previous = row.entry
    console().print(table)
    if output is not None:
        from clipfeat.system.files import publish

        publish(comparison.to_pandas().to_csv(index=False).encode(), output)
        print(output)
