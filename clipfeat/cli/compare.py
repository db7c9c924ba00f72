"""``clipfeat compare``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors
from clipfeat.cli.outputs import check_file
from clipfeat.errors import unknown_name


@reports_errors
def compare(
    runs: options.RunFolders,
    metric: options.ComparedMetric = "balanced_accuracy",
    table_format: options.TableFormat = None,
    output: options.ComparisonFile = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Compare each benchmark run with the first, image by image.

    Only the images that every run tested are compared. There must be at least one such image, and
    each must have the same label in all runs. The intervals and p-values are those of paired
    differences, corrected for multiple comparisons of classifiers and runs. The command also lists
    the options that differ between the runs.

    Example: clipfeat compare run-clip/ run-effnet/
    """
    from clipfeat.cli.console import print_table
    from clipfeat.evaluate import compare as compare_runs
    from clipfeat.report.comparison import FORMATS, SUFFIXES, difference_rows, format_comparison
    from clipfeat.system.files import publish

    if table_format is not None and table_format not in FORMATS:
        raise unknown_name("format", table_format, FORMATS)
    check_file(output, overwrite=overwrite)
    comparison = compare_runs(runs, metric, progress=progress)
    text = ""
    if output is not None or table_format is not None:
        by_suffix = "csv" if output is None else SUFFIXES.get(output.suffix, "csv")
        text = format_comparison(comparison, table_format or by_suffix)
    if output is not None:
        publish(text.encode(), output)
    if table_format is not None and output is None:
        print(text, end="")
        return
    previous = ""
    rows = []
    for entry, *cells in comparison.rows:
        rows.append(["" if entry == previous else entry, *cells])
        previous = entry
    print_table(comparison.title, comparison.heads, rows)
    for note in comparison.notes:
        print_line(note)
    head, *options = difference_rows(comparison)
    if options:
        print_table("options that differ", head, options)
    if output is not None:
        print_line(output)
