"""Shortcuts: facts of the files, none of them a pixel, that tell the classes apart.

A classifier takes the easiest road. Where one class came as PNG and the other as JPEG, it learns
the traces of JPEG, scores splendidly, and fails on the first photograph that was saved anew.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.separation import separation
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError

LEAK = 0.8
WARNING = 0.6


@dataclass(frozen=True)
class Fact:
    """What is looked at, and how it is called; `Subject.facts` has it by name."""

    name: str
    title: str
    unit: str = ""


FACTS = (
    Fact("file_size", "file size", " bytes"),
    Fact("width", "width", " px"),
    Fact("height", "height", " px"),
    Fact("aspect", "aspect ratio"),
    Fact("bytes_per_pixel", "bytes per pixel"),
    Fact("format", "file format"),
    Fact("jpeg_tables", "JPEG quantisation"),
    Fact("exif", "EXIF presence"),
)


def check_fact(fact: Fact, subject: Subject) -> list[Finding]:
    """Whether one fact tells the classes apart.

    A finding is a lower confidence bound of the area under the ROC curve above `WARNING`; above
    `LEAK` it is a leak.

    Raises
    ------
    DataError
        If the fact is not known, or of too few images.
    """
    if fact.name not in subject.facts:
        raise DataError(subject.why_not_known)
    values = subject.facts[fact.name]
    known = ~np.isnan(values) if values.dtype.kind == "f" else values != ""
    rows = known & (subject.features.y >= 0)
    y, values = subject.features.y[rows], values[rows]
    found = separation(values, y, subject.units[rows])
    if found.lower <= WARNING:
        return []
    classes = subject.features.classes
    others = [classes[code] for code in np.unique(y) if code != found.code]
    other = others[0] if len(others) == 1 else "the others"
    mine = y == found.code
    sentence = (
        f"{fact.title} alone tells {classes[found.code]} from {other}: AUC {found.auc:.2f} "
        f"(at least {found.lower:.2f}); {classes[found.code]} {_said(values[mine], fact)}, "
        f"{other} {_said(values[~mine], fact)}"
    )
    severity = "leak" if found.lower > LEAK else "warning"
    numbers = {"auc": found.auc, "lower": found.lower, "images": float(len(y))}
    return [Finding(fact.title, severity, sentence, numbers)]


def _said(values: NDArray[np.generic], fact: Fact) -> str:
    """What values are like: a number's quartiles, or the most frequent texts."""
    if values.dtype.kind == "f":
        quartiles = np.quantile(values.astype(float), [0.25, 0.5, 0.75])
        low, middle, high = (f"{q:,.0f}" if q >= 100 else f"{q:.3g}" for q in quartiles)
        return f"{middle}{fact.unit} (half of them {low} to {high})"
    common = Counter(values.tolist()).most_common(3)
    return " + ".join(f"{name} {n / len(values):.0%}" for name, n in common)
