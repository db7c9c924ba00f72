"""Copies: images with the same bytes as another image. Only one of them is encoded."""

from collections.abc import Callable, Iterable

from clipfeat.features import Failure
from clipfeat.store.format import Row


def resolve_copies(
    copies: Iterable[Row], is_encoded: Callable[[bytes], bool]
) -> tuple[list[Row], list[Failure]]:
    """Separate copies of images that were encoded from copies of images that failed.

    Parameters
    ----------
    copies : iterable of Row
        Images that were skipped, because an identical image came earlier.
    is_encoded : callable
        Takes a content hash. Returns whether an image with this hash has features.

    Returns
    -------
    rows : list of Row
        Copies of encoded images. They get the features of the image with the same content hash.
    failures : list of Failure
        Copies of images that failed to encode.
    """
    rows, failures = [], []
    for row in copies:
        if is_encoded(row.key):
            rows.append(row)
        else:
            message = "an identical image (same bytes) failed to encode"
            failures.append(Failure(row.path, "EncodingError", message, row.key))
    return rows, failures
