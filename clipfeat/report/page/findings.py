"""What an audit found, the worst first."""

from collections.abc import Mapping, Sequence

from clipfeat.auditing.finding import SEVERITIES, Finding
from clipfeat.report.page.section import Notice, Section

ROWS = 20
"""Of a finding, that are listed."""


def findings_section(findings: Sequence[Finding]) -> Section:
    """Findings by severity; without any, how to get them."""
    if not findings:
        says = (
            "No audit is part of this report. `clipfeat audit` looks for leaks, duplicates, wrong "
            "labels and shortcuts such as file size or format: scores mean little before it is run."
        )
        return Section("audit", "Audit", [says])
    ranked = sorted(findings, key=lambda one: _rank(one.severity))
    return Section("audit", "Audit", notices=[_notice(one) for one in ranked])


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _notice(one: Finding) -> Notice:
    return Notice(
        one.severity,
        one.check,
        one.sentence,
        ", ".join(f"{name} {value:.4g}" for name, value in one.numbers.items()),
        [_row(row) for row in one.rows[:ROWS]],
        max(len(one.rows) - ROWS, 0),
    )


def _row(row: Mapping[str, str | float]) -> str:
    others = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if name != "path" and value != ""
    ]
    return " · ".join([str(row.get("path", "")), *others])
