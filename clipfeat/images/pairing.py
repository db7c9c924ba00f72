"""The rule by which side-car files of an archive are paired with images.

A side-car belongs to the images with the same name up to the last dot: ``a.cls`` belongs to
``a.png``. If an image has no such side-car, its name up to the first dot is used instead, as in
webdataset: ``a.cls`` then also belongs to ``a.left.png``. Names are compared like those in a table.
See `clipfeat.features.pairing`.
"""

from collections.abc import Sequence

from clipfeat.errors import DataError
from clipfeat.features.pairing import Names
from clipfeat.images.member_names import plain_path


def pair_sidecars(images: Sequence[str], sidecars: Sequence[str], archive: str) -> list[int | None]:
    """Pair images with side-car files of one suffix.

    Parameters
    ----------
    images : sequence of str
        Names of the images.
    sidecars : sequence of str
        Names of the side-cars, all different.
    archive : str
        Name of the archive, for messages.

    Returns
    -------
    list of int or None
        Index into `sidecars` for each image. None if it has no side-car.

    Raises
    ------
    DataError
        If two side-cars belong to one image.

    Examples
    --------
    >>> pair_sidecars(["v1.2.png", "v1.3.png", "a.left.png"], ["v1.2.cls", "a.cls"], "x.tar")
    [0, None, 1]
    """
    known = Names(before_last_dot(name) for name in sidecars)
    indices: list[int | None] = []
    for image in images:
        equal = known[before_last_dot(image)] or known[_before_first_dot(image)]
        if len(equal) > 1:
            raise DataError(
                f"{sidecars[equal[0]]!r} and {sidecars[equal[1]]!r} in {archive} both belong to "
                f"{image!r}. Remove one of them"
            )
        indices.append(equal[0] if equal else None)
    return indices


def before_last_dot(name: str) -> str:
    """Return a name without its last suffix, and without a leading ``./``."""
    folder, slash, base = plain_path(name).rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)


def _before_first_dot(name: str) -> str:
    folder, slash, base = plain_path(name).rpartition("/")
    return folder + slash + (base.partition(".")[0] or base)
