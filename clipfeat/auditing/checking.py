"""The audit: all checks on one subject, and their result."""

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
from clipfeat.auditing.gathering import load_subject
from clipfeat.errors import DataError
from clipfeat.features import FeatureSet
from clipfeat.images.manifest import TableColumns
from clipfeat.system.files import publish
from clipfeat.system.locations import local_path

if TYPE_CHECKING:
    import pandas as pd


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

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        target = local_path(folder)
        target.mkdir(parents=True, exist_ok=True)
        content = {
            "n_files": self.n_files,
            "findings": [asdict(finding) for finding in self.findings],
            "passed": list(self.passed),
            "skipped": dict(self.skipped),
        }
        texts = {
            "findings.csv": self.to_pandas().to_csv(index=False),
            "files.csv": self.files_to_pandas().to_csv(index=False),
            "audit.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
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
    """Check files for shortcuts, duplicates, label errors, leaking groups and imbalance.

    Parameters
    ----------
    source : FeatureSet, path or sequence of paths
        Features, feature files or image sources. Feature files of different encoders are joined by
        image. Several feature files of one encoder, or several image sources, are splits of one
        data set. A column ``split`` takes precedence. Images are not decoded: only their bytes and
        headers are read.
    images : path or sequence of paths, optional
        The images of the features. Their headers give facts that feature files do not record.
    labels : path, optional
        Table with the labels of the images.
    columns : TableColumns
        Names of the columns with paths, labels and groups in a table. For features, only the group
        column is used.
    n_jobs : int, optional
        Number of threads that read images; by default the number of cores plus one.
    judge, probabilities
        Name of a classifier, and its out-of-fold probabilities for each path. There is one
        probability for each class that has labelled files. Without probabilities, the label check
        fits a classifier.
    progress : callable
        Called with the number of headers read and the total.

    Returns
    -------
    Audit
        Findings, and the names of passed and skipped checks.

    Raises
    ------
    EmptySourceError
        If the source holds no images.
    RefusedFileError
        If a feature file is missing, damaged or of another format.
    UsageError
        If `source` mixes feature files and images. If `images` or `labels` does not fit `source`.
    DataError
        If none of `images` belongs to the features.
    """
    subject = load_subject(source, images, labels, columns, n_jobs, progress)
    subject = replace(subject, judge=judge, probabilities=probabilities)
    findings: list[Finding] = []
    passed: list[str] = []
    skipped: dict[str, str] = {}
    for name, check in CHECKS.items():
        try:
            of_check = check(subject)
        except DataError as error:
            skipped[name] = str(error)
            continue
        findings += of_check
        if not of_check:
            passed.append(name)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    n_files = len(subject.features) + len(subject.features.failures)
    return Audit(findings, passed, skipped, n_files)
