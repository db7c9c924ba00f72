"""``clipfeat audit``."""

from typing import TYPE_CHECKING

import typer

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import LEAK, print_line, reports_errors
from clipfeat.cli.option_groups import expands, source_options
from clipfeat.cli.outputs import check_folder

if TYPE_CHECKING:
    from clipfeat.auditing.result import Audit
    from clipfeat.images.source_options import SourceOptions


STYLES = {"leak": "bold red", "warning": "yellow", "note": None}


@reports_errors
@expands("inputs", source_options, options.AUDITED_SOURCE_OPTIONS)
def audit(
    source: options.AuditedSources,
    *,
    images: options.ImagesOfFeatures = None,
    inputs: "SourceOptions",
    num_workers: options.DecodeWorkers = None,
    output: options.AuditFolder = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Find shortcuts, duplicates and wrong labels in a data set.

    A shortcut is a property that predicts the label without the image content, such as the file
    format or the image size. The checks of EXIF data and JPEG compression need the images. The
    checks for near duplicates and wrong labels need a feature file. The exit code is 7 if the audit
    finds a leak: a shortcut that predicts the label well, or identical images in several splits.
    With a leak, the scores of classifiers are meaningless.

    Example: clipfeat audit out.h5 --images images/
    """
    from clipfeat.auditing.checking import audit as run

    check_folder(output, overwrite=overwrite)
    result = run(source, images=images, inputs=inputs, n_jobs=num_workers, progress=progress)
    _print(result)
    if output is not None:
        for path in result.save(output):
            print_line(path)
    if result.has_leak:
        raise typer.Exit(LEAK)


def _print(result: "Audit") -> None:
    from clipfeat.auditing.finding import SEVERITIES
    from clipfeat.cli.console import console
    from clipfeat.system.escaping import terminal_text

    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in result.findings:
        counts[finding.severity] += 1
    summary = ", ".join(f"{n} {severity}{'s' * (n > 1)}" for severity, n in counts.items() if n)
    print_line(f"{result.n_files} files: {summary or 'no findings'}")
    out = console()
    for finding in result.findings:
        line = f"{finding.severity.upper()}: {finding.sentence}"
        out.print(terminal_text(line), style=STYLES[finding.severity], markup=False, soft_wrap=True)
    if result.passed:
        print_line("passed: " + ", ".join(result.passed))
    for line in result.not_checked:
        print_line(line)
