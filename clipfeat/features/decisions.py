"""Decisions: the labels that people gave to images, in the order in which they gave them.

A table of decisions has the columns of `COLUMNS`. It is a history: later rows change what earlier
rows say. `clipfeat.labelling.label_log` writes such tables. A person's last decision about an image
holds. If several people decided about an image, the label that most of them gave holds. If no label
has more votes than every other, the image is contested and has no label.

Two images of different feature files may have one path. The column ``key`` has the content hash of
the image, so that a decision about one of them never labels the other. Older tables lack this
column. Their decisions are about every image with the path.

Rows whose last field is `CLASS` are not decisions. They record the order of a person's classes, see
`ClassRecord`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clipfeat.features.face_keys import is_same_image
from clipfeat.system.escaping import original_text

LABEL, UNDO, CLASS = "label", "undo", "class"
OLD_COLUMNS = ("path", "label", "annotator", "decided_at", "decision")
"""Columns of a table of decisions without content hashes."""
COLUMNS = ("path", "label", "annotator", "decided_at", "key", "decision")
"""Columns of a table of decisions. The last column is `LABEL`, `UNDO` or `CLASS`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision about an image, or an undo of it.

    Parameters
    ----------
    path : str
        Path of the image, as in the feature file.
    label : str
        Class of the image. Empty if the entry is an undo.
    annotator : str
        Name of the person.
    decided_at : str
        Time in UTC, as ``2026-01-31T23:59:59.000001Z``. Empty if unknown.
    is_undo : bool
        Whether the entry takes back the last decision of this person about this image.
    key : str
        Content hash of the image, as in the feature file. Empty if unknown.

    Examples
    --------
    >>> Decision("1.png", "cat", "ann").is_undo
    False
    """

    path: str
    label: str
    annotator: str
    decided_at: str = ""
    is_undo: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """A class in the order of a person's classes, which is the order of their keys.

    Parameters
    ----------
    features : str
        Name of the feature file.
    label : str
        Name of the class.
    annotator : str
        Name of the person.
    """

    features: str
    label: str
    annotator: str


def is_table_of_decisions(columns: Iterable[str]) -> bool:
    """Return whether a table with these columns is a table of decisions."""
    return set(OLD_COLUMNS) <= set(columns)


def decisions_of(rows: Iterable[Mapping[str, str]]) -> list[Decision]:
    """Read the rows of a table of decisions.

    A row whose last field is incomplete is left out. The program stopped while it wrote the row.
    """
    return [
        Decision(
            original_text(row["path"]),
            original_text(row["label"]) if row["decision"] == LABEL else "",
            original_text(row["annotator"]),
            row["decided_at"],
            row["decision"] == UNDO,
            row.get("key", ""),
        )
        for row in rows
        if row["decision"] in (LABEL, UNDO)
    ]


def class_records_of(rows: Iterable[Mapping[str, str]]) -> list[ClassRecord]:
    """Read the classes in the rows of a table of decisions. Decisions are left out."""
    return [
        ClassRecord(*(original_text(row[name]) for name in ("path", "label", "annotator")))
        for row in rows
        if row["decision"] == CLASS
    ]


def several_images(decisions: Iterable[Decision]) -> str:
    """Return a path that decisions give to images of different content, or an empty text.

    The keys of some decisions may be those of the first face in the image.

    Examples
    --------
    >>> several_images([Decision("1.png", "cat", "ann", key="0a"), Decision("1.png", "dog", "ann")])
    ''
    >>> several_images([Decision("1.png", "cat", "ann", key=key) for key in ("0a", "0b")])
    '1.png'
    """
    keys: dict[str, str] = {}
    for one in decisions:
        if one.key and not is_same_image(keys.setdefault(one.path, one.key), one.key):
            return one.path
    return ""


def standing_labels(decisions: Iterable[Decision]) -> dict[str, dict[str, str]]:
    """Return the label that each person last gave to each image and did not take back.

    Parameters
    ----------
    decisions : iterable of Decision
        Decisions in the order in which they were made.

    Returns
    -------
    dict of str to dict of str to str
        For each path, the label of each annotator, in the order of the first decisions. Images
        whose labels were all taken back are left out.

    Examples
    --------
    >>> log = [Decision("1.png", "cat", "ann"), Decision("1.png", "dog", "ann"),
    ...        Decision("1.png", "", "ann", is_undo=True)]
    >>> standing_labels(log)
    {'1.png': {'ann': 'cat'}}
    """
    made: dict[str, dict[str, list[str]]] = {}
    for one in decisions:
        labels = made.setdefault(one.path, {}).setdefault(one.annotator, [])
        if not one.is_undo:
            labels.append(one.label)
        elif labels:
            labels.pop()
    standing = {
        path: {annotator: labels[-1] for annotator, labels in by_annotator.items() if labels}
        for path, by_annotator in made.items()
    }
    return {path: labels for path, labels in standing.items() if labels}


def majority_label(labels: Sequence[str]) -> str:
    """Return the most frequent label, or an empty text if several are equally frequent.

    Examples
    --------
    >>> majority_label(["cat", "dog", "cat"]), majority_label(["cat", "dog"])
    ('cat', '')
    """
    (first, n), *others = Counter(labels).most_common(2)
    return "" if others and others[0][1] == n else first
