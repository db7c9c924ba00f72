"""The check of groups that span several splits."""

import numpy as np

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError


def check_groups(subject: Subject) -> list[Finding]:
    """Find groups with files in more than one split.

    Raises
    ------
    DataError
        If there are no groups or fewer than two splits.
    """
    groups, splits = subject.features.groups, subject.split
    if groups is None:
        raise DataError("the files have no groups. Pass a column of groups with --group-col")
    known = (groups != "") & (splits != "")
    if len(np.unique(splits[known])) < 2:
        raise DataError("there are fewer than two splits")
    pairs = np.unique(np.stack([groups[known], splits[known]], axis=1), axis=0)
    names, counts = np.unique(pairs[:, 0], return_counts=True)
    spanning = names[counts > 1]
    if not len(spanning):
        return []
    indices = np.flatnonzero(known & np.isin(groups, spanning))
    sentence = (
        f"{len(spanning)} of {len(names)} groups have files in several splits, such as "
        f"{str(spanning[0])!r}. A classifier can learn to recognise a group in one split, which "
        "raises its score in another"
    )
    rows = [{**subject.row(i), "group": str(groups[i])} for i in indices.tolist()]
    numbers = {"groups": float(len(spanning)), "files": float(len(rows))}
    return [Finding("groups across splits", "warning", sentence, numbers, rows)]
