"""The audit of a source or of features, and what came of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.checks import CHECKS
from clipfeat.auditing.finding import SEVERITIES, Finding
from clipfeat.auditing.gathering import gather
from clipfeat.errors import DataError
from clipfeat.features import FeatureSet
from clipfeat.images.manifest import TableColumns
from clipfeat.system.files import publish
from clipfeat.system.locations import local_path

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Parameters
    ----------
    findings : sequence of Finding
        The worst first.
    passed : sequence of str
        The checks that found nothing.
    skipped : mapping of str to str
        The checks that could not be made, and why.
    n_files : int
        How many files were looked at.
    """

    findings: Sequence[Finding]
    passed: Sequence[str]
    skipped: Mapping[str, str]
    n_files: int

    @property
    def has_leak(self) -> bool:
        """Whether anything found makes scores on these files worthless."""
        return any(finding.severity == "leak" for finding in self.findings)

    def to_pandas(self) -> "pd.DataFrame":
        """One row a finding: check, severity, sentence, and the numbers it rests on."""
        import pandas as pd

        rows = [
            {"check": f.check, "severity": f.severity, "sentence": f.sentence, **f.numbers}
            for f in self.findings
        ]
        return pd.DataFrame(rows, columns=None if rows else ["check", "severity", "sentence"])

    def files_to_pandas(self) -> "pd.DataFrame":
        """One row for each file of each finding: check, severity, path, and what is known of it."""
        import pandas as pd

        rows = [
            {"check": f.check, "severity": f.severity, **row}
            for f in self.findings
            for row in f.rows
        ]
        return pd.DataFrame(rows, columns=None if rows else ["check", "severity", "path"])

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``findings.csv``, ``files.csv`` and all of it as ``audit.json``.

        Raises
        ------
        StorageError
            If a file could not be written.
        """
        target = local_path(folder)
        target.mkdir(parents=True, exist_ok=True)
        all_of_it = {
            "n_files": self.n_files,
            "findings": [asdict(finding) for finding in self.findings],
            "passed": list(self.passed),
            "skipped": dict(self.skipped),
        }
        texts = {
            "findings.csv": self.to_pandas().to_csv(index=False),
            "files.csv": self.files_to_pandas().to_csv(index=False),
            "audit.json": json.dumps(all_of_it, indent=1, ensure_ascii=False) + "\n",
        }
        for name, text in texts.items():
            publish(text.encode(), target / name)
        return [target / name for name in texts]


def audit(
    source: FeatureSet | str | Path | Sequence[str | Path],
    *,
    images: str | Path | Sequence[str | Path] | None = None,
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
    n_jobs: int | None = None,
    judge: str = "",
    probabilities: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Look for what a classifier could learn from these files instead of from their pixels.

    Parameters
    ----------
    source : FeatureSet, path or sequence of paths
        Features; feature files, of one encoder (each is a split) or of several (joined by image);
        or image sources, whose bytes and headers are read (each is a split, unless it has a column
        ``split``).
    images : path or sequence of paths, optional
        The images of the features, for what only their headers tell.
    labels : path, optional
        A table of the images' classes.
    columns : TableColumns
        Where a table keeps paths, labels and groups; of features, the column of groups alone.
    n_jobs : int, optional
        Threads that read images; as many as there are cores, and one, by default.
    judge, probabilities
        Out-of-fold probabilities that are there already, by path, and whose they are; the columns
        are the classes that have labelled files. Without them a classifier is fitted.
    progress : callable
        Told how many images' headers were read, and of how many.

    Returns
    -------
    Audit
        Findings, and which checks passed or could not be made.

    Raises
    ------
    EmptySourceError
        If there is nothing to audit.
    RefusedFileError
        If a feature file is missing, damaged or foreign.
    """
    subject = gather(source, images, labels, columns, n_jobs, progress)
    subject = replace(subject, judge=judge, probabilities=probabilities)
    findings: list[Finding] = []
    passed: list[str] = []
    skipped: dict[str, str] = {}
    for name, check in CHECKS.items():
        try:
            found = check(subject)
        except DataError as error:
            skipped[name] = str(error)
            continue
        findings += found
        if not found:
            passed.append(name)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    n_files = len(subject.features) + len(subject.features.failures)
    return Audit(findings, passed, skipped, n_files)
