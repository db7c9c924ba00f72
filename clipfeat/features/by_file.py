"""Combine the probabilities of a file's parts: frames, faces and views."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import UsageError, unknown_name

Probabilities = NDArray[np.float64]

CONFIDENT = 0.8
"""A part is confidently positive if its probability of the positive class is above this value.

It is confidently negative if this probability is below 0.2."""
POSITIVE_SHARE = 0.4
"""If more than this share of the parts is confidently positive, only those are averaged."""
MIN_POSITIVE = 11
"""The number of confidently positive parts must also be above this value."""
NEGATIVE_SHARE = 0.9
"""If more than this share of the parts is confidently negative, only those are averaged."""


def mean(p: Probabilities) -> Probabilities:
    """Average all parts of a file."""
    average: Probabilities = p.mean(axis=0)
    return average


def confident(p: Probabilities) -> Probabilities:
    """Average the confident parts of a file if there are enough, else all parts.

    A part is positive here if its probability of the positive class is above 0.8, and negative if
    this probability is below 0.2. If more than 11 parts and more than 40 % of the parts are
    positive, only the positive parts are averaged. Otherwise, if more than 90 % of the parts are
    negative, only the negative parts are averaged. There must be two classes. This is the
    ``confident_strategy`` of Seferbekov (2020), who won the Deepfake Detection Challenge.

    Parameters
    ----------
    p : ndarray of shape (n_parts, 2)
        Probabilities of the parts.

    Returns
    -------
    ndarray of shape (2,)
        Probabilities of the file.

    Raises
    ------
    UsageError
        If there are not exactly two classes.
    """
    if p.shape[1] != 2:
        raise UsageError(
            f"--average confident needs two classes, got {p.shape[1]}. Use --average mean."
        )
    positive = p[:, 1]
    high, low = positive > CONFIDENT, positive < 1 - CONFIDENT
    if high.sum() > max(POSITIVE_SHARE * len(p), MIN_POSITIVE):
        return mean(p[high])
    if low.sum() > NEGATIVE_SHARE * len(p):
        return mean(p[low])
    return mean(p)


AVERAGES: dict[str, Callable[[Probabilities], Probabilities]] = {
    "mean": mean,
    "confident": confident,
}
"""Functions that take the probabilities of a file's parts, of shape (n_parts, n_classes). They
return the probabilities of the file, of shape (n_classes,)."""


def by_file(
    p: Probabilities, files: Sequence[str], average: str = "mean"
) -> tuple[list[str], Probabilities]:
    """Average the probabilities of the parts of each file.

    Parameters
    ----------
    p : ndarray of shape (n_parts, n_classes)
        Probabilities of each part. The row of an unreadable part is NaN, and is ignored.
    files : sequence of str
        The file of each part.
    average : str
        Name of a function in `AVERAGES`.

    Returns
    -------
    files : list of str
        Distinct files, in the order of their first parts.
    p : ndarray of shape (n_files, n_classes)
        Probabilities of each file. The row of a file without readable parts is NaN.

    Raises
    ------
    UnknownNameError
        If the average is unknown.
    UsageError
        If the average is ``"confident"`` and there are not exactly two classes.

    Examples
    --------
    >>> by_file(np.array([[0.2, 0.8], [1.0, 0.0], [0.4, 0.6]]), ["a", "b", "a"])[1].tolist()
    [[0.30000000000000004, 0.7], [1.0, 0.0]]
    """
    if average not in AVERAGES:
        raise unknown_name("average", average, AVERAGES)
    rows: dict[str, list[int]] = {}
    for row, file in enumerate(files):
        rows.setdefault(file, []).append(row)
    out = np.full((len(rows), p.shape[1]), np.nan)
    for number, of_file in enumerate(rows.values()):
        readable = p[of_file][~np.isnan(p[of_file]).any(axis=1)]
        if len(readable):
            out[number] = AVERAGES[average](readable)
    return list(rows), out


def one_per_file(
    y: NDArray[np.int64], p: Probabilities, files: NDArray[np.str_]
) -> tuple[NDArray[np.int64], Probabilities, NDArray[np.int64]]:
    """Reduce true classes and probabilities to one row per file.

    Each file then counts once in a metric, whatever its number of parts (frames, faces and views).

    Parameters
    ----------
    y : ndarray of shape (n_parts,), int64
        True class of each part.
    p : ndarray of shape (n_parts, n_classes)
        Probabilities of each part.
    files : ndarray of shape (n_parts,), str
        The file of each part.

    Returns
    -------
    y : ndarray of shape (n_files,), int64
        True class of each file.
    p : ndarray of shape (n_files, n_classes)
        Mean probabilities of each file.
    rows : ndarray of shape (n_files,), int64
        Index of the first part of each file.

    Examples
    --------
    >>> p = np.array([[0.2, 0.8], [1.0, 0.0], [0.4, 0.6]])
    >>> y, p, rows = one_per_file(np.array([1, 0, 1]), p, np.array(["a", "b", "a"]))
    >>> y.tolist(), p.round(2).tolist(), rows.tolist()
    ([1, 0], [[0.3, 0.7], [1.0, 0.0]], [0, 1])
    """
    rows = np.sort(np.unique(files, return_index=True)[1])
    if len(rows) < len(files):
        p = by_file(p, files.tolist())[1]
    return y[rows], p, rows
