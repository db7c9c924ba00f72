"""``clipfeat compare``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors
from clipfeat.cli.outputs import check_file
from clipfeat.errors import UsageError


@reports_errors
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN…", help="Folders that `clipfeat benchmark -o` wrote."),
    ],
    metric: Annotated[str, typer.Option(help="The metric to compare in.")] = "balanced_accuracy",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A CSV file for the table.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the CSV file.")] = False,
) -> None:
    """Put benchmark runs side by side, with paired differences to the first.

    Example: clipfeat compare run-clip/ run-effnet/
    """
    from rich.table import Table

    from clipfeat.cli.console import console
    from clipfeat.evaluate import METRICS
    from clipfeat.evaluate.comparing import compare as paired
    from clipfeat.report.run_folder import load_run

    names = [str(path) for path in runs]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UsageError(f"two different runs or more can be compared, got {', '.join(names)}")
    check_file(output, overwrite=overwrite)
    n, found = paired(
        {name: load_run(path) for name, path in zip(names, runs, strict=True)}, metric
    )
    title = f"{METRICS[metric].title} of the {n} files that all runs tested, together"
    table = Table(title=title, title_justify="left")
    for heading in ("classifier", "run"):
        table.add_column(heading, no_wrap=heading == "classifier")
    for heading in ("value", "95 % interval", f"better than {names[0]} by", "95 %, paired", "p"):
        table.add_column(heading, justify="right")
    before = ""
    for one in found:
        if one.entry != before:
            table.add_section()
        against = one.run != names[0] and one.better == one.better
        difference = (
            f"{one.better:+.4f}", f"{one.better_low:+.4f} to {one.better_high:+.4f}",
            f"{one.p_value:.3f}",
        )  # fmt: skip
        table.add_row(
            one.entry if one.entry != before else "", one.run, f"{one.value:.4f}",
            f"{one.low:.4f} to {one.high:.4f}", *(difference if against else ("", "", "")),
        )  # fmt: skip
        before = one.entry
    console().print(table)
    if output is not None:
        import pandas as pd

        from clipfeat.system.files import publish

        publish(pd.DataFrame([vars(one) for one in found]).to_csv(index=False).encode(), output)
        print(output)
