"""The folder from which pages may show the images of a feature file."""

from pathlib import Path

from clipfeat.errors import UsageError
from clipfeat.store.loading import stored_root
from clipfeat.system.own_files import is_own


def image_folder(features: str | Path, images: str | Path | None = None) -> str:
    """Return the folder of a feature file's images, or an empty string if it is not trusted.

    Parameters
    ----------
    features : path
        The feature file.
    images : path, optional
        The folder that the user passed. None selects the folder that the feature file records. The
        recorded folder is trusted only if this user has embedded its images into the file on this
        computer.

    Raises
    ------
    UsageError
        If `images` is not a folder.
    RefusedFileError
        If the feature file is damaged.
    """
    if images is not None:
        if not Path(images).is_dir():
            raise UsageError(f"--images {images} is not a folder. Pass the folder of the images")
        return str(images)
    root = stored_root(features) or ""
    return root if root and is_own(features, root) else ""
