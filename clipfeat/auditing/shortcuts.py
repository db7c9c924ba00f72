"""The checks of shortcuts: properties of files and pixels that predict the class.

If one class is stored as PNG and the other as JPEG, a classifier learns the compression artefacts.
Its test scores are high, but it fails on photographs that were saved again in the other format.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.separation import separation
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError

LEAK_AUC = 0.8
WARNING_AUC = 0.6
LEAK_AUC_OF_PIXELS = 0.9
"""`LEAK_AUC` for borders and corners, which content such as the sky can also make uniform."""
NEVER = 1.0


@dataclass(frozen=True)
class ImageProperty:
    """Property of a file.

    Parameters
    ----------
    name : str
        Key in `Subject.properties`.
    title : str
        Name in findings.
    unit : str
        Unit, with a leading space.
    leak_auc : float
        The property is a leak if the lower bound of its AUC is above this value. `NEVER` is for
        properties that depend on the content so much that they are at most a warning.
    """

    name: str
    title: str
    unit: str = ""
    leak_auc: float = LEAK_AUC


PROPERTIES = (
    ImageProperty("file_size", "file size", " bytes"),
    ImageProperty("width", "width", " px"),
    ImageProperty("height", "height", " px"),
    ImageProperty("aspect", "aspect ratio"),
    ImageProperty("bytes_per_pixel", "bytes per pixel"),
    ImageProperty("format", "file format"),
    ImageProperty("jpeg_tables", "JPEG quantisation"),
    ImageProperty("exif", "EXIF presence"),
    ImageProperty("brightness", "brightness", leak_auc=NEVER),
    ImageProperty("red_cast", "colour cast (red)", leak_auc=NEVER),
    ImageProperty("blue_cast", "colour cast (blue)", leak_auc=NEVER),
    ImageProperty("saturation", "saturation", leak_auc=NEVER),
    ImageProperty("sharpness", "sharpness", leak_auc=NEVER),
    ImageProperty("border", "constant border", leak_auc=LEAK_AUC_OF_PIXELS),
    ImageProperty("corner", "repeated corner patch", leak_auc=LEAK_AUC_OF_PIXELS),
    ImageProperty("small_corner", "repeated small corner patch", leak_auc=LEAK_AUC_OF_PIXELS),
    ImageProperty("tiny_corner", "repeated tiny corner patch", leak_auc=LEAK_AUC_OF_PIXELS),
)


def check_property(image_property: ImageProperty, subject: Subject) -> list[Finding]:
    """Check whether one property of the files predicts the class.

    The check compares the lower confidence bound of the area under the ROC curve with `WARNING_AUC`
    and `ImageProperty.leak_auc`.

    Raises
    ------
    DataError
        If the property is not known, or is known for too few images.
    """
    if image_property.name not in subject.properties:
        raise DataError(subject.why_not_known)
    values = subject.properties[image_property.name]
    known = ~np.isnan(values) if values.dtype.kind == "f" else values != ""
    rows = known & (subject.features.y >= 0)
    y, values = subject.features.y[rows], values[rows]
    best = separation(values, y, subject.units[rows])
    if best.lower <= WARNING_AUC:
        return []
    classes = subject.features.classes
    others = [classes[code] for code in np.unique(y) if code != best.code]
    other = others[0] if len(others) == 1 else "the others"
    mask = y == best.code
    n_labelled = int((subject.features.y >= 0).sum())
    sample = f", in {len(y):,} of {n_labelled:,} images" if len(y) < n_labelled else ""
    sentence = (
        f"{image_property.title} alone separates {classes[best.code]} from {other}: "
        f"AUC {best.auc:.2f} (at least {best.lower:.2f}{sample}); "
        f"{classes[best.code]} {_summary(values[mask], image_property)}, "
        f"{other} {_summary(values[~mask], image_property)}"
    )
    severity = "leak" if best.lower > image_property.leak_auc else "warning"
    numbers = {"auc": best.auc, "lower": best.lower, "images": float(len(y))}
    return [Finding(image_property.title, severity, sentence, numbers)]


def _summary(values: NDArray[np.generic], image_property: ImageProperty) -> str:
    """Summarise values: the quartiles of numbers, or the most frequent texts."""
    if values.dtype.kind == "f":
        quartiles = np.quantile(values.astype(float), [0.25, 0.5, 0.75])
        low, median, high = (f"{q:,.0f}" if q >= 100 else f"{q:.3g}" for q in quartiles)
        return f"median {median}{image_property.unit} (quartiles {low} and {high})"
    common = Counter(values.tolist()).most_common(3)
    return " + ".join(f"{name} {n / len(values):.0%}" for name, n in common)
