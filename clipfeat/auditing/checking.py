"""The audit, which runs all checks on a set of files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.checks import CHECKS
from clipfeat.auditing.finding import SEVERITIES, Finding
from clipfeat.auditing.gathering import load_subject
from clipfeat.auditing.result import Audit
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError
from clipfeat.features import FeatureSet
from clipfeat.features.relabelling import relabelled
from clipfeat.images.source_options import SourceOptions
from clipfeat.system.progress import Phase, Report, reporting


def audit(
    source: FeatureSet | str | Path | Sequence[str | Path],
    *,
    images: str | Path | Sequence[str | Path] | None = None,
    inputs: SourceOptions = SourceOptions(),
    n_jobs: int | None = None,
    judge: str = "",
    probabilities: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
    fold_groups: Mapping[str, str] = MappingProxyType({}),
    labels: Mapping[str, str] = MappingProxyType({}),
    progress: bool | Report = True,
) -> Audit:
    """Check files for shortcuts, duplicates, label errors, leaking groups and imbalance.

    Parameters
    ----------
    source : FeatureSet, path or sequence of paths
        Features, feature files or image sources. Feature files of different encoders are joined by
        image. Several feature files of one encoder, or several image sources, are splits of one
        data set, unless a column ``split`` names the splits. For image sources, the bytes and
        headers of all images are read, and a sample of the images is decoded. For feature files, a
        sample of their images is decoded if these images can still be found.
    images : path or sequence of paths, optional
        The images of the features. Their headers give properties that feature files do not record.
    inputs : SourceOptions
        The table of labels, its columns, the files to which a table may refer, and the patterns of
        photographs and generated images. For features, only the group column is used. The options
        for views, faces and frames are ignored.
    n_jobs : int, optional
        Number of threads that read images; by default the number of cores plus one.
    judge, probabilities
        Name of a classifier, and its out-of-fold probabilities for each path. There is one
        probability for each class that has labelled files. Without probabilities, the label check
        fits a classifier.
    fold_groups : mapping of str to str
        Groups that the folds of a run keep together, by path. Near duplicates within one of these
        groups are not reported.
    labels : mapping of str to str
        Labels that replace those of the features, by file.
    progress : bool or callable
        Whether to show the phases of the run on standard error or in the notebook. A callable is
        called with each `clipfeat.system.progress.Phase` instead.

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
        If `source` mixes feature files and images. If `images` or the labels do not fit `source`.
    UnknownNameError
        If the group column does not exist.
    DataError
        If none of `images` belongs to the features.
    """
    with reporting(progress) as report:
        subject = load_subject(source, images, inputs, n_jobs, report)
        if labels:
            subject = replace(subject, features=relabelled(subject.features, labels))
        return _check_all(
            replace(subject, judge=judge, probabilities=probabilities, fold_groups=fold_groups),
            report,
        )


def _check_all(subject: Subject, report: Report) -> Audit:
    """Run all checks on a subject."""
    findings: list[Finding] = []
    passed: list[str] = []
    skipped: dict[str, str] = {}
    for done, (name, check) in enumerate(CHECKS.items()):
        report(Phase("checking", done, len(CHECKS), "checks", detail=name))
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
