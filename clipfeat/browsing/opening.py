"""Opening of feature files and a run for the application."""

from collections.abc import Sequence
from pathlib import Path

from clipfeat.browsing.data import open_browse_data
from clipfeat.browsing.session import BrowseSession
from clipfeat.browsing.thumbnail_cache import ThumbnailCache
from clipfeat.browsing.thumbnails import BrowseThumbnails
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import FeatureSet
from clipfeat.system.user_cache import user_cache


def open_session(
    features: FeatureSet,
    files: Sequence[str | Path],
    run: str | Path | None = None,
    images: Sequence[str | Path] = (),
) -> BrowseSession:
    """Open the images to browse.

    Parameters
    ----------
    features, files, images
        As in `clipfeat.browsing.data.open_browse_data`.
    run : path, optional
        Folder written by ``clipfeat benchmark -o``, for the out-of-fold predictions.

    Raises
    ------
    ClipfeatError
        If a file or the run is damaged or missing, or if the run has no predictions for the images.
    """
    benchmark = None if run is None else Benchmark.load(run)
    data = open_browse_data(features, files, images)
    cache = user_cache()
    thumbnails = BrowseThumbnails(data, ThumbnailCache(cache / "thumbnails"))
    session = BrowseSession(data, thumbnails, benchmark, cache / "maps")
    session.prepare()
    return session
