"""The section of audit findings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clipfeat.auditing.finding import SEVERITIES, Finding
from clipfeat.report.page.section import Notice, Section

if TYPE_CHECKING:
    from clipfeat.auditing.result import Audit

MAX_ROWS = 20
"""Maximum number of images listed per finding."""


def findings_section(audit: "Audit | None") -> Section:
    """List findings by severity, then the other checks. Without an audit, explain how to run it."""
    if audit is None:
        paragraph = (
            "This report contains no audit. Run `clipfeat audit` to check for leaks, duplicates, "
            "label errors and shortcuts such as file size or format. Without an audit, the scores "
            "may not be valid."
        )
        return Section("audit", "Audit", [paragraph])
    ranked = sorted(audit.findings, key=lambda one: _rank(one.severity))
    n = len(audit.findings)
    summary = f"{audit.n_files:,} files, {n or 'no'} finding{'s' * (n != 1)}."
    passed = [f"Passed: {', '.join(audit.passed)}."] if audit.passed else []
    notices = [_notice(one) for one in ranked]
    return Section("audit", "Audit", [summary], [*passed, *audit.not_checked], notices)


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _notice(finding: Finding) -> Notice:
    return Notice(
        finding.severity,
        finding.check,
        finding.sentence,
        ", ".join(f"{name} {value:.4g}" for name, value in finding.numbers.items()),
        [_row_text(row) for row in finding.rows[:MAX_ROWS]],
        max(len(finding.rows) - MAX_ROWS, 0),
    )


def _row_text(row: Mapping[str, str | float]) -> str:
    details = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if name != "path" and value != ""
    ]
    return " · ".join([str(row.get("path", "")), *details])
