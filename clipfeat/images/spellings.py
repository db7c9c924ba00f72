"""Classes of a source whose names differ only in capitals or spaces."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from clipfeat.features.label_text import check_spellings, one_spelling
from clipfeat.images.source import ImageSource


def with_one_spelling(
    source: ImageSource, stored: Mapping[str, int], *, merge: bool
) -> ImageSource:
    """Check that no two classes of a source differ only in capitals or spaces, or merge them.

    Parameters
    ----------
    source : ImageSource
        The images.
    stored : mapping of str to int
        Number of rows of each class in the feature file to which the images are added. The
        spellings in this file are kept.
    merge : bool
        Whether to merge such classes.

    Raises
    ------
    LabelError
        If there are such classes, and `merge` is false.
    """
    counts = Counter(record.label for record in source if record.label)
    if not merge:
        check_spellings(counts + Counter(stored), source.name)
        return source
    by_count = sorted(stored, key=lambda label: (stored[label], label))
    names = one_spelling(counts, like=by_count)
    return renamed(source, names)


def renamed(source: ImageSource, names: Mapping[str, str]) -> ImageSource:
    """Rename the labels of a source."""
    if all(names.get(record.label, record.label) == record.label for record in source):
        return source
    records = [replace(record, label=names.get(record.label, record.label)) for record in source]
    return replace(source, records=records)
