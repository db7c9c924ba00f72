"""Registry of the kinds of image sources, and the function that opens a source.

To add a kind of source, write a module with an ``open_…`` function and add an entry to `SOURCES`.
Installed packages add kinds through the entry point group ``clipfeat.sources``.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from clipfeat.errors import EmptySourceError, UsageError
from clipfeat.images.class_globs import ClassGlobs, with_globs
from clipfeat.images.folder import open_folder
from clipfeat.images.hdf5_images import is_hdf5, open_hdf5
from clipfeat.images.labels import with_labels
from clipfeat.images.layout_table import LAYOUTS
from clipfeat.images.layouts import CLASS_FOLDERS, Understood, has_both_classes, understand
from clipfeat.images.listing import is_image, open_listing, open_standard_input
from clipfeat.images.manifest import TableColumns, is_table, open_manifest
from clipfeat.images.memory import ImageInput, image_source, in_memory
from clipfeat.images.numpy_files import is_numpy_file, open_numpy_file
from clipfeat.images.parquet_images import holds_images, is_parquet, open_parquet
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.source_columns import with_roles, with_stored_names
from clipfeat.images.video import is_video
from clipfeat.images.webdataset import is_tar_pattern, open_webdataset
from clipfeat.images.zip_archive import is_zip_pattern, open_zip
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import as_url, below, common_folder, is_remote, location, prefixed
from clipfeat.system.plugins import with_plugins


@dataclass(frozen=True)
class SourceKind:
    """A kind of image source.

    Parameters
    ----------
    claims : callable
        Takes a path, an address or ``"-"``. Returns whether this kind can open it.
    open : callable
        Takes the same argument and the names of a table's columns. Returns the source.
    """

    claims: Callable[[str], bool]
    open: Callable[[str, TableColumns], ImageSource]


SOURCES: Mapping[str, SourceKind] = {
    "standard input": SourceKind(lambda s: s == "-", lambda s, _: open_standard_input()),
    "parquet": SourceKind(is_parquet, open_parquet),
    "folder": SourceKind(lambda s: location(s).is_dir(), lambda s, _: open_folder(s)),
    "webdataset": SourceKind(is_tar_pattern, lambda s, _: open_webdataset(s)),
    "zip archive": SourceKind(is_zip_pattern, open_zip),
    "array file": SourceKind(is_numpy_file, lambda s, _: open_numpy_file(s)),
    "HDF5 file": SourceKind(is_hdf5, lambda s, _: open_hdf5(s)),
    "table": SourceKind(is_table, open_manifest),
    "image": SourceKind(is_image, lambda s, _: open_listing([s], s)),
    "video": SourceKind(is_video, lambda s, _: open_listing([s], s)),
}
"""Built-in kinds of sources. A path is opened by the first kind whose `claims` accepts it."""


def source_kinds() -> dict[str, SourceKind]:
    """Return all kinds of sources: the built-in kinds, then those of installed packages."""
    return with_plugins(SOURCES, "clipfeat.sources", SourceKind)


def open_source(
    source: ImageInput,
    *,
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
    image_root: str | Path | None = None,
    allow_remote: bool = False,
    globs: ClassGlobs = ClassGlobs(),
) -> ImageSource:
    """List the images of a source.

    Parameters
    ----------
    source : path, sequence of paths, images in memory, or ImageSource
        A folder, a CSV, TSV or Parquet table, a webdataset tar or a zip archive, a pattern of tars
        or zip archives (``x-{000..099}.tar``), a ``.npy``, ``.npz`` or HDF5 file of images, an
        image, a video, or ``"-"`` for a list on standard input. Several paths become one source.
        Addresses that fsspec can read also work, such as ``s3://bucket/images``.
        Images in memory also work (see `clipfeat.image_source`, whose result can be passed, too).
    labels : path, optional
        A table with the class of each image.
    columns : TableColumns
        Names of the columns of paths, labels and groups. If `labels` is given, they are columns of
        that table. Otherwise, they are columns of the source. A column of paths can be given for
        tables, for Parquet files of images, and for zip archives that contain a table.
    image_root : path, optional
        The folder to which the paths of a table are relative. By default, this is the table's
        folder. If only the current directory contains one of the images, the current directory is
        used instead. A table may name only files in these three folders.
    allow_remote : bool
        Whether a table, or a list on standard input, may name addresses outside its own folder. See
        `clipfeat.images.table_paths`.
    globs : ClassGlobs
        Patterns of the paths of photographs and of generated images, and the folder that names the
        generator. They replace the labels and the generators that the source gives.

    Returns
    -------
    ImageSource
        The images, not yet read.

    Raises
    ------
    EmptySourceError
        If the source does not exist or has no images.
    UsageError
        If the path exists, but no kind of source can open it. If `image_root` or a column of paths
        is given for a source that does not use it. If a table names files or addresses that
        it may not name. If `labels` and `globs` both give labels.
    UnknownNameError
        If a given column is not in the source.
    StorageError
        If an object store does not answer.
    """
    if labels is not None and globs.gives_labels:
        raise UsageError(
            "labels can come from --labels, or from --real and --fake, but not from both. Omit one"
        )
    own_columns = TableColumns() if labels is not None else columns
    if isinstance(source, ImageSource) or in_memory(source):
        images = with_roles(_of_objects(source, image_root), own_columns)
    else:
        images = _of_paths(source, own_columns, image_root, allow_remote)
    images = _with_roles_of_folder(with_globs(images, globs), own_columns)
    if labels is not None:
        images = replace(with_labels(images, str(labels), columns), layout="", notes=())
    return with_stored_names(images)


def _of_objects(source: Any, image_root: str | Path | None) -> ImageSource:
    if image_root is not None:
        raise UsageError(
            "image_root applies to the paths in a table, but the images are in memory. Omit it"
        )
    return source if isinstance(source, ImageSource) else image_source(source)


def _of_paths(
    source: Any, columns: TableColumns, image_root: str | Path | None, allow_remote: bool
) -> ImageSource:
    specs = [as_url(spec) for spec in ([source] if isinstance(source, str | Path) else source)]
    if len(specs) == 1:
        return _open(specs[0], columns, image_root, allow_remote)
    names = {_kind(spec)[0] for spec in specs}
    if names <= {"image", "video"} and image_root is None:
        return open_listing(specs)
    sources = [_open(spec, columns, image_root, allow_remote) for spec in specs]
    if names != {"folder"}:
        sources = [_with_roles_of_folder(one, columns) for one in sources]
    return _joined(sources)


def _kind(spec: str) -> tuple[str, SourceKind]:
    """Find the kind of source that can open a path, an address or ``"-"``."""
    with storage_errors(f"looking for {spec}"):
        for name, kind in source_kinds().items():
            if kind.claims(spec):
                return name, kind
    if os.path.lexists(spec):
        raise UsageError(
            f"{spec} is not a folder, table (.csv, .tsv, .parquet), tar file, zip archive, array "
            "file (.npy, .npz, .h5), image or video. Pass the path of one of these"
        )
    raise EmptySourceError(
        f"no such folder, table, tar file, zip archive, array file, image or video: {spec}. Check "
        "the path"
    )


def _open(
    spec: str, columns: TableColumns, image_root: str | Path | None, allow_remote: bool
) -> ImageSource:
    name, kind = _kind(spec)
    if name == "table" and columns.path and holds_images(spec, columns.path):
        name, kind = "parquet", SOURCES["parquet"]
    if image_root is not None and name != "table":
        raise UsageError(
            f"--image-root applies to the paths in a table, but {spec} is a {name}. Omit it, or "
            "pass a table"
        )
    with storage_errors(f"listing {spec}") if is_remote(spec) else nullcontext():
        if name == "table":
            images = open_manifest(spec, columns, image_root, allow_remote=allow_remote)
            return replace(images, kind=name)
        if name == "standard input":
            images = open_standard_input(allow_remote=allow_remote)
        else:
            images = kind.open(spec, columns)
    if name == "folder":
        return replace(images, kind=name)
    # For zip archives and Parquet files, `kind.open` has already used this column.
    own = replace(columns, path="") if name in {"zip archive", "parquet"} else columns
    is_array = name in {"array file", "HDF5 file"}
    return replace(with_roles(images, own, by_usual_names=not is_array), kind=name)


def _with_roles_of_folder(source: ImageSource, columns: TableColumns) -> ImageSource:
    """Take the labels and groups of a folder from its columns. Return other sources unchanged.

    Several folders may have one layout together, so their columns are known only after joining.
    """
    return with_roles(source, columns) if source.kind == "folder" else source


def _joined(sources: Sequence[ImageSource]) -> ImageSource:
    """Join sources. Paths become relative to the deepest folder that contains all sources."""
    root = common_folder([source.root for source in sources])
    records: list[ImageRecord] = []
    listed: list[str] = []
    for source in sources:
        folder = below(root, source.root)
        prefix = folder and folder + "/"
        records += [replace(record, path=prefixed(prefix, record.path)) for record in source]
        listed += [path and prefixed(prefix, path) for path in source.rows]
    skipped: Counter[str] = Counter()
    for source in sources:
        skipped.update(source.skipped)
    layout = " and ".join(dict.fromkeys(source.layout for source in sources if source.layout))
    notes = tuple(note for source in sources for note in source.notes)
    if (together := _understood_together(sources, records, root)) is not None:
        layout, notes = together.layout, together.notes
        records = [
            replace(record, label=values.label, group=values.group, columns=values.columns)
            for record, values in zip(records, together.values, strict=True)
        ]
    else:
        notes += tuple(map(_note_on_unlabelled, filter(_is_unlabelled_folder, sources)))
    joined = make_source(
        " + ".join(source.name for source in sources),
        root,
        records,
        skipped=skipped,
        places=tuple(place for source in sources for place in source.places),
    )
    listed_rows = tuple(listed) if len(listed) > len(joined) else ()
    kinds = {source.kind for source in sources}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return replace(joined, listed=listed_rows, kind=kind, layout=layout, notes=notes)


def _understood_together(
    sources: Sequence[ImageSource], records: Sequence[ImageRecord], root: str
) -> Understood | None:
    """Find the layout of several folders together. Return None if each has its own layout.

    An example of a common layout is a folder of generated images and a folder of photographs.
    """
    known = {"", CLASS_FOLDERS, *(row.name for row in LAYOUTS)}  # not files of labels
    complete = (has_both_classes(one.layout, {r.label for r in one}) for one in sources)
    if any(one.kind != "folder" or one.layout not in known for one in sources) or all(complete):
        return None
    paths = [tuple(record.path.split("/")) for record in records]
    understood = understand(paths, root=PurePosixPath(root).name)
    return understood if understood.is_complete else None


def _is_unlabelled_folder(source: ImageSource) -> bool:
    return source.kind == "folder" and not any(record.label for record in source)


def _note_on_unlabelled(source: ImageSource) -> str:
    name = PurePosixPath(source.root).name
    return (
        f"no folder names the class of the images of {source.name}. To state the classes, pass for "
        f"example --real '{name}' --fake 'OTHER' --generator-level N"
    )
