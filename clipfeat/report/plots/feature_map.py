"""Two-dimensional maps of the features by PCA and t-SNE, made without the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.features import FeatureSet
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import (
    COLOURS,
    MARKERS,
    MAX_SERIES,
    add_legend,
    label_text,
    new_figure,
)
from clipfeat.zoo.one_blas_thread import one_blas_thread

Points = NDArray[np.float64]

MAX_PCA_ROWS = 5_000
MAX_TSNE_ROWS = 1_000
"""t-SNE takes far longer per row than PCA."""
MAX_VALUES = 12
"""Maximum number of values that get a separate marker."""
N_COMPONENTS = 50
"""Number of principal components given to t-SNE."""


@dataclass(frozen=True, eq=False)
class MapPoints:
    """Coordinates of a sample of images in the feature maps.

    Parameters
    ----------
    rows : ndarray of shape (n_pca,)
        Row numbers of the images of the PCA map.
    components : ndarray of shape (n_pca, 2)
        Their first two principal components.
    explained : ndarray
        Explained variance ratio of each component.
    tsne_rows : ndarray of shape (n_tsne,)
        Row numbers of the images of the t-SNE map.
    embedded : ndarray of shape (n_tsne, 2)
        Their coordinates.
    """

    rows: NDArray[np.int64]
    components: Points
    explained: Points
    tsne_rows: NDArray[np.int64]
    embedded: Points


def map_points(features: FeatureSet) -> MapPoints | None:
    """Compute the coordinates of the feature maps, without the labels.

    Rows without a label are omitted. Large sets are sampled at random. If all rows are equal, the
    result is None.
    """
    labelled = np.flatnonzero(features.y >= 0)
    rows = np.sort(np.random.default_rng(0).permutation(labelled)[:MAX_PCA_ROWS])
    X = features.X[rows].astype(np.float64)
    if len(rows) < 3 or not np.ptp(X, axis=0).any():
        return None
    X -= X.mean(axis=0)
    spread = X.std(axis=0)
    X /= np.where(spread > 0, spread, 1)
    components, explained = _principal_components(X)
    kept = np.sort(np.random.default_rng(1).permutation(len(rows))[:MAX_TSNE_ROWS])
    return MapPoints(rows, components[:, :2], explained, rows[kept], _tsne(components[kept]))


def feature_maps(features: FeatureSet, points: MapPoints | None, column: str = "") -> list[Plot]:
    """Plot PCA and t-SNE maps, coloured by label and by a column.

    Parameters
    ----------
    features : FeatureSet
        Features.
    points : MapPoints or None
        Output of `map_points` for these features. If it is None, the result is empty.
    column : str
        Column for a second colouring; used if it has 2 to 12 values.
    """
    if points is None:
        return []
    colourings = {"label": (features.labels, list(features.classes))}
    if column:
        names = np.unique(features.column(column)[points.rows]).tolist()
        if 2 <= len(names) <= MAX_VALUES:
            colourings[column] = features.column(column), names
    n = int((features.y >= 0).sum())
    first, second = points.explained[:2]
    axes = (f"component 1 ({first:.1%})", f"component 2 ({second:.1%})")
    maps = (
        ("PCA", points.rows, points.components, axes),
        ("t-SNE", points.tsne_rows, points.embedded, ("", "")),
    )
    return [
        _map(method, places, values[rows], order, by, n, axes_of)
        for method, rows, places, axes_of in maps
        for by, (values, order) in colourings.items()
    ]


def _principal_components(X: Points) -> tuple[Points, Points]:
    """Return the leading principal components and their explained variance ratios."""
    from sklearn.decomposition import PCA

    pca = PCA(min(N_COMPONENTS, *X.shape), svd_solver="randomized", random_state=0)
    with one_blas_thread():
        components = pca.fit_transform(X)
    missing = max(2 - components.shape[1], 0)
    ratios = np.pad(pca.explained_variance_ratio_, (0, missing))
    return np.pad(components, ((0, 0), (0, missing))), ratios


def _tsne(X: Points) -> Points:
    """Compute a t-SNE map, with scikit-learn-intelex if it is installed.

    On 1,000 digits of scikit-learn, scikit-learn-intelex needs 0.3 s of processor time instead of
    1.3 s. The trustworthiness of the map is 0.981 instead of 0.983.
    """
    from threadpoolctl import threadpool_limits

    try:
        from sklearnex.manifold import TSNE
    except ImportError:
        from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(X) - 1) / 3)
    init = "random" if X.shape[1] < 2 else "pca"
    with threadpool_limits(1):  # with few rows, threads wait for each other
        embedded: Points = TSNE(
            init=init, perplexity=perplexity, random_state=0, max_iter=500
        ).fit_transform(X)
    return embedded


def _map(
    method: str,
    points: Points,
    values: NDArray[np.str_],
    order: Sequence[str],
    by: str,
    n: int,
    axes: tuple[str, str],
) -> Plot:
    """Draw one map: one point per image, one marker and colour per value, in `order`."""
    figure, ax = new_figure(4.6, 4.6, f"{method}, by {label_text(by)}")
    names = [name for name in order if name in set(values.tolist())]
    shown = names[:MAX_VALUES]
    size = float(np.clip(16_000 / len(points), 9, 36))
    for index, name in enumerate(shown):
        x, y = points[values == name].T
        ax.scatter(
            x, y, s=size, marker=MARKERS[index], color=COLOURS[index % MAX_SERIES],
            alpha=0.6, linewidths=0, rasterized=True,
        )  # fmt: skip
    handles = [
        ax.plot([], [], MARKERS[index], color=COLOURS[index % MAX_SERIES], markersize=7)[0]
        for index in range(len(shown))
    ]
    ax.set(xlabel=axes[0], ylabel=axes[1])
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    add_legend(figure, [label_text(name, 20) or "(none)" for name in shown], handles)
    sampled = f" A random sample of {len(points):,} of {n:,} images." if len(points) < n else ""
    reading = (
        "The first two principal components of the standardised features."
        if method == "PCA"
        else "Nearby points have similar features. Distances between clusters carry little meaning."
    )
    return Plot(
        file_name(method, "by", by),
        figure,
        f"{reading} Well-separated classes are easy to classify; inspect the images of an isolated "
        f"cluster.{sampled}"
        + (f" The first {MAX_VALUES} of {len(names)} values." if len(names) > MAX_VALUES else ""),
        f"{method} of the features of {len(points):,} images, marked by {label_text(by)}: "
        f"{', '.join(label_text(name, 20) for name in shown)}.",
    )
