"""Where pixels come from: sources that list images, and decoding.

A new source is one file with an ``open_…`` function and one row of `SOURCES`.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from clipfeat.errors import EmptySourceError, UsageError
from clipfeat.images.folder import open_folder
from clipfeat.images.labels import with_labels
from clipfeat.images.listing import is_image, open_listing, open_standard_input
from clipfeat.images.manifest import TableColumns, is_table, open_manifest
from clipfeat.images.source import ImageSource, listed
from clipfeat.images.video import is_video
from clipfeat.images.webdataset import is_tar_pattern, open_webdataset
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import as_url, below, common_folder, is_remote, location


@dataclass(frozen=True)
class SourceKind:
    """A kind of image source: which specs it claims, and how it is opened."""

    name: str
    claims: Callable[[str], bool]
    open: Callable[[str, TableColumns], ImageSource]


SOURCES = (
    SourceKind("list on standard input", lambda s: s == "-", lambda s, _: open_standard_input()),
    SourceKind("folder", lambda s: location(s).is_dir(), lambda s, _: open_folder(s)),
    SourceKind("webdataset", is_tar_pattern, lambda s, _: open_webdataset(s)),
    SourceKind("table", is_table, open_manifest),
    SourceKind("image", is_image, lambda s, _: open_listing([s], s)),
    SourceKind("video", is_video, lambda s, _: open_listing([s], s)),
)
"""The first row that claims a spec opens it."""


def open_source(
    source: str | Path | Sequence[str | Path],
    *,
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
) -> ImageSource:
    """List the images of a source.

    Parameters
    ----------
    source : path, or sequence of paths
        A folder; a CSV, TSV or Parquet table; a webdataset tar or a pattern of them
        (``x-{000..099}.tar``); one image or video; ``"-"`` for a list on standard input; or several
        of these, which become one source. Each may be where fsspec reaches: ``s3://bucket/images``.
    labels : path, optional
        A table that names the images' classes.
    columns : TableColumns
        Where a table keeps paths, labels and groups: the table of `labels` where it is given,
        else the source's own.

    Raises
    ------
    EmptySourceError
        If there is nothing there.
    StorageError
        If an object store does not answer.
    """
    own = TableColumns() if labels is not None else columns
    if isinstance(source, str | Path):
        found = _open(as_url(source), own)
    else:
        specs = [as_url(spec) for spec in source]
        kinds = {_kind(spec).name for spec in specs}
        found = (
            open_listing(specs)
            if kinds <= {"image", "video"}
            else _chained([_open(spec, own) for spec in specs])
        )
    return found if labels is None else with_labels(found, str(labels), columns)


def _kind(spec: str) -> SourceKind:
    with storage_errors(f"looking for {spec}"):
        for kind in SOURCES:
            if kind.claims(spec):
                return kind
    if os.path.lexists(spec):
        raise UsageError(f"{spec} is no folder, table (.csv, .tsv, .parquet), .tar, image or video")
    raise EmptySourceError(f"no such folder, table, tar or image: {spec}")


def _open(spec: str, columns: TableColumns) -> ImageSource:
    kind = _kind(spec)
    with storage_errors(f"listing {spec}") if is_remote(spec) else nullcontext():
        return kind.open(spec, columns)


def _chained(sources: Sequence[ImageSource]) -> ImageSource:
    """One source of several, its paths relative to the folder that holds them all."""
    root = common_folder([source.root for source in sources])
    records = []
    for source in sources:
        folder = below(root, source.root)
        prefix = folder and folder + "/"
        records += [replace(record, path=prefix + record.path) for record in source]
    return listed(" + ".join(source.name for source in sources), root, records)
