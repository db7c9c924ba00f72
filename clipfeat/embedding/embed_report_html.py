"""HTML of the report of an embedding run for notebooks."""

from typing import TYPE_CHECKING

from clipfeat.notebook import Cell, bar, card, counted

if TYPE_CHECKING:
    from clipfeat.embedding.embed_report import EmbedReport

MAX_LABELS, MAX_FAILURES = 12, 5


def embed_report_html(report: "EmbedReport") -> str:
    """Return a card with the labels, the number of images by outcome, and the failures."""
    counts = report.progress
    most = max(report.labels.values(), default=0) or 1
    rows: list[list[Cell]] = [
        [name or "(no label)", f"{n:,}", bar(n / most)]
        for name, n in list(report.labels.items())[:MAX_LABELS]
    ]
    notes = []
    if len(report.labels) > MAX_LABELS:
        notes.append(f"{len(report.labels) - MAX_LABELS} more labels.")
    parts = [f"{counts.encoded:,} encoded", f"{counts.known:,} known", f"{counts.failed:,} failed"]
    rate = counts.encoded / counts.seconds if counts.seconds else 0.0
    speed = f", {rate:,.1f} images/s" if rate >= 0.1 else ""
    notes.append(f"{', '.join(parts)} in {counts.seconds:.1f} s{speed}.")
    if report.absent:
        notes.append(f"{counted(report.absent, 'row')} without an image in the source.")
    if report.skipped:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in report.skipped.items())
        notes.append(f"Skipped, because they are not images: {kinds}.")
    notes += [f"{one.path}: {one.message}" for one in report.failures[:MAX_FAILURES]]
    if len(report.failures) > MAX_FAILURES:
        notes.append(f"{counted(len(report.failures) - MAX_FAILURES, 'more failure')}.")
    if report.cause:
        notes.append(report.cause)
    return card(
        "EmbedReport",
        f"{counted(report.n_rows, 'row')} by {report.spec.title} in {report.path}",
        heads=["label", "images", ""],
        rows=rows,
        notes=notes,
        next_calls=[f"features = clipfeat.load({str(report.path)!r})"],
    )
