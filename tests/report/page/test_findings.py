"""Tests of the audit section of the page."""

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.result import Audit
from clipfeat.report.page.findings import MAX_ROWS, findings_section


def test_findings_are_ordered_by_severity() -> None:
    """Leaks come before notes. Images beyond the limit are counted."""
    images = [{"path": f"{i}.png", "auc": 0.5, "label": ""} for i in range(MAX_ROWS + 3)]
    leak = Finding("shortcuts", "leak", "l", {"auc": 0.987654}, images)
    findings = [Finding("balance", "note", "n"), leak]
    section = findings_section(Audit(findings, ["width"], {"exif": "no images"}, 30))
    assert section.paragraphs == ["30 files, 2 findings."]
    assert section.bullets[:2] == ["Passed: width.", "not checked: exif (no images)"]
    assert [one.severity for one in section.notices] == ["leak", "note"]
    notice = section.notices[0]
    assert (notice.numbers, notice.rows[0], len(notice.rows), notice.more) == (
        "auc 0.9877",
        "0.png · auc 0.5",
        MAX_ROWS,
        3,
    )


def test_without_findings_the_audit_is_explained() -> None:
    """A page without an audit names the command that runs it."""
    assert "`clipfeat audit`" in findings_section(None).paragraphs[0]
