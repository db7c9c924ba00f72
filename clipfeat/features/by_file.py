"""From a file's parts to the file: probabilities of its frames, faces and views, averaged."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import UsageError, unknown_name

Probabilities = NDArray[np.float64]

SURE = 0.8
MOST_SURE = 0.9
FEW_SURE = 0.4
"""Of the parts; the first place in the Deepfake Detection Challenge counted 11 frames besides."""
LEAST_SURE = 11


def mean(p: Probabilities) -> Probabilities:
    """Average the parts."""
    average: Probabilities = p.mean(axis=0)
    return average


def confident(p: Probabilities) -> Probabilities:
    """Average the parts that are sure, where enough are; for two classes.

    If more than two fifths of the parts, and more than 11, give the positive class above 0.8, only
    these count; else, if more than nine tenths give it below 0.2, only these; else all (Seferbekov
    2020, first place of the Deepfake Detection Challenge, ``confident_strategy``).
    """
    if p.shape[1] != 2:
        raise UsageError(f"the confident average is for two classes, not {p.shape[1]}: take mean")
    positive = p[:, 1]
    high, low = positive > SURE, positive < 1 - SURE
    if high.sum() > max(FEW_SURE * len(p), LEAST_SURE):
        return mean(p[high])
    if low.sum() > MOST_SURE * len(p):
        return mean(p[low])
    return mean(p)


AVERAGES: dict[str, Callable[[Probabilities], Probabilities]] = {
    "mean": mean,
    "confident": confident,
}
"""From the probabilities (n_parts, n_classes) of one file's parts to the file's (n_classes,)."""


def by_file(
    p: Probabilities, files: Sequence[str], average: str = "mean"
) -> tuple[list[str], Probabilities]:
    """Average the probabilities of the parts of each file.

    Parameters
    ----------
    p : ndarray of shape (n_parts, n_classes)
        NaN where a part could not be read: it does not count.
    files : sequence of str
        The file that each part is of.
    average : str
        A name of `AVERAGES`.

    Returns
    -------
    files : list of str
        Each once, in the order in which they came.
    p : ndarray of shape (n_files, n_classes)
        NaN where no part could be read.

    Raises
    ------
    UnknownNameError
        If there is no such average.

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
    for place, of_file in enumerate(rows.values()):
        read = p[of_file][~np.isnan(p[of_file]).any(axis=1)]
        if len(read):
            out[place] = AVERAGES[average](read)
    return list(rows), out


def one_a_file(
    y: NDArray[np.int64], p: Probabilities, files: NDArray[np.str_]
) -> tuple[NDArray[np.int64], Probabilities, NDArray[np.int64]]:
    """True classes and averaged probabilities of each file, and the first row of it.

    A file is one case, however many frames, faces or views it has.

    Examples
    --------
    >>> p = np.array([[0.2, 0.8], [1.0, 0.0], [0.4, 0.6]])
    >>> y, p, rows = one_a_file(np.array([1, 0, 1]), p, np.array(["a", "b", "a"]))
    >>> y.tolist(), p.round(2).tolist(), rows.tolist()
    ([1, 0], [[0.3, 0.7], [1.0, 0.0]], [0, 1])
    """
    rows = np.sort(np.unique(files, return_index=True)[1])
    if len(rows) < len(files):
        p = by_file(p, files.tolist())[1]
    return y[rows], p, rows
