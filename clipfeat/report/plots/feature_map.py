"""Features on a plane: what lies near what, before any classifier has seen a label."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.features import FeatureSet
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import COLOURS, MARKERS, MOST, blank, legend, named

Points = NDArray[np.float64]

ROWS = 5_000
"""That PCA sees."""
FEW_ROWS = 1_000
"""That t-SNE sees, which takes far longer for each."""
VALUES = 12
"""That can be told apart."""
MIDDLE = 50
"""Dimensions that neighbours are looked for in."""


def feature_maps(features: FeatureSet, column: str = "") -> list[Plot]:
    """Maps by PCA and by t-SNE; by label, and by a column.

    Parameters
    ----------
    features : FeatureSet
        Rows without a label are left out; of many rows, some are drawn at random. Of rows that
        are all alike there is no map.
    column : str
        One of its columns, which is shown where it has 2 to 12 values.
    """
    known = np.flatnonzero(features.y >= 0)
    rows = np.sort(np.random.default_rng(0).permutation(known)[:ROWS])
    X = features.X[rows].astype(np.float64)
    if len(rows) < 3 or not np.ptp(X, axis=0).any():
        return []
    X -= X.mean(axis=0)
    spread = X.std(axis=0)
    X /= np.where(spread > 0, spread, 1)
    middle, explained = _components(X)
    colourings = {"label": (features.labels[rows], list(features.classes))}
    if column:
        values = features.column(column)[rows]
        names = np.unique(values).tolist()
        if 2 <= len(names) <= VALUES:
            colourings[column] = values, names
    plots = []
    axes = (f"component 1 ({explained[0]:.1%})", f"component 2 ({explained[1]:.1%})")
    for by, (values, order) in colourings.items():
        plots.append(_map("PCA", middle[:, :2], values, order, by, len(known), axes))
    kept = np.sort(np.random.default_rng(1).permutation(len(rows))[:FEW_ROWS])
    flat = _tsne(middle[kept])
    for by, (values, order) in colourings.items():
        plots.append(_map("t-SNE", flat, values[kept], order, by, len(known), ("", "")))
    return plots


def _components(X: Points) -> tuple[Points, Points]:
    """The leading principal components, and the share of the variance along each."""
    from sklearn.decomposition import PCA

    pca = PCA(min(MIDDLE, *X.shape), svd_solver="randomized", random_state=0)
    flat = pca.fit_transform(X)
    missing = max(2 - flat.shape[1], 0)
    shares = np.pad(pca.explained_variance_ratio_, (0, missing))
    return np.pad(flat, ((0, 0), (0, missing))), shares


def _tsne(X: Points) -> Points:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(X) - 1) / 3)
    start = "random" if X.shape[1] < 2 else "pca"
    with threadpool_limits(1):  # so few rows gain nothing by threads that wait for each other
        flat: Points = TSNE(
            init=start, perplexity=perplexity, random_state=0, max_iter=500
        ).fit_transform(X)
    return flat


def _map(
    method: str,
    flat: Points,
    values: NDArray[np.str_],
    order: Sequence[str],
    by: str,
    n: int,
    axes: tuple[str, str],
) -> Plot:
    """One map: a point an image, a marker and a colour for each value, in their order."""
    figure, ax = blank(4.6, 4.6, f"{method}, by {named(by)}")
    names = [name for name in order if name in set(values.tolist())]
    shown = names[:VALUES]
    size = float(np.clip(16_000 / len(flat), 9, 36))
    for place, name in enumerate(shown):
        x, y = flat[values == name].T
        ax.scatter(
            x, y, s=size, marker=MARKERS[place], color=COLOURS[place % MOST],
            alpha=0.6, linewidths=0, rasterized=True,
        )  # fmt: skip
    handles = [
        ax.plot([], [], MARKERS[place], color=COLOURS[place % MOST], markersize=7)[0]
        for place in range(len(shown))
    ]
    ax.set(xlabel=axes[0], ylabel=axes[1])
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    legend(figure, [named(name, 20) or "(none)" for name in shown], handles)
    drawn = f" {len(flat):,} of {n:,} images, drawn at random." if len(flat) < n else ""
    reading = (
        "The plane along which standardised features vary most."
        if method == "PCA"
        else "Near points have near features; distances between clusters say little."
    )
    return Plot(
        file_name(method, "by", by),
        figure,
        f"{reading} Classes that lie apart are easy; a cluster of its own is worth a look.{drawn}"
        + (f" The first {VALUES} of {len(names)}." if len(names) > VALUES else ""),
        f"{method} of the features of {len(flat):,} images, marked by {named(by)}: "
        f"{', '.join(named(name, 20) for name in shown)}.",
    )
