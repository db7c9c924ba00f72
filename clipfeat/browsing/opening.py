"""Open feature files and a benchmark run for the application."""

from collections.abc import Sequence
from pathlib import Path

from clipfeat.browsing.data import open_browse_data
from clipfeat.browsing.file_cache import FileCache
from clipfeat.browsing.session import BrowseSession
from clipfeat.browsing.thumbnails import BrowseThumbnails
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import FeatureSet
from clipfeat.labelling.label_session import LabelSession, user_name
from clipfeat.system.escaping import terminal_text
from clipfeat.system.user_cache import user_cache

MAX_MAP_BYTES = 2**27
"""Maximum size of the maps on the disk. A map of a million images has 8 MB."""


def open_session(
    features: FeatureSet,
    files: Sequence[str | Path],
    run: str | Path | None = None,
    images: Sequence[str | Path] = (),
    *,
    label_file: str | Path | None = None,
    annotator: str = "",
) -> BrowseSession:
    """Open a session for the images to browse.

    Parameters
    ----------
    features, files, images
        As in `clipfeat.browsing.data.open_browse_data`.
    run : path, optional
        Folder written by ``clipfeat benchmark -o``, for the out-of-fold predictions.
    label_file : path, optional
        File to which decisions about labels are appended. None switches labelling off.
    annotator : str
        Name of the person who labels. By default, the name of the user of this computer.

    Raises
    ------
    ClipfeatError
        If a file or the run is damaged or missing, or if the run has no predictions for the images.
    """
    benchmark = None if run is None else Benchmark.load(run)
    data = open_browse_data(features, files, images)
    cache = user_cache()
    thumbnails = BrowseThumbnails(data, FileCache(cache / "thumbnails"))
    labels = None
    if label_file is not None:
        name = terminal_text(data.title)
        labels = LabelSession(data.features, label_file, annotator or user_name(), name=name)
    maps = FileCache(cache / "maps", MAX_MAP_BYTES, trim_after=1)
    session = BrowseSession(data, thumbnails, benchmark, maps, labels)
    session.prepare()
    return session
