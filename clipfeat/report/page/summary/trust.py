"""How far the scores of a run can be trusted: leaks, duplicates and caveats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipfeat.auditing.finding import SEVERITIES, Finding
from clipfeat.auditing.result import NO_CHECK
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.result import Benchmark

if TYPE_CHECKING:
    from clipfeat.auditing.result import Audit

CLEAR = "clear"
"""Level if there is neither a leak nor a warning. The other levels are `SEVERITIES`."""


@dataclass(frozen=True)
class TrustLine:
    """One line of the statement `Trust`.

    Parameters
    ----------
    level : str
        One of `SEVERITIES`, or `CLEAR`.
    term : str
        Topic of the line, such as ``"across folds"``.
    text : str
        Description.
    """

    level: str
    term: str
    text: str


@dataclass(frozen=True)
class Trust:
    """Statement on how far the scores can be trusted.

    Parameters
    ----------
    level : str
        ``"leak"`` or ``"warning"``, whichever is the most severe level of the lines, else `CLEAR`.
    headline : str
        Summary in one sentence.
    lines : sequence of TrustLine
        Every finding, and every limit that the run records.
    """

    level: str
    headline: str
    lines: Sequence[TrustLine]


def trust(run: Benchmark, board: Leaderboard, audit: "Audit | None") -> Trust:
    """Make the statement on how far the scores of a run can be trusted.

    Parameters
    ----------
    run : Benchmark
        The run.
    board : Leaderboard
        Its leaderboard.
    audit : Audit, optional
        Audit of the images.
    """
    lines = [*_audit_lines(audit), *_duplicate_lines(run), *_run_lines(run, board)]
    lines.sort(key=lambda line: _rank(line.level))
    level = next((line.level for line in lines if line.level in SEVERITIES[:2]), CLEAR)
    return Trust(level, _headline(level, audit), lines)


def _headline(level: str, audit: "Audit | None") -> str:
    if level == "leak":
        return "The scores are not valid."
    if audit is None:
        return "The images were not audited."
    return "The scores may not be valid." if level == "warning" else "No leak was found."


def _rank(level: str) -> int:
    return SEVERITIES.index(level) if level in SEVERITIES else len(SEVERITIES)


def _audit_lines(audit: "Audit | None") -> list[TrustLine]:
    """List the checks of the audit by severity. The audit section has the details."""
    if audit is None:
        text = "leaks, duplicates, label errors and shortcuts such as file size were not checked"
        return [TrustLine("warning", "no audit", text)]
    by_severity: dict[str, list[Finding]] = {}
    for finding in audit.findings:
        by_severity.setdefault(finding.severity, []).append(finding)
    lines = [
        TrustLine(level, _count(len(of), level), _checks(of)) for level, of in by_severity.items()
    ]
    if audit.passed:
        lines.append(TrustLine(CLEAR, f"{len(audit.passed)} passed", ", ".join(audit.passed)))
    unchecked = [*audit.skipped, *NO_CHECK]
    lines.append(TrustLine("note", f"{len(unchecked)} not checked", ", ".join(unchecked)))
    return lines


def _checks(findings: Sequence[Finding]) -> str:
    """Name the check of each finding, with the main number of the finding."""
    return ", ".join(dict.fromkeys(f"{one.check}{_number(one)}" for one in findings))


def _number(finding: Finding) -> str:
    numbers = finding.numbers
    if "auc" in numbers:
        return f" (AUC {numbers['auc']:.2f})"
    return f" ({numbers['files']:,.0f} files)" if "files" in numbers else ""


def _count(n: int, name: str) -> str:
    return f"{n} {name}{'s' * (n != 1)}"


def _duplicate_lines(run: Benchmark) -> list[TrustLine]:
    """Return a line with the number of test images that have a near duplicate in training."""
    counts = run.about.get("near_duplicates") or {}
    if "separated" not in counts:
        return []
    n, separated = counts["searched"], counts["separated"]
    share = f" ({separated / n:.1%})" if separated else ""
    text = f"{separated:,} of {n:,} test images{share} have a near duplicate in training"
    return [TrustLine("warning" if separated else CLEAR, "across folds", text)]


def _run_lines(run: Benchmark, board: Leaderboard) -> list[TrustLine]:
    """List untrained encoders, failures and the caveats of the run."""
    lines = [
        TrustLine("leak", "untrained", f"the encoder {spec.title} has random weights")
        for spec in run.specs
        if spec.untrained
    ]
    if run.errors:
        lines.append(TrustLine("warning", f"{len(run.errors)} failed", ", ".join(run.errors)))
    partial = [e for e in run.entries if e not in run.complete] if run.outcomes else []
    if partial:
        lines.append(
            TrustLine("warning", "incomplete", f"{', '.join(partial)} failed in some trials")
        )
    lines += [TrustLine("note", "caveat", text) for text in run.about.get("caveats") or []]
    lines += [TrustLine("note", "caveat", text) for text in board.caveats]
    if run.about.get("positive_by") == "default":
        text = "the names of the classes do not determine the positive class"
        lines.append(TrustLine("note", "caveat", text))
    return lines
