"""The check of unreadable files."""

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject


def check_unreadable(subject: Subject) -> list[Finding]:
    """Report files that could not be read. The other checks ignore them."""
    failures = subject.features.failures
    if not failures:
        return []
    first = failures[0]
    sentence = (
        f"{len(failures)} of {len(failures) + len(subject.features)} files could not be read, such "
        f"as {first.path}: {first.message}"
    )
    rows = [{"path": f.path, "reason": f"{f.reason}: {f.message}"} for f in failures]
    return [Finding("unreadable files", "note", sentence, {"files": float(len(rows))}, rows)]
