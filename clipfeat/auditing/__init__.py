"""The audit: what a lazy classifier would learn from these files instead of from their pixels.

A new check is one file with a function from a `Subject` to findings, and one row of `CHECKS`.
"""

from collections.abc import Callable
from functools import partial

from clipfeat.auditing.balance import check_balance
from clipfeat.auditing.duplicates import EXACT, NEAR, check_exact, check_near
from clipfeat.auditing.finding import Finding
from clipfeat.auditing.groups import check_groups
from clipfeat.auditing.mislabelled import check_labels
from clipfeat.auditing.shortcuts import FACTS, check_fact
from clipfeat.auditing.subject import Subject
from clipfeat.auditing.unreadable import check_unreadable

CHECKS: dict[str, Callable[[Subject], list[Finding]]] = {
    "unreadable files": check_unreadable,
    "class balance": check_balance,
    **{fact.title: partial(check_fact, fact) for fact in FACTS},
    "groups across splits": check_groups,
    EXACT: check_exact,
    NEAR: check_near,
    "mislabelled candidates": check_labels,
}
"""By name; a check that the data cannot carry raises `DataError`, which says why."""
