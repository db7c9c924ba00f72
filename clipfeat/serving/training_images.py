"""The training images nearest to an image, with thumbnails for the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Self

from clipfeat.features import FeatureSet
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.readers import Reader
from clipfeat.images.thumbnails import archive_inside, find_readers, is_inside, thumbnail
from clipfeat.model import Model
from clipfeat.prediction.nearest import NearestImages, Neighbour
from clipfeat.serving.pictures import png_address
from clipfeat.store import load
from clipfeat.store.image_folder import image_folder

N_NEIGHBOURS = 8
SIDE = 160
"""Longest side of a thumbnail in pixels."""


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Training images that can be searched and shown.

    Parameters
    ----------
    nearest : NearestImages
        The search.
    root : str
        Folder of the images. Empty if they are not shown.
    """

    nearest: NearestImages
    root: str = ""
    _members: dict[Path, dict[str, Reader]] = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @classmethod
    def open(
        cls, model: Model, files: Sequence[str | Path], images: str | Path | None = None
    ) -> Self:
        """Load the feature files that a model was fitted on.

        Parameters
        ----------
        model : Model
            The model.
        files : sequence of path
            Feature files, one for each encoder of the model.
        images : path, optional
            Folder of the images. See `clipfeat.store.image_folder.image_folder`.

        Raises
        ------
        FingerprintError
            If the features do not come from the model's encoders.
        RefusedFileError
            If a feature file is damaged.
        UsageError
            If `images` is not a folder.
        """
        root = image_folder(files[0], images)
        return cls(NearestImages(load(*files), model.specs), root)

    def neighbours(self, features: FeatureSet) -> list[Neighbour]:
        """List the training images nearest to an image, without the image itself.

        If the image has several faces, only the first one is searched.
        """
        return self.nearest.nearest(features.X[:1], N_NEIGHBOURS, features.keys.tolist())[0]

    def pictures(self, paths: Sequence[str], decoder: IsolatedDecoder) -> dict[str, str]:
        """Return thumbnails as ``data:`` addresses, by path. Unreadable images are left out."""
        readers = {path: self._reader(path) for path in paths}
        pngs = {
            path: thumbnail(reader, decoder, SIDE) for path, reader in readers.items() if reader
        }
        return {path: png_address(png) for path, png in pngs.items() if png is not None}

    def _reader(self, path: str) -> Reader | None:
        archive = archive_inside(self.root, path) if self.root and is_inside(path) else None
        if archive is None:
            return find_readers([path], [self.root]).get(path) if self.root else None
        with self._lock:
            if archive not in self._members:  # listing a large archive takes long
                start = archive.relative_to(self.root).as_posix()
                members = [file for file in self.nearest.files if file.startswith(start)]
                self._members[archive] = find_readers(members, [self.root])
            return self._members[archive].get(path)
