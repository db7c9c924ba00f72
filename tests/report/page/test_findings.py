"""An audit's findings on the page."""

from clipfeat.auditing.finding import Finding
from clipfeat.report.page.findings import ROWS, findings_section


def test_the_worst_first_and_some_of_its_images() -> None:
    """Leaks before notes; what is not listed is counted."""
    images = [{"path": f"{i}.png", "auc": 0.5, "label": ""} for i in range(ROWS + 3)]
    found = Finding("shortcuts", "leak", "l", {"auc": 0.987654}, images)
    section = findings_section([Finding("balance", "note", "n"), found])
    assert [one.severity for one in section.notices] == ["leak", "note"]
    leak = section.notices[0]
    assert (leak.numbers, leak.rows[0], len(leak.rows), leak.more) == (
        "auc 0.9877",
        "0.png · auc 0.5",
        ROWS,
        3,
    )


def test_without_findings_it_says_how_to_get_them() -> None:
    """A page is never silent about an audit."""
    assert "`clipfeat audit`" in findings_section([]).says[0]
