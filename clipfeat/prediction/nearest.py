"""Nearest training images by the cosine distance between standardised features."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.views import ORIGINAL
from clipfeat.features import FeatureSet
from clipfeat.spec import EncoderSpec


@dataclass(frozen=True)
class Neighbour:
    """A training image that is similar to another image.

    Parameters
    ----------
    path : str
        Path of its file, relative to the root of the feature file.
    label : str
        Class of the training image. Empty if unknown.
    distance : float
        Cosine distance between the standardised features of the two images, in [0, 2]. It is
        averaged over the encoders.
    """

    path: str
    label: str
    distance: float


class NearestImages:
    """Training images whose features are standardised once for many searches.

    Views, which are degraded or flipped copies of an image, are not searched.

    Every search compares all training images, in a single matrix product.

    Parameters
    ----------
    features : FeatureSet
        Features of the training images. They define the mean and the standard deviation of each
        column.
    specs : sequence of EncoderSpec
        The encoders to use, whole or restricted to some layers.

    Raises
    ------
    FingerprintError
        If `features` do not come from these encoders.
    """

    def __init__(self, features: FeatureSet, specs: Sequence[EncoderSpec]) -> None:
        views = features.columns.get("view")
        if views is not None:
            features = features.take(np.isin(views, ["", ORIGINAL]))
        known = features.columns_of(specs)
        ends = np.cumsum([spec.n_features for spec in specs]).tolist()
        self._blocks = [
            slice(end - spec.n_features, end) for spec, end in zip(specs, ends, strict=True)
        ]
        self.files = features.files.tolist()
        self._labels, self._keys = features.labels, features.keys
        self._mean, self._scale = known.mean(axis=0), known.std(axis=0)
        self._scale[self._scale == 0] = 1
        self._units = self._in_units(known)

    def distances(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute the distances of images to all training images.

        Parameters
        ----------
        X : ndarray of shape (n_images, n_features), float32
            Features of the images, in the columns of `specs`.

        Returns
        -------
        ndarray of shape (n_images, n_training_images)
            Distances.
        """
        cosines = self._in_units(X) @ self._units.T
        return np.clip(1 - cosines.astype(np.float64), 0, 2)

    def nearest(
        self, X: NDArray[np.float32], n: int, without: Collection[bytes] = ()
    ) -> list[list[Neighbour]]:
        """List the nearest training images of each image in ascending order of distance.

        A file with several rows, such as a video, is listed once with its nearest row.

        Parameters
        ----------
        X : ndarray of shape (n_images, n_features), float32
            As in `distances`.
        n : int
            Number of training images to list for each image.
        without : collection of bytes
            Content hashes of training images that are not listed.
        """
        return [self._nearest(row, n, without) for row in self.distances(X)]

    def _nearest(
        self, distances: NDArray[np.float64], n: int, without: Collection[bytes]
    ) -> list[Neighbour]:
        nearest: dict[str, Neighbour] = {}
        for i in np.argsort(distances, kind="stable").tolist():
            if len(nearest) == n:
                break
            file = self.files[i]
            if file not in nearest and self._keys[i] not in without:
                nearest[file] = Neighbour(file, str(self._labels[i]), float(distances[i]))
        return list(nearest.values())

    def _in_units(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardise the columns, and scale each encoder's part of a row to the same length.

        The dot product of two rows is then the mean of the encoders' cosine similarities.
        """
        rows = (X - self._mean) / self._scale
        for block in self._blocks:
            length = np.linalg.norm(rows[:, block], axis=1, keepdims=True)
            rows[:, block] /= np.maximum(length, 1e-12) * len(self._blocks) ** 0.5
        units: NDArray[np.float32] = rows.astype(np.float32, copy=False)
        return units
