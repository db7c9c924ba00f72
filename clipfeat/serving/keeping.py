"""Storage of uploaded images in a folder, which only ``--keep`` enables."""

import re
from pathlib import Path, PurePosixPath

from clipfeat.images.record import image_key
from clipfeat.system.files import create, storage_errors

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


def keep(data: bytes, name: str, folder: Path) -> Path:
    """Save an image in a folder, named by its content hash and its suffix.

    If an image is sent again with the same suffix, it is saved only once.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        The name that the client sent. Only its suffix is used, and only if the suffix has 1 to 5
        letters or digits.
    folder : Path
        The folder.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    suffix = PurePosixPath(name).suffix.lower()
    suffix = suffix if _SUFFIX.fullmatch(suffix) else ""
    target = folder / (image_key(data).hex() + suffix)
    with storage_errors(f"writing {target}"):
        create(data, target)
    return target
