"""Keeping uploaded images in a folder. Only ``--keep`` does this."""

import re
from pathlib import Path, PurePosixPath

from clipfeat.images.record import image_key
from clipfeat.system.files import create, storage_errors

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


def keep(data: bytes, name: str, folder: Path) -> Path:
    """Write an image into a folder. Its name is its content hash and its suffix.

    An image that is sent again with the same suffix is kept once.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        The name that the client gave. Only a plain suffix is taken from it.
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
