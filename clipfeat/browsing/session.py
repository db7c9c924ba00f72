"""The state of a running application: predictions, lists and maps, each computed once."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.browsing.background import Background
from clipfeat.browsing.data import BrowseData, BrowseFacet
from clipfeat.browsing.file_cache import FileCache
from clipfeat.browsing.image_search import has_texts
from clipfeat.browsing.lists import LISTS, BrowseList
from clipfeat.browsing.projection import has_umap, pca_points, umap_points
from clipfeat.browsing.query import BrowseQuery
from clipfeat.browsing.run_predictions import (
    BrowsePredictions,
    predictions_from_run,
    predictions_of,
    run_entries,
)
from clipfeat.browsing.selecting import Rows, select
from clipfeat.browsing.thumbnails import BrowseThumbnails
from clipfeat.errors import ClipfeatError, UsageError, unknown_name
from clipfeat.evaluate.result import Benchmark
from clipfeat.features.relabelling import relabelled
from clipfeat.labelling.label_session import LabelSession

PCA = "pca"
UMAP = "umap"


class NotReadyError(ClipfeatError):
    """Error for a result that is still being computed. The page repeats the request."""


@dataclass(frozen=True)
class BrowseDetail:
    """Facts about a file that its entry in the grid shows.

    Parameters
    ----------
    path : str
        Path of the file.
    label : str
        Name of the class. Empty if it is unknown.
    predicted : str
        Predicted class. Empty without a prediction.
    confidence : float or None
        Probability of the predicted class.
    wrong : bool
        Whether the prediction differs from the label.
    note : str
        Note of the list that the page shows.
    cluster : int or None
        Number of the cluster in this list.
    """

    path: str
    label: str
    predicted: str = ""
    confidence: float | None = None
    wrong: bool = False
    note: str = ""
    cluster: int | None = None


class BrowseSession:
    """Images to browse, and the results that were computed for them.

    Parameters
    ----------
    data : BrowseData
        The images.
    thumbnails : BrowseThumbnails
        Their thumbnails.
    run : Benchmark, optional
        Run with out-of-fold predictions.
    map_cache : FileCache, optional
        Cache of the UMAP maps.
    labels : LabelSession, optional
        Decisions about labels, which replace the labels of the images.

    Attributes
    ----------
    has_texts : bool
        Whether the images can be searched by text.
    """

    def __init__(
        self,
        data: BrowseData,
        thumbnails: BrowseThumbnails,
        run: Benchmark | None = None,
        map_cache: FileCache | None = None,
        labels: LabelSession | None = None,
    ) -> None:
        self.data = data
        self.thumbnails = thumbnails
        self.run = run
        self.labels = labels
        self.background = Background()
        self._map_cache = map_cache
        self._own_features = data.features
        self._shown_labels: Mapping[str, str] = {}
        self._lock = RLock()
        self._predictions: dict[str, BrowsePredictions] = {}
        self._entries = run_entries(run) if run is not None else []
        self.has_texts = has_texts(data)
        self.refresh_labels()

    def prepare(self) -> None:
        """Compute or start everything that the first page shows, so that it opens quickly.

        Raises
        ------
        DataError
            If the run has no predictions for the images.
        """
        self.facets(self._entries[0] if self._entries else "")
        _ = self.data.version
        self.map_future(PCA)

    @property
    def entries(self) -> list[str]:
        """Names of the classifiers with predictions, best first."""
        return list(self._entries)

    @property
    def maps(self) -> list[str]:
        """Names of the available maps."""
        return [PCA, UMAP] if has_umap() else [PCA]

    def refresh_labels(self) -> None:
        """Apply the decisions about labels that were made since the last call."""
        labels = {} if self.labels is None else self.labels.labels()
        with self._lock:
            if labels == self._shown_labels:
                return
            features = relabelled(self._own_features, labels)
            data = replace(self.data, subject=replace(self.data.subject, features=features))
            self._predictions = {
                name: predictions_of(data, name, one.classes, one.p, one.predicted)
                for name, one in self._predictions.items()
            }
            self.data, self._shown_labels = data, labels
            for name in LISTS:
                for entry in ("", *self._entries):
                    self.background.forget(_list_name(name, entry))

    def predictions(self, entry: str) -> BrowsePredictions | None:
        """Return the predictions of a classifier, or None for the empty name.

        Raises
        ------
        UnknownNameError
            If there is no such classifier.
        DataError
            If the classifier has no predictions for the images.
        """
        if not entry:
            return None
        if entry not in self._entries:
            raise unknown_name("classifier", entry, self._entries)
        with self._lock:
            if entry not in self._predictions and self.run is not None:
                self._predictions[entry] = predictions_from_run(self.data, self.run, entry)
            return self._predictions[entry]

    def facets(self, entry: str) -> Mapping[str, BrowseFacet]:
        """Return the facets of the images and of a classifier's predictions, by key."""
        predictions = self.predictions(entry)
        if predictions is None:
            return self.data.facets
        own = predictions.facets(self.data.features.y >= 0)
        return {**self.data.facets, **{facet.key: facet for facet in own}}

    def list_future(self, name: str, entry: str) -> "Future[BrowseList]":
        """Return the future of a list of `clipfeat.browsing.lists.LISTS`.

        Raises
        ------
        UnknownNameError
            If there is no such list.
        """
        if name not in LISTS:
            raise unknown_name("list", name, LISTS)
        kind = LISTS[name]
        key = _list_name(name, entry if kind.uses_predictions else "")
        with self._lock:  # labels must not change before the request has started
            data = self.data
            predictions = self.predictions(entry) if kind.uses_predictions else None

            def make() -> BrowseList:
                if kind.search is None:
                    return kind.make(data, predictions)
                search, own, of_search = kind.search, data.features, f"search {name}"
                # The features never change, so the result of a search is reused for new labels.
                future = self.background.request(of_search, lambda: search(own))
                if future.exception() is not None:  # the list reports it
                    self.background.forget(of_search)
                return kind.make(data, predictions, future.result())

            return self.background.request(key, make)

    def map_future(self, name: str) -> "Future[NDArray[np.uint16]]":
        """Return the future of a map.

        Raises
        ------
        UnknownNameError
            If there is no such map.
        """
        if name not in self.maps:
            raise unknown_name("map", name, self.maps)
        X = self.data.features.X
        if name == UMAP:
            return self.background.request(name, lambda: umap_points(X, self._map_cache))
        return self.background.request(name, lambda: pca_points(X))

    def rows(self, query: BrowseQuery) -> Rows:
        """Return the rows that a query selects, in its order.

        Raises
        ------
        NotReadyError
            If the query needs a list or a map that is still being computed.
        ClipfeatError
            If the query is invalid.
        """
        listed = finished(self.list_future(query.show, query.entry)).rows if query.is_list else None
        points = finished(self.map_future(query.brush.map)) if query.brush else None
        facets, predictions = self.facets(query.entry), self.predictions(query.entry)
        return select(self.data, query, facets, predictions, listed, points)

    def details(self, rows: Sequence[int], query: BrowseQuery) -> list[BrowseDetail]:
        """Return facts about files for a grid that shows a query.

        Raises
        ------
        NotReadyError
            If the query's list is still being computed.
        UsageError
            If a row does not exist.
        """
        listed = BrowseList(np.empty(0, dtype=np.int64))
        if query.is_list:
            listed = finished(self.list_future(query.show, query.entry))
        predictions = self.predictions(query.entry)
        return [self._detail(self.checked(row), listed, predictions) for row in rows]

    def checked(self, row: int) -> int:
        """Check that a row number exists, and return it.

        Raises
        ------
        UsageError
            If there is no such row.
        """
        if not 0 <= row < len(self.data):
            raise UsageError(f"there is no image {row}. The last one is {len(self.data) - 1}")
        return row

    def _detail(
        self, row: int, listed: BrowseList, predictions: BrowsePredictions | None
    ) -> BrowseDetail:
        path = str(self.data.paths[row])
        y = int(self.data.features.y[row])
        label = self.data.features.classes[y] if y >= 0 else ""
        if self.labels is not None:  # includes decisions since the last refresh
            label = self.labels.label_of(row)
        note, cluster = listed.notes.get(row, ""), listed.clusters.get(row)
        if predictions is None or predictions.predicted[row] < 0:
            return BrowseDetail(path, label, note=note, cluster=cluster)
        code = int(predictions.predicted[row])
        return BrowseDetail(
            path, label, predictions.classes[code], float(predictions.p[row, code]),
            bool(label) and label != predictions.classes[code], note, cluster,
        )  # fmt: skip


def finished(future: "Future[Any]") -> Any:
    """Return the result of a future that has finished.

    Raises
    ------
    NotReadyError
        If it has not finished, or was cancelled because newer labels are used.
    """
    if not future.done() or future.cancelled():
        raise NotReadyError("the result is still being computed")
    return future.result()


def _list_name(name: str, entry: str) -> str:
    return f"list {name} {entry}"
