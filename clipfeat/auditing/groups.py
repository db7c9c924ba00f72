"""Groups that a given split parts, although nothing should."""

import numpy as np

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError


def check_groups(subject: Subject) -> list[Finding]:
    """Groups with files in more than one split.

    Raises
    ------
    DataError
        If there are no groups, or no splits.
    """
    groups, splits = subject.features.groups, subject.split
    if groups is None:
        raise DataError("the files have no groups (--group-col)")
    known = (groups != "") & (splits != "")
    if len(np.unique(splits[known])) < 2:
        raise DataError("there are not several splits")
    pairs = np.unique(np.stack([groups[known], splits[known]], axis=1), axis=0)
    names, counts = np.unique(pairs[:, 0], return_counts=True)
    parted = names[counts > 1]
    if not len(parted):
        return []
    inside = np.flatnonzero(known & np.isin(groups, parted))
    sentence = (
        f"{len(parted)} of {len(names)} groups have files in several splits, such as "
        f"{str(parted[0])!r}: what is alike about a group can be learned in one split and "
        "recognised in another"
    )
    rows = [{**subject.row(i), "group": str(groups[i])} for i in inside.tolist()]
    numbers = {"groups": float(len(parted)), "files": float(len(rows))}
    return [Finding("groups across splits", "warning", sentence, numbers, rows)]
