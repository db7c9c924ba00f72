"""Parquet files for Embedding Atlas (https://apple.github.io/embedding-atlas).

The columns have the types that the command line of Embedding Atlas expects: ``image`` is a struct
of bytes and path, ``vector`` a list, and ``neighbors`` a struct of the lists ``ids`` (numbers of
rows) and ``distances``. The first neighbour of a row is the row itself, as in Embedding Atlas.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.browsing.projection import MAX, has_umap, pca_points, umap_points
from clipfeat.errors import missing_extra
from clipfeat.exporting.handoff.rows import PREDICTED, HandoffRows
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.thumbnails import thumbnail
from clipfeat.system.files import replacing
from clipfeat.system.progress import Phase, Report

NEXT_STEP = "embedding-atlas {} --image image --vector vector --x x --y y --neighbors neighbors"
N_NEIGHBOURS = 15
"""Number of neighbours, which is the default of Embedding Atlas."""
SIDE = 256
"""Largest side of the images in pixels. Embedding Atlas shows them as small pictures."""


def write(rows: HandoffRows, out: Path, report: Report) -> int:
    """Write a Parquet file, and return the number of images in it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_extra("writing Parquet files", "pyarrow", "parquet") from error
    report(Phase("projecting"))
    x, y, projection = project(rows.X)
    report(Phase("finding neighbours"))
    ids, distances = nearest(rows.X)
    texts = rows.texts({"image", "vector", "x", "y", "neighbors", PREDICTED, *rows.probabilities})
    values: dict[str, Any] = {**texts, "x": x, "y": y}
    if rows.predictions is not None:
        values[PREDICTED] = np.array(rows.predicted, dtype=object)
        values |= rows.probabilities
    spec = rows.data.features.specs[0]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = {
        "image": image,
        **{name: pa.array(column[:0]).type for name, column in values.items()},
        "vector": pa.list_(pa.float32()),
        "neighbors": pa.struct(
            [("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))]
        ),
    }
    if PREDICTED in values:
        fields[PREDICTED] = pa.string()
    about = {"clipfeat.fingerprint": spec.fingerprint, "clipfeat.projection": projection}
    schema = pa.schema(list(fields.items()), metadata=about)
    n_images = 0
    with (
        replacing(out) as temporary,
        IsolatedDecoder() as decoder,
        pq.ParquetWriter(temporary, schema) as writer,
    ):
        for batch in rows.batches():
            report(Phase("writing", int(batch[0]), len(rows), "images"))
            pictures = [
                thumbnail(reader, decoder, SIDE, "JPEG") if (reader := rows.reader(row)) else None
                for row in batch.tolist()
            ]
            n_images += sum(picture is not None for picture in pictures)
            columns = {
                "image": [
                    {"bytes": picture, "path": str(path)}
                    for picture, path in zip(pictures, texts["path"][batch], strict=True)
                ],
                **{name: column[batch] for name, column in values.items()},
                "vector": list(rows.X[batch]),
                "neighbors": [
                    {"ids": ids[row], "distances": distances[row]} for row in batch.tolist()
                ],
            }
            arrays = [pa.array(columns[name], type=kind) for name, kind in fields.items()]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return n_images


def project(
    X: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], str]:
    """Project features to two dimensions in [0, 1], with UMAP if it is installed.

    Returns
    -------
    x, y : ndarray of shape (n_rows,), float32
        The coordinates. The second axis points up.
    method : str
        ``"umap"`` or ``"pca"``.
    """
    method = "umap" if has_umap() else "pca"
    points = umap_points(X) if method == "umap" else pca_points(X)
    x, y = (points / np.float32(MAX)).T
    return x, 1 - y, method


def nearest(X: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the rows with the smallest cosine distance to each row.

    Returns
    -------
    ids : ndarray of shape (n_rows, n), int64
        Row numbers. The first of each row is the row itself.
    distances : ndarray of shape (n_rows, n), float32
        Cosine distances, ascending.
    """
    from sklearn.neighbors import NearestNeighbors

    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    index = NearestNeighbors(
        n_neighbors=min(N_NEIGHBOURS, len(X)), algorithm="brute", metric="euclidean"
    ).fit(unit)
    distances, ids = index.kneighbors(unit)
    # An identical image may come first.
    own = np.arange(len(X))[:, None]
    order = np.argsort(np.where(ids == own, -1, distances), axis=1, kind="stable")
    ids, distances = (np.take_along_axis(values, order, axis=1) for values in (ids, distances))
    # With many identical images, a row may be missing among its own neighbours.
    first = ids[:, 0] != own[:, 0]
    ids[first, 0] = own[first, 0]
    distances[:, 0] = 0
    return ids, (np.square(distances) / 2).astype(np.float32)
