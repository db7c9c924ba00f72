"""The subject of an audit: one row per file, with features and properties of the file.

Properties come from three sources. A feature file records sizes and formats. Image headers also
give JPEG quantisation tables and the presence of EXIF data. Properties of pixels come from a
decoded sample of the images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError
from clipfeat.features import FeatureSet, Strings

Properties = dict[str, NDArray[np.generic]]

NO_PROPERTIES = "features in memory do not record this property. Pass their feature file instead"
NO_HEADERS = "a feature file does not record this property. Add the images with --images"


@dataclass(frozen=True, eq=False)
class Subject:
    """Files to audit.

    Parameters
    ----------
    features : FeatureSet
        One row per file. A file with several rows (views, faces, frames) is represented by its
        first row. If only images were given, there are no feature columns.
    properties : mapping of str to ndarray of shape (n_files,)
        Properties by name. An unknown property is NaN in an array of numbers, and empty in an array
        of text.
    why_not_known : str
        Reason why properties that are not in `properties` are unknown. A check that needs such a
        property is skipped with this reason.
    judge : str
        Name of the classifier that gave `probabilities`.
    probabilities : mapping of str to ndarray of shape (n_classes,)
        Out-of-fold probabilities by path. The columns are the classes with labelled files, in the
        order of `features.classes`. If the mapping is empty, the label check fits a classifier.
    fold_groups : mapping of str to str
        Groups that the folds of a run keep together, by path. If the mapping is empty, the groups
        of `features` are used.
    """

    features: FeatureSet
    properties: Properties
    why_not_known: str = NO_PROPERTIES
    judge: str = ""
    probabilities: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    fold_groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def split(self) -> Strings:
        """The split of each file; empty if there are no splits."""
        empty = np.full(len(self.features), "", dtype=np.str_)
        return self.features.columns.get("split", empty)

    @cached_property
    def units(self) -> Strings:
        """Groups of files that must stay in one fold; see `FeatureSet.split_groups`.

        Without groups, these are the content hashes. Folds then depend neither on the order of the
        files nor on their paths.
        """
        groups = self.features.split_groups
        return self.features.keys.astype(np.str_) if groups is None else groups

    def row(self, i: int) -> dict[str, str | float]:
        """Return path, label and split of a file, for a finding."""
        of = self.features
        return {"path": str(of.paths[i]), "label": str(of.labels[i]), "split": str(self.split[i])}

    def with_headers(self, images: "Subject") -> "Subject":
        """Return the same files with the properties of their images, matched by content hash.

        Raises
        ------
        DataError
            If no image matches a file.
        """
        index_of = {key: i for i, key in enumerate(images.features.keys.tolist())}
        keys = self.features.keys.tolist()
        at = np.array([index_of.get(key, -1) for key in keys], dtype=np.int64)
        if not (at >= 0).any():
            raise DataError(
                "none of the images is in the feature file. Pass the images of this file with "
                "--images."
            )
        properties = {}
        for name, values in images.properties.items():
            unknown = np.nan if values.dtype.kind == "f" else ""
            properties[name] = np.where(at >= 0, values[at], unknown)
        return replace(self, properties=properties, why_not_known=images.why_not_known)


def subject_of(features: FeatureSet, properties: Properties) -> Subject:
    """Make a subject of the first row of each file."""
    _, rows = np.unique(features.files, return_index=True)
    rows.sort()
    kept = {name: values[rows] for name, values in properties.items()}
    return Subject(features.take(rows), kept, NO_HEADERS if properties else NO_PROPERTIES)


def known_properties(
    size: Any,
    width: Any,
    height: Any,
    format_name: NDArray[np.str_],
) -> Properties:
    """Derive properties from the sizes and formats of files.

    Parameters
    ----------
    size, width, height : array-like of shape (n_files,)
        Bytes and pixels; 0 if unknown.
    format_name : ndarray of shape (n_files,)
        Image formats; empty if unknown.
    """
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
