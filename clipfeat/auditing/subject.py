"""What is audited: one row for each file, with its features and the facts of the file.

The facts come from a feature file, which has sizes and formats, or from the images' headers, which
tell JPEG quantisation and EXIF too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError
from clipfeat.features import FeatureSet, Strings

Facts = dict[str, NDArray[np.generic]]

NO_FACTS = "arrays do not tell: give the feature file, or the images too (--images)"
NO_HEADERS = "a feature file does not tell: give the images too (--images)"


@dataclass(frozen=True, eq=False)
class Subject:
    """What is audited.

    Parameters
    ----------
    features : FeatureSet
        A row for each file; of a file of several rows (views, faces, frames) the first. Without
        columns where only images were given.
    facts : mapping of str to ndarray of shape (n_files,)
        Numbers, NaN where unknown, or text, empty where unknown.
    why_not_known : str
        Why other facts are not there.
    judge : str
        Name of the classifier that gave `probabilities`.
    probabilities : mapping of str to ndarray of shape (n_classes,)
        By path, out-of-fold probabilities of the classes that have labelled files, in their order;
        where there are none, a classifier is fitted.
    """

    features: FeatureSet
    facts: Facts
    why_not_known: str = NO_FACTS
    judge: str = ""
    probabilities: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def split(self) -> Strings:
        """The split that each file is in; empty where there is none."""
        empty = np.full(len(self.features), "", dtype=np.str_)
        return self.features.columns.get("split", empty)

    @cached_property
    def units(self) -> Strings:
        """What no fold may part; see `FeatureSet.split_groups`."""
        groups = self.features.split_groups
        return self.features.paths if groups is None else groups

    def row(self, i: int) -> dict[str, str | float]:
        """What a finding says of a file."""
        of = self.features
        return {"path": str(of.paths[i]), "label": str(of.labels[i]), "split": str(self.split[i])}

    def with_headers(self, images: "Subject") -> "Subject":
        """The same files with the facts that their images' headers tell, matched by digest.

        Raises
        ------
        DataError
            If no image is of any row here.
        """
        place = {key: i for i, key in enumerate(images.features.keys.tolist())}
        at = np.array([place.get(key, -1) for key in self.features.keys.tolist()], dtype=np.int64)
        if not (at >= 0).any():
            raise DataError("none of the images is in the feature file: give those it was made of")
        facts = {}
        for name, values in images.facts.items():
            unknown = np.nan if values.dtype.kind == "f" else ""
            facts[name] = np.where(at >= 0, values[at], unknown)
        return replace(self, facts=facts, why_not_known=images.why_not_known)


def subject_of(features: FeatureSet, facts: Facts) -> Subject:
    """Keep the first row of each file."""
    _, rows = np.unique(features.files, return_index=True)
    rows.sort()
    kept = {name: values[rows] for name, values in facts.items()}
    return Subject(features.take(rows), kept, NO_HEADERS if facts else NO_FACTS)


def known_facts(
    size: Any,
    width: Any,
    height: Any,
    format_name: NDArray[np.str_],
) -> Facts:
    """The facts of files that their sizes, 0 where unknown, and formats tell."""
    numbers = (np.asarray(values, dtype=np.float64) for values in (size, width, height))
    size, width, height = (np.where(values > 0, values, np.nan) for values in numbers)
    return {
        "file_size": size,
        "width": width,
        "height": height,
        "aspect": width / height,
        "bytes_per_pixel": size / (width * height),
        "format": format_name,
    }
