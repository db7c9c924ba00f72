"""The registry of audit checks.

To add a check, write a function that takes a `Subject` and returns findings, and add it to
`CHECKS`.
"""

from collections.abc import Callable
from functools import partial

from clipfeat.auditing.class_balance import check_balance
from clipfeat.auditing.duplicates import EXACT, NEAR, check_exact, check_near
from clipfeat.auditing.finding import Finding
from clipfeat.auditing.groups import check_groups
from clipfeat.auditing.mislabelled import check_labels
from clipfeat.auditing.shortcuts import PROPERTIES, check_property
from clipfeat.auditing.subject import Subject
from clipfeat.auditing.unreadable import check_unreadable

CHECKS: dict[str, Callable[[Subject], list[Finding]]] = {
    "unreadable files": check_unreadable,
    "class balance": check_balance,
    **{one.title: partial(check_property, one) for one in PROPERTIES},
    "groups across splits": check_groups,
    EXACT: check_exact,
    NEAR: check_near,
    "possible label errors": check_labels,
}
"""Checks by name. A check raises `DataError` if the subject lacks data that the check needs."""
