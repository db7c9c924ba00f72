"""Maps of the features: two coordinates for each image.

The features are scaled to unit length first, as in the search for near duplicates. The principal
components are computed from a sample, because the first two components of 10,000 rows differ little
from those of all rows. UMAP takes 50 principal components as its input.
"""

import hashlib
import io
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from clipfeat.browsing.file_cache import FileCache
from clipfeat.errors import ClipfeatError, DataError
from clipfeat.system.process_limits import child_environment, ending

N_SAMPLED = 10_000
"""Number of rows from which the principal components are computed."""
N_COMPONENTS = 50
"""Number of principal components that UMAP takes as its input."""
BLOCK = 4_096
OUTLIERS = 0.1
"""Percentage of the rows at each end of an axis that may be moved to the border of a map."""
MAX = 65_535
UMAP_MODULE = "clipfeat.browsing.umap_process"


def has_umap() -> bool:
    """Return whether ``umap-learn`` is installed."""
    return find_spec("umap") is not None


def principal_components(X: NDArray[np.float32], n: int = 2) -> NDArray[np.float32]:
    """Project features onto their first principal components.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        Features.
    n : int
        Maximum number of components. It is limited by the numbers of rows and columns of `X`.

    Returns
    -------
    ndarray of shape (n_samples, n_components), float32

    Raises
    ------
    DataError
        If there are fewer than 3 rows, or no columns.
    """
    from sklearn.decomposition import PCA

    n = min(n, len(X), X.shape[1])
    if len(X) < 3 or not n:
        raise DataError(f"a map needs 3 or more images with features, got {len(X)}. Add images")
    sample = np.arange(len(X))
    if len(X) > N_SAMPLED:
        sample = np.sort(np.random.default_rng(0).permutation(len(X))[:N_SAMPLED])
    with np.errstate(invalid="ignore"):  # the explained share of equal rows is 0 / 0
        fitted = PCA(n, svd_solver="randomized", random_state=0).fit(_unit(X[sample]))
    points = np.empty((len(X), n), dtype=np.float32)
    for start in range(0, len(X), BLOCK):
        rows = slice(start, start + BLOCK)
        points[rows] = (_unit(X[rows]) - fitted.mean_) @ fitted.components_.T
    return points


def pca_points(X: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return a map of the first two principal components, as `quantised` points."""
    points = principal_components(X)
    if points.shape[1] < 2:
        points = np.hstack([points, np.zeros_like(points)])
    return quantised(points)


def umap_points(X: NDArray[np.float32], cache: FileCache | None = None) -> NDArray[np.uint16]:
    """Return a map by UMAP, as `quantised` points.

    UMAP runs in a child process, because its compiled code would block the server's threads for
    seconds.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        Features.
    cache : FileCache, optional
        Cache of the maps, because UMAP takes minutes for 100,000 rows.

    Raises
    ------
    ClipfeatError
        If the process fails.
    """
    components = np.ascontiguousarray(principal_components(X, N_COMPONENTS))
    digest = hashlib.blake2b(components.tobytes(), digest_size=16).hexdigest()
    if cache is not None and (kept := cache.get(digest)) is not None:
        points = _saved_points(kept, len(X))
        if points is not None:  # a damaged file is computed again
            return quantised(points)
    points = _run_umap(components)
    if cache is not None:
        data = io.BytesIO()
        np.save(data, np.ascontiguousarray(points))
        cache.put(digest, data.getvalue())
    return quantised(points)


def _saved_points(saved: bytes, n: int) -> NDArray[np.float32] | None:
    """Read `n` points from an ``.npy`` file, or return None if it holds anything else.

    `numpy.load` is not used, because it reserves as much memory as the header of the file states.
    """
    head = io.BytesIO()
    np.save(head, np.empty((0, 2), dtype=np.float32))
    size = len(head.getvalue())
    if len(saved) != size + 8 * n:
        return None
    expected = io.BytesIO()
    points = np.frombuffer(saved[size:], dtype=np.float32).reshape(n, 2)
    np.save(expected, points)
    return points if expected.getvalue() == saved and np.isfinite(points).all() else None


def _run_umap(components: NDArray[np.float32]) -> NDArray[np.float32]:
    with TemporaryDirectory(prefix="clipfeat-umap-") as folder:
        source, target, log = (Path(folder, name) for name in ("in.npy", "out.npy", "log"))
        np.save(source, components)
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                [sys.executable, "-P", "-m", UMAP_MODULE, str(source), str(target)],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
                env=child_environment(),
            ) as process,
        ):  # fmt: skip
            code = process.wait()  # the open pipe tells the child that this process is alive
        if code or not target.is_file():
            lines = log.read_text(errors="backslashreplace").strip().splitlines()
            reason = lines[-1] if lines else ending(code)
            raise ClipfeatError(f"UMAP failed: {reason}. Use the map of principal components")
        points: NDArray[np.float32] = np.load(target, allow_pickle=False)
        return points


def quantised(points: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Scale points to whole numbers from 0 to 65,535, with the same scale on both axes.

    With 1,000 points or more, up to `OUTLIERS` percent of the points at each end of an axis are
    moved to the border, so that outliers do not shrink the rest of the map. The second axis points
    down, as on a screen.

    Examples
    --------
    >>> quantised(np.array([[0, 0], [2, 1], [1, 0.5]], dtype=np.float32)).tolist()
    [[0, 49151], [65535, 16384], [32768, 32768]]
    """
    low, high = np.percentile(points, [OUTLIERS, 100 - OUTLIERS], axis=0)
    if len(points) < 1_000:
        low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), np.finfo(np.float32).tiny)
    scaled = (points - (low + high) / 2) / side + 0.5
    scaled[:, 1] = 1 - scaled[:, 1]
    whole: NDArray[np.uint16] = np.rint(np.clip(scaled, 0, 1) * MAX).astype(np.uint16)
    return whole


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
