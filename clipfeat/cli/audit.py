"""``clipfeat audit``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipfeat.cli.exits import LEAK, reports_errors
from clipfeat.cli.outputs import check_folder

if TYPE_CHECKING:
    from clipfeat.auditing.run import Audit


STYLES = {"leak": "bold red", "warning": "yellow", "note": None}


@reports_errors
def audit(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE|FEATURES.h5…",
            help="Images, as for `clipfeat embed`, or feature files; of several each is a split.",
        ),
    ],
    images: Annotated[
        list[str] | None,
        typer.Option(help="The images of the feature files, for what only their headers tell."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A table of the images' labels.")] = None,
    path_col: Annotated[str, typer.Option(help="The table's column of paths.")] = "",
    label_col: Annotated[str, typer.Option(help="The table's column of labels.")] = "",
    group_col: Annotated[str, typer.Option(help="A column whose equal rows belong together.")] = "",
    num_workers: Annotated[int | None, typer.Option("--num-workers", "-j", min=1)] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for findings.csv, files.csv, audit.json."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder in use.")
    ] = False,
) -> None:
    """Find what a lazy classifier would learn: file formats and sizes, copies, wrong labels.

    Images are looked at by their headers and bytes; near duplicates and mislabelled candidates take
    a feature file. The exit code is 7 if something found makes scores worthless.

    Example: clipfeat audit out.h5 --images images/
    """
    from clipfeat.auditing.run import audit as run
    from clipfeat.cli.console import image_bar
    from clipfeat.embedding.run import Progress
    from clipfeat.images.manifest import TableColumns

    check_folder(output, overwrite=overwrite)
    with image_bar("reading headers") as bar:
        found = run(
            source,
            images=images,
            labels=labels,
            columns=TableColumns(path_col, label_col, group_col),
            n_jobs=num_workers,
            progress=lambda done, total: bar(Progress(total, done, 0, 0, 0.0)),
        )
    _print(found)
    if output is not None:
        for path in found.save(output):
            print(path)
    if found.has_leak:
        raise typer.Exit(LEAK)


def _print(found: "Audit") -> None:
    from clipfeat.auditing.finding import SEVERITIES
    from clipfeat.cli.console import console

    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in found.findings:
        counts[finding.severity] += 1
    said = ", ".join(f"{n} {severity}{'s' * (n > 1)}" for severity, n in counts.items() if n)
    print(f"{found.n_files} files: {said or 'nothing found'}")
    out = console()
    for finding in found.findings:
        line = f"{finding.severity.upper()}: {finding.sentence}"
        out.print(line, style=STYLES[finding.severity], markup=False, soft_wrap=True)
    if found.passed:
        print("found nothing: " + ", ".join(found.passed))
    reasons: dict[str, list[str]] = {}
    for name, why in found.skipped.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        print(f"not checked: {', '.join(names)} ({why})")
