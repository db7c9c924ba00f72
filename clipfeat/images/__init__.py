"""Where pixels come from: sources that list images, and decoding.

A new source is one file with an ``open_…`` function and one row of `SOURCES`.
"""

import os
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class SourceKind:
    """A kind of image source: which specs it claims, and how it is opened."""

    name: str
    claims: Callable[[str], bool]
    open: Callable[[str, TableColumns], ImageSource]


SOURCES = (
    SourceKind("list on standard input", lambda s: s == "-", lambda s, _: open_standard_input()),
    SourceKind("folder", os.path.isdir, lambda s, _: open_folder(s)),
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
        of these, which become one source.
    labels : path, optional
        A table that names the images' classes.
    columns : TableColumns
        Where a table keeps paths, labels and groups: the table of `labels` where it is given,
        else the source's own.

    Raises
    ------
    EmptySourceError
        If there is nothing there.
    """
    own = TableColumns() if labels is not None else columns
    if isinstance(source, str | Path):
        found = _open(str(source), own)
    else:
        specs = [str(spec) for spec in source]
        kinds = {_kind(spec).name for spec in specs}
        found = (
            open_listing(specs)
            if kinds <= {"image", "video"}
            else _chained([_open(spec, own) for spec in specs])
        )
    return found if labels is None else with_labels(found, str(labels), columns)


def _kind(spec: str) -> SourceKind:
    for kind in SOURCES:
        if kind.claims(spec):
            return kind
    if os.path.lexists(spec):
        raise UsageError(f"{spec} is no folder, table (.csv, .tsv, .parquet), .tar, image or video")
    raise EmptySourceError(f"no such folder, table, tar or image: {spec}")


def _open(spec: str, columns: TableColumns) -> ImageSource:
    return _kind(spec).open(spec, columns)


def _chained(sources: Sequence[ImageSource]) -> ImageSource:
    """One source of several, its paths relative to the folder that holds them all."""
    root = os.path.commonpath([source.root for source in sources])
    records = []
    for source in sources:
        below = Path(source.root).relative_to(root).as_posix()
        prefix = "" if below == "." else below + "/"
        records += [replace(record, path=prefix + record.path) for record in source]
    return listed(" + ".join(source.name for source in sources), root, records)
