"""Images with identical bytes: one is encoded, and its copies take over the result."""

from collections.abc import Callable, Iterable

from clipfeat.features import Failure
from clipfeat.store.format import Row


def resolve_copies(
    copies: Iterable[Row], is_encoded: Callable[[bytes], bool]
) -> tuple[list[Row], list[Failure]]:
    """Decide which copies get a row: those with an identical image that was encoded.

    Parameters
    ----------
    copies : iterable of Row
        Images that were skipped because an identical image came earlier.
    is_encoded : callable
        Whether an image with this key has features.

    Returns
    -------
    rows : list of Row
        Copies of encoded images. Each takes over the features of the image with its key.
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
