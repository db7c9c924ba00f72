"""The result of an audit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.auditing.finding import Finding
from clipfeat.system.escaping import spreadsheet_csv
from clipfeat.system.files import publish, replacing_contents
from clipfeat.system.locations import local_path

if TYPE_CHECKING:
    import pandas as pd

NO_CHECK = (
    "metadata other than the presence of EXIF",
    "colour profiles",
    "traces of resizing",
    "watermarks away from the corners",
)
"""Known shortcuts that no check of the audit finds."""


AUDIT_RECORD = "audit.json"
"""File of a saved audit. It is written last and marks the folder as complete."""


@dataclass(frozen=True, eq=False)
class Audit:
    """Result of an audit.

    Parameters
    ----------
    findings : sequence of Finding
        Findings, most severe first.
    passed : sequence of str
        Names of the checks without a finding.
    skipped : mapping of str to str
        For each check that was not possible, its name and the reason.
    n_files : int
        Number of files, including unreadable ones.
    """

    findings: Sequence[Finding]
    passed: Sequence[str]
    skipped: Mapping[str, str]
    n_files: int

    @property
    def has_leak(self) -> bool:
        """Whether a finding makes scores on these files invalid."""
        return any(finding.severity == "leak" for finding in self.findings)

    @property
    def not_checked(self) -> list[str]:
        """Sentences about checks that were not possible, and about checks that do not exist."""
        checks_by_reason: dict[str, list[str]] = {}
        for name, reason in self.skipped.items():
            checks_by_reason.setdefault(reason, []).append(name)
        return [
            f"not checked: {', '.join(names)} ({reason})"
            for reason, names in checks_by_reason.items()
        ] + [f"not checked: {', '.join(NO_CHECK)} (the audit has no such checks)"]

    @property
    def sentences(self) -> list[str]:
        """The findings with their severities, and the checks that were not possible."""
        findings = [f"{finding.severity.upper()}: {finding.sentence}" for finding in self.findings]
        return findings + self.not_checked

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per finding: check, severity, sentence and numbers."""
        import pandas as pd

        rows = [
            {"check": f.check, "severity": f.severity, "sentence": f.sentence, **f.numbers}
            for f in self.findings
        ]
        return pd.DataFrame(rows, columns=None if rows else ["check", "severity", "sentence"])

    def files_to_pandas(self) -> "pd.DataFrame":
        """Return one row per file of each finding: check, severity, path and details."""
        import pandas as pd

        rows = [
            {"check": f.check, "severity": f.severity, **row}
            for f in self.findings
            for row in f.rows
        ]
        return pd.DataFrame(rows, columns=None if rows else ["check", "severity", "path"])

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``findings.csv``, ``files.csv``, and ``audit.json`` with the content of both.

        Files of the same names are replaced after all new files are complete.

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        target = local_path(folder)
        content = {
            "n_files": self.n_files,
            "findings": [asdict(finding) for finding in self.findings],
            "passed": list(self.passed),
            "skipped": dict(self.skipped),
        }
        texts = {
            "findings.csv": spreadsheet_csv(self.to_pandas()),
            "files.csv": spreadsheet_csv(self.files_to_pandas()),
            AUDIT_RECORD: json.dumps(content, indent=1) + "\n",
        }
        with replacing_contents(target, AUDIT_RECORD) as new:
            for name, text in texts.items():
                publish(text.encode(), new / name)
        return [target / name for name in texts]
