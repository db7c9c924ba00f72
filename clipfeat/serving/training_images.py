"""The training images nearest to an image, with thumbnails for the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from clipfeat.features import FeatureSet
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.thumbnails import ImageFinder, thumbnail
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
        Search among the features of the training images.
    root : str
        Folder of the images. Empty if they are not shown.
    """

    nearest: NearestImages
    root: str = ""

    @cached_property
    def _finder(self) -> ImageFinder:
        roots = [self.root] if self.root else []
        return ImageFinder(self.nearest.files, roots)

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
        readers = {path: self._finder.reader(path) for path in paths}
        pngs = {
            path: thumbnail(reader, decoder, SIDE) for path, reader in readers.items() if reader
        }
        return {path: png_address(png) for path, png in pngs.items() if png is not None}
