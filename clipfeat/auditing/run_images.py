"""Audit and thumbnails of the images of a benchmark run, for its page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.checking import audit
from clipfeat.auditing.finding import Finding
from clipfeat.features import TEST
from clipfeat.images.thumbnails import thumbnails
from clipfeat.store import open_stored


def run_auditor(
    files: Sequence[str | Path],
) -> Callable[[str, Mapping[str, NDArray[np.float64]]], Sequence[Finding]]:
    """Return a function that audits feature files with the probabilities of a classifier.

    Parameters
    ----------
    files : sequence of path
        Feature files that the run trained and tested on.

    Returns
    -------
    callable
        Value of the field ``audit`` of `clipfeat.report.page.PageOptions`.
    """

    def audit_files(
        entry: str, probabilities: Mapping[str, NDArray[np.float64]]
    ) -> Sequence[Finding]:
        return audit(list(files), judge=entry, probabilities=probabilities).findings

    return audit_files


def thumbnail_reader(
    files: Sequence[str | Path],
) -> Callable[[Sequence[str]], Mapping[str, bytes]]:
    """Return a function that reads thumbnails of images by their paths in feature files.

    Parameters
    ----------
    files : sequence of path
        Feature files that the run trained and tested on. If the run has a separate test file, it is
        the last one. The images that the run marks as test images are read only from its folder.

    Returns
    -------
    callable
        Value of the field ``thumbnails`` of `clipfeat.report.page.PageOptions`.
    """
    roots = []
    for file in files:
        with open_stored(file) as stored:
            roots.append(stored.newest.text("root"))

    def read(paths: Sequence[str]) -> dict[str, bytes]:
        test_paths = [path.removeprefix(TEST) for path in paths if path.startswith(TEST)]
        of_test = {TEST + path: png for path, png in thumbnails(test_paths, roots[-1:]).items()}
        return thumbnails([path for path in paths if not path.startswith(TEST)], roots) | of_test

    return read
