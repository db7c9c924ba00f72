"""Comparison of true labels with the classes of a model."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from clipfeat.errors import LabelError
from clipfeat.features.label_text import class_names, one_spelling
from clipfeat.images.record import ImageRecord

MAX_LISTED = 10
"""Maximum number of labels that a message lists."""


def unmatched_labels(labels: Iterable[str], classes: Sequence[str]) -> Counter[str]:
    """Count the labels that match no class, most frequent first. Empty labels are not counted."""
    counts = Counter(label for label in labels if label and label not in classes)
    return Counter(dict(counts.most_common()))


def nearest_class(label: str, classes: Sequence[str]) -> str | None:
    """Return the class with the most similar spelling, or None.

    Differences in capitals, spaces and punctuation are ignored.

    Examples
    --------
    >>> nearest_class(" Real", ["real", "fake"]), nearest_class("reel", ["real", "fake"])
    ('real', 'real')
    >>> nearest_class("3", ["real", "fake"]) is None
    True
    """
    plain = {_plain(name): name for name in reversed(classes)}
    near = get_close_matches(_plain(label), plain, n=1)
    return plain[near[0]] if near else None


def is_respelled(label: str, classes: Sequence[str]) -> bool:
    """Return whether a label differs from a class only in capitals, spaces or punctuation."""
    return label not in classes and _plain(label) in {_plain(name) for name in classes}


def list_unmatched(unmatched: Counter[str], classes: Sequence[str]) -> str:
    """List labels with their nearest classes, for a message.

    Examples
    --------
    >>> list_unmatched(Counter({"Fake": 3, "cat": 1}), ["real", "fake"])
    "'Fake' (nearest class 'fake'), 'cat'"
    """
    parts = []
    for label in list(unmatched)[:MAX_LISTED]:
        near = nearest_class(label, classes)
        parts.append(f"{label!r}" if near is None else f"{label!r} (nearest class {near!r})")
    if len(unmatched) > MAX_LISTED:
        parts.append(f"and {len(unmatched) - MAX_LISTED} more")
    return ", ".join(parts)


def given_labels(records: Iterable[ImageRecord], classes: Sequence[str]) -> list[str]:
    """Return the labels to check, without labels that only repeat the name of a folder.

    An image without another label is labelled with the name of its folder, which need not be a
    class. A label that equals the name of one of the image's folders is therefore returned only if
    it is the name of a class of the model in another spelling.
    """
    return [
        record.label
        for record in records
        if record.label not in record.path.split("/")[:-1] or is_respelled(record.label, classes)
    ]


def check_labels(labels: Iterable[str], classes: Sequence[str], source: str) -> None:
    """Check that every label is a class of the model. Empty labels are ignored.

    Parameters
    ----------
    labels : iterable of str
        True labels.
    classes : sequence of str
        Classes of the model.
    source : str
        Name of the source of the labels.

    Raises
    ------
    LabelError
        If labels match no class. The message lists them with their nearest classes.
    """
    if unmatched := unmatched_labels(labels, classes):
        merged = as_classes(unmatched, classes, merge=True)
        can_merge = any(merged[label] in classes for label in unmatched)
        remedy = (
            "Pass --merge-labels to ignore capitals and spaces, or correct the labels"
            if can_merge
            else "Write the labels like the classes, or leave them empty"
        )
        raise LabelError(
            f"{unmatched.total()} images of {source} have labels that match no class of the model "
            f"({', '.join(classes)}): {list_unmatched(unmatched, classes)}. {remedy}"
        )


def as_classes(labels: Iterable[str], classes: Sequence[str], *, merge: bool) -> dict[str, str]:
    """Map each label to the model's class with the same numeric value or truth value.

    All other labels are mapped to themselves.

    Parameters
    ----------
    labels : iterable of str
        True labels.
    classes : sequence of str
        Classes of the model.
    merge : bool
        Whether to map labels that differ from a class only in capitals or spaces to this class.

    Examples
    --------
    >>> as_classes(["1.0", "False"], ["0", "1"], merge=False)
    {'1.0': '1', 'False': '0'}
    >>> as_classes(["Real", ""], ["real", "fake"], merge=True)
    {'Real': 'real', '': ''}
    """
    distinct = dict.fromkeys(labels)
    number = class_names([*distinct, *classes])
    of_number = {number[name]: name for name in reversed(classes)}
    named = {
        label: label if label in classes else of_number.get(number[label], label)
        for label in distinct
    }
    if not merge:
        return named
    spelling = one_spelling(dict.fromkeys(named.values(), 0), like=classes)
    return {label: name if name in classes else spelling[name] for label, name in named.items()}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
