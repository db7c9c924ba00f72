"""``clipfeat compare``."""

from clipfeat.cli import options
from clipfeat.cli.exits import reports_errors
from clipfeat.cli.outputs import check_file
from clipfeat.errors import UsageError


@reports_errors
def compare(
    runs: options.RunFolders,
    metric: options.ComparedMetric = "balanced_accuracy",
    output: options.ComparisonFile = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Compare benchmark runs, with paired differences to the first run.

    Example: clipfeat compare run-clip/ run-effnet/
    """
    from rich.table import Table

    from clipfeat.cli.console import console
    from clipfeat.evaluate import METRICS
    from clipfeat.evaluate.comparing import compare as paired
    from clipfeat.report.run_folder import load_run

    names = [str(path) for path in runs]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UsageError(f"expected two or more different runs, got {', '.join(names)}")
    check_file(output, overwrite=overwrite)
    n_files, rows = paired(
        {name: load_run(path) for name, path in zip(names, runs, strict=True)}, metric
    )
    title = f"{METRICS[metric].title} on the {n_files} files that every run tested"
    table = Table(title=title, title_justify="left")
    for heading in ("classifier", "run"):
        table.add_column(heading, no_wrap=heading == "classifier")
    for heading in ("value", "95 % interval", f"better than {names[0]} by", "95 %, paired", "p"):
        table.add_column(heading, justify="right")
    previous = ""
    for row in rows:
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
        import pandas as pd

        from clipfeat.system.files import publish

        publish(pd.DataFrame([vars(row) for row in rows]).to_csv(index=False).encode(), output)
        print(output)
