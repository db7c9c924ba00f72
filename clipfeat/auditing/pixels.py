"""Properties of pixels: brightness, colour cast, saturation, sharpness, borders and corners.

A classifier can learn such a property instead of the content, for example the watermark or the
border that all images of one source have. Because decoding takes time, only a sample of the images
is measured.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.auditing.subject import Properties
from clipfeat.errors import ImageError
from clipfeat.images.isolated import IsolatedDecoder, Isolation, default_workers
from clipfeat.images.readers import Reader

MAX_IMAGES = 600
"""Maximum number of images that are decoded, about equally many of each class."""
IMAGES_PER_WORKER = 100
"""Number of images for which starting another decoding process saves time."""
SIDE = 256
"""Longest side at which all properties except borders are measured."""
MAX_RANGE = 10
"""Maximum range of a channel in a constant row or column. JPEG compression adds some noise."""
CORNERS = {"corner": 8, "small_corner": 24, "tiny_corner": 64}
"""Properties of corners, each with a number that determines the size of its patches.

The side of a patch is the shorter side of the image divided by the number. A patch shows a
watermark only if the watermark fills most of the patch. DALL-E 2, for example, draws squares whose
side is 1/64 of the image."""
PATCH = 8
"""Side in pixels to which a patch is resized."""
RED, GREEN, BLUE = 0, 1, 2

Pixels = NDArray[np.uint8]
Patches = NDArray[np.float32]


def pixel_properties(
    readers: Mapping[int, Reader], y: NDArray[np.int64], keys: NDArray[np.bytes_]
) -> Properties:
    """Measure properties of the pixels of a sample of the images.

    Parameters
    ----------
    readers : mapping of int to Reader
        Readers of the images that can be decoded, by row number.
    y : ndarray of shape (n_files,)
        Class of each row; -1 for an unknown label.
    keys : ndarray of shape (n_files,)
        Content hash of each row. The sample is chosen by hash, so it does not depend on the order
        of the rows.

    Returns
    -------
    mapping of str to ndarray of shape (n_files,), float64
        Properties by name, NaN in the rows that are not in the sample or cannot be decoded. Empty
        if no image can be decoded.
    """
    rows = _sample(np.array(sorted(readers), dtype=np.int64), y, keys)
    isolation = Isolation("clipfeat.images.reduced:decode_reduced")
    n_workers = min(default_workers(), 1 + len(rows) // IMAGES_PER_WORKER)
    with IsolatedDecoder(isolation) as decoder, ThreadPoolExecutor(n_workers) as pool:

        def measure(row: int) -> tuple[dict[str, float], dict[str, Patches]] | None:
            try:
                with decoder.decoded(readers[row].read()) as decoded:
                    pixels = decoded.pixels
                    corners = {name: _corners(pixels, share) for name, share in CORNERS.items()}
                    return _properties_of(pixels), corners
            except ImageError:
                return None

        measured = dict(zip(rows, pool.map(measure, rows), strict=True))

    known = {row: of for row, of in measured.items() if of is not None}
    if not known:
        return {}
    at = np.array(list(known))
    names = next(iter(known.values()))[0]
    columns = {name: np.array([of[name] for of, _ in known.values()]) for name in names}
    for name in CORNERS:
        patches = np.stack([corners[name] for _, corners in known.values()])
        columns[name] = _distance_to_others(patches)
    properties: Properties = {}
    for name, values in columns.items():
        properties[name] = np.full(len(y), np.nan)
        properties[name][at] = values
    return properties


def _sample(rows: NDArray[np.int64], y: NDArray[np.int64], keys: NDArray[np.bytes_]) -> list[int]:
    """Choose up to `MAX_IMAGES` labelled rows, about equally many of each class.

    A content hash is as good as random, so the rows with the smallest hashes are a random sample.
    """
    labelled = rows[y[rows] >= 0]
    shuffled = labelled[np.argsort(keys[labelled], kind="stable")]
    codes = np.unique(y[shuffled])
    n_each = MAX_IMAGES // max(1, len(codes))
    drawn = [shuffled[y[shuffled] == code][:n_each] for code in codes]
    return np.sort(np.concatenate(drawn)).tolist() if drawn else []


def _properties_of(pixels: Pixels) -> dict[str, float]:
    """Measure the properties of one image that do not depend on the other images."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    small = np.asarray(image, dtype=np.float32)
    grey = small.mean(axis=2)
    means = small.mean(axis=(0, 1))
    high = small.max(axis=2)
    padded = np.pad(grey, 1, mode="edge")
    laplacian = (
        padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
    )
    return {
        "brightness": float(grey.mean()),
        "red_cast": float(means[RED] - means[GREEN]),
        "blue_cast": float(means[BLUE] - means[GREEN]),
        "saturation": float(((high - small.min(axis=2)) / np.maximum(high, 1)).mean()),
        "sharpness": float(np.log10(laplacian.var() + 1e-3)),
        "border": max(_border(pixels), _border(pixels.swapaxes(0, 1))),
    }


def _border(pixels: Pixels) -> float:
    """Return the share of the rows that belong to constant borders at the top and the bottom."""

    def constant_rows(rows: Sequence[Pixels] | Pixels) -> int:
        for number, row in enumerate(rows):
            if int(np.ptp(row, axis=0).max()) > MAX_RANGE:
                return number
        return len(rows)

    top = constant_rows(pixels)
    return 1.0 if top == len(pixels) else (top + constant_rows(pixels[::-1])) / len(pixels)


def _corners(pixels: Pixels, share: int) -> Patches:
    """Return the patches of the four corners, resized to `PATCH` x `PATCH` pixels."""
    side = max(1, min(pixels.shape[:2]) // share)
    near, far = slice(None, side), slice(-side, None)
    patches = [
        Image.fromarray(np.ascontiguousarray(pixels[rows, columns]))
        for rows in (near, far)
        for columns in (near, far)
    ]
    resized = [one.resize((PATCH, PATCH), Image.Resampling.BOX) for one in patches]
    return np.stack([np.asarray(one, dtype=np.float32).ravel() for one in resized])


def _distance_to_others(patches: Patches) -> NDArray[np.float64]:
    """Return how much the corners of each image differ from those of the most similar images.

    For each corner, this is the mean difference of the pixels to the second most similar image,
    because the most similar image may be a duplicate. The smallest value of the four corners is
    returned. It is about 0 for a watermark or a constant patch that occurs in at least three
    images.
    """
    from scipy.spatial.distance import cdist

    n, n_corners, n_values = patches.shape
    if n < 3:
        return np.full(n, np.nan)
    smallest = np.full(n, np.inf)
    for corner in range(n_corners):
        distances = cdist(patches[:, corner], patches[:, corner], "cityblock") / n_values
        np.fill_diagonal(distances, np.inf)
        smallest = np.minimum(smallest, np.partition(distances, 1, axis=1)[:, 1])
    return smallest
