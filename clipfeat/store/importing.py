"""Importing features that other tools computed.

The weights and the preprocessing of such features are unknown. Their encoder is therefore named
``imported:<tool>/<name>`` and identified by a digest of the features instead of the weights. It
differs from every other encoder, so imported features are never mixed with features of another
encoder.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipfeat.errors import DataError, ReadError
from clipfeat.features import Failure
from clipfeat.images.labels import with_labels
from clipfeat.images.manifest import TableColumns
from clipfeat.images.readers import FileBytes
from clipfeat.images.record import ImageRecord, image_key
from clipfeat.images.source import ImageSource
from clipfeat.images.source_columns import with_roles, with_stored_names
from clipfeat.images.spellings import with_one_spelling
from clipfeat.images.thumbnails import is_inside
from clipfeat.spec import EncoderSpec
from clipfeat.store.foreign import ForeignFeatures, find_foreign
from clipfeat.store.format import KEY_BYTES, Row
from clipfeat.store.lock import write_lock
from clipfeat.store.target import check_target, free_target
from clipfeat.store.writing import FeatureWriter
from clipfeat.system.locations import local_path
from clipfeat.system.progress import Phase, Report, reporting


@dataclass(frozen=True)
class ImportReport:
    """Result of an import.

    Parameters
    ----------
    path : Path
        The feature file.
    spec : EncoderSpec
        Spec that represents the encoder of the other tool.
    n_rows : int
        Number of rows of the feature file.
    n_by_bytes : int
        Number of images whose key is the hash of their bytes. Other keys are hashes of paths.
    labels : mapping of str to int
        Number of images of each label. The label of unlabelled images is ``""``.
    failures : sequence of Failure
        Images whose features are not finite.
    """

    path: Path
    spec: EncoderSpec
    n_rows: int
    n_by_bytes: int
    labels: Mapping[str, int]
    failures: Sequence[Failure]


def import_features(
    source: str | Path,
    out: str | Path,
    *,
    name: str,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
    merge_labels: bool = False,
    class_folders: bool = True,
    overwrite: bool = False,
    progress: bool | Report = True,
) -> ImportReport:
    """Convert the output of thingsvision or clip-retrieval into a feature file.

    Features are copied in blocks, except for text and MATLAB files, which must fit in memory.

    Parameters
    ----------
    source : path
        Output of the other tool, as a folder or file. `clipfeat.store.foreign` lists the layouts.
    out : path
        The feature file.
    name : str
        Name for the encoder, such as ``"alexnet-fc7"``.
    images : path, optional
        The folder of the images. The key of an image in this folder is the hash of its bytes, so
        its features can be joined with features that clipfeat computes. The key of any other image
        is a hash of its path. Names that lead out of the folder are not opened. If the tool stored
        no paths, the row number and a digest of all features are hashed instead.
    labels : path, optional
        A table of labels. `columns` gives the names of its columns.
    columns : TableColumns
        Names of the columns of `labels` with paths, labels and groups.
    merge_labels : bool
        Whether to merge classes whose names differ only in capitals or spaces. Otherwise, such
        classes are an error.
    class_folders : bool
        Use the first folder of a path as the label.
    overwrite : bool
        Replace an existing file.
    progress : bool or callable
        Show the progress on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    ImportReport
        The counts and the failures.

    Raises
    ------
    UsageError
        If the layout of `source` is unknown. The message lists the known layouts.
    DataError
        If the numbers of rows and image names differ. If two rows have the same image name. If the
        features are not a matrix of floats. If none of the images is in `images`.
    LabelError
        If `labels` contains none of the images. If classes differ only in capitals or spaces, and
        `merge_labels` is false.
    RefusedFileError
        If a file cannot be read.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    LockedError
        If another process is writing `out`.
    StorageError
        If the disk failed.
    """
    with ExitStack() as stack:
        report = stack.enter_context(reporting(progress))
        stack.enter_context(write_lock(check_target(out)))
        target = free_target(out, overwrite=overwrite)
        foreign = find_foreign(Path(source), stack)
        digest = _digest(foreign, report)
        spec = _foreign_spec(f"imported:{foreign.tool}/{name}", foreign, digest)
        report(Phase("listing"))
        listed = _images_of(foreign, images, class_folders=class_folders)
        if labels is not None:
            listed = with_labels(listed, str(labels), columns)
        listed = with_stored_names(listed if labels is not None else with_roles(listed, columns))
        listed = with_one_spelling(listed, {}, merge=merge_labels)
        seed = "" if foreign.names is not None else digest
        again: list[Row] = []
        failures: list[Failure] = []
        keys: set[bytes] = set()
        n_by_bytes = start = 0
        with FeatureWriter(
            target, spec, root=listed.root, overwrite=True, is_locked=True
        ) as writer:
            for features in foreign.features():
                records = listed.records[start : start + len(features)]
                start += len(features)
                new: list[Row] = []
                kept: list[int] = []
                for i, record in enumerate(records):
                    row, of_bytes = _row(record, seed, has_file=images is not None)
                    n_by_bytes += of_bytes
                    if not np.isfinite(features[i]).all():
                        message = "the imported features have an infinite or NaN value"
                        failures.append(Failure(row.path, "EncodingError", message, row.key))
                        writer.fail(failures[-1])
                    elif row.key in keys:
                        again.append(row)  # identical images get the features of the first one
                    else:
                        keys.add(row.key)
                        new.append(row)
                        kept.append(i)
                writer.append(new, features[kept])
                report(Phase("copying", start, foreign.n_rows, "rows", len(failures)))
            writer.append_known(again)
            writer.provenance = {"imported": str(source), "keys of bytes": n_by_bytes}
            report(Phase("merging"))
            n_rows = writer.finish(only={record.path for record in listed})
    counts = Counter(record.label for record in listed)
    return ImportReport(target, spec, n_rows, n_by_bytes, counts, failures)


def _digest(foreign: ForeignFeatures, report: Report) -> str:
    digest = hashlib.blake2b(digest_size=16)
    done = 0
    for features in foreign.features():
        digest.update(features.tobytes())
        done += len(features)
        report(Phase("hashing", done, foreign.n_rows, "rows"))
    return digest.hexdigest()


def _foreign_spec(name: str, foreign: ForeignFeatures, digest: str) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        weights=digest,
        untrained=False,
        layer="unknown",
        options="{}",
        input_size=(0, 0),
        interpolation="unknown",
        crop_pct=1.0,
        crop_mode="unknown",
        mean=(),
        std=(),
        n_features=int(foreign.blocks[0].shape[1]),
        precision="fp16" if foreign.dtype == np.float16 else "fp32",
        decode="unknown",
    )


def _images_of(
    foreign: ForeignFeatures, images: str | Path | None, *, class_folders: bool
) -> ImageSource:
    """List the images in the order of the features, with labels from folders."""
    names = foreign.names or [str(i) for i in range(foreign.n_rows)]
    # A name without slashes may have the backslashes of Windows instead.
    names = [name if "/" in name else name.replace("\\", "/") for name in names]
    root, paths = _relative(names, None if images is None else local_path(images).absolute())
    if doubled := [path for path, count in Counter(paths).items() if count > 1]:
        raise DataError(f"{foreign.source} has several rows for {doubled[0]!r}. Keep one of them.")
    records = [
        ImageRecord(
            path=path,
            reader=FileBytes(str(Path(root) / path)),
            label=path.split("/")[0] if class_folders and "/" in path else "",
            columns=tuple((name, values[i]) for name, values in foreign.columns.items()),
        )
        for i, path in enumerate(paths)
    ]
    if images is not None and not any(_is_file(root, path) for path in paths):
        raise DataError(
            f"none of the {foreign.n_rows} images is in {images}. Their names are like "
            f"{records[0].path!r}. Pass the folder that contains them with --images."
        )
    return ImageSource(str(foreign.source), root, records)


def _relative(names: Sequence[str], images: Path | None) -> tuple[str, list[str]]:
    """Return the root of the images, and their paths below it.

    If at least one of the names leads to a file in `images`, the names are used unchanged.
    Otherwise, the folder that all names share is removed from them, because the tool may have run
    in another folder or on another machine.
    """
    if images is not None:
        below = [os.path.relpath(images / name, images) for name in names]
        inside = not any(path.startswith("..") for path in below)
        if inside and any(_is_file(images, path) for path in below):
            return str(images), below
    absolute = {Path(name).is_absolute() for name in names}
    common = os.path.commonpath([Path(name).parent for name in names]) if len(absolute) == 1 else ""
    paths = [os.path.relpath(name or ".", common or ".") for name in names]
    if images is not None:
        return str(images), paths
    return common if absolute == {True} else "", paths


def _is_file(root: str | Path, path: str) -> bool:
    """Return whether a path, which may come from a stranger, is a file below the root."""
    return is_inside(path) and os.path.isfile(Path(root) / path)  # noqa: PTH113 -- never raises


def _row(record: ImageRecord, seed: str, *, has_file: bool) -> tuple[Row, bool]:
    """Return an image's row, and whether its key is the hash of its bytes."""
    try:
        data = record.reader.read() if has_file and is_inside(record.path) else b""
    except ReadError:
        data = b""
    # BLAKE2's personalisation makes the hash of a path differ from the hash of any image.
    of_path = hashlib.blake2b(
        (seed + record.path).encode("utf-8", "backslashreplace"), digest_size=KEY_BYTES,
        person=b"clipfeat path",
    ).digest()  # fmt: skip
    row = Row(
        path=record.path,
        key=image_key(data) if data else of_path,
        label=record.label,
        group=record.group,
        file_size=len(data),
        columns=record.columns,
    )
    return row, bool(data)
