"""Other tools' features become a feature file.

Nothing says by which weights and preprocessing such features were made. Their encoder is therefore
one of its own, ``imported:<tool>/<name>``, with a digest of the features in the place of the
weights': it equals no other, and features of it are never mixed with others.
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
from clipfeat.images.record import ImageRecord, image_key, read_bytes
from clipfeat.images.source import ImageSource
from clipfeat.spec import EncoderSpec
from clipfeat.store.foreign import Found, find
from clipfeat.store.format import KEY_BYTES, Row
from clipfeat.store.target import free_target
from clipfeat.store.writing import FeatureWriter
from clipfeat.system.locations import local_path


@dataclass(frozen=True)
class ImportReport:
    """What was imported.

    Parameters
    ----------
    path : Path
        The feature file.
    spec : EncoderSpec
        The encoder that stands for the other tool's.
    n_rows : int
        Rows of the feature file.
    n_by_bytes : int
        Images whose key is the digest of their bytes; that of all others is made of their path.
    labels : mapping of str to int
        Images of each label; unlabelled ones under ``""``.
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
    class_folders: bool = True,
    overwrite: bool = False,
) -> ImportReport:
    """Make a feature file of what thingsvision or clip-retrieval wrote.

    Parameters
    ----------
    source : path
        A folder or file; see `clipfeat.store.foreign`.
    out : path
        The feature file.
    name : str
        What to call the encoder, such as ``"alexnet-fc7"``.
    images : path, optional
        The folder of the images. Where an image is there, its key is the digest of its bytes, and
        the features can be joined with those that clipfeat makes of it; else its key is a digest
        of its path, or where the tool kept no paths, of its row and all the features.
    labels : path, optional
        A table of labels; see `columns`.
    columns : TableColumns
        Where that table keeps paths, labels and groups.
    class_folders : bool
        Whether the first folder of a path is a label.
    overwrite : bool
        Whether to replace what is there.

    Returns
    -------
    ImportReport
        Counts and failures. Features are never in memory as a whole, but from text and MATLAB.

    Raises
    ------
    UsageError
        If `source` is of no known layout; the message lists them.
    DataError
        If features and names do not agree, or none of the images is in `images`.
    LabelError
        If `labels` has none of the images.
    RefusedFileError
        If a file cannot be read as what it should be.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    StorageError
        If the disk failed.
    """
    target = free_target(out, overwrite=overwrite)
    with ExitStack() as stack:
        found = find(Path(source), stack)
        digest = _digest(found)
        spec = _foreign_spec(f"imported:{found.tool}/{name}", found, digest)
        listed = _images_of(found, images, class_folders=class_folders)
        if labels is not None:
            listed = with_labels(listed, str(labels), columns)
        seed = "" if found.names is not None else digest
        again: list[Row] = []
        failures: list[Failure] = []
        keys: set[bytes] = set()
        n_by_bytes = start = 0
        with FeatureWriter(target, spec, root=listed.root, overwrite=True) as writer:
            for features in found.features():
                records = listed.records[start : start + len(features)]
                start += len(features)
                new: list[Row] = []
                kept: list[int] = []
                for i, record in enumerate(records):
                    row, of_bytes = _row(record, seed, has_file=images is not None)
                    n_by_bytes += of_bytes
                    if not np.isfinite(features[i]).all():
                        why = "its imported features are not finite"
                        failures.append(Failure(row.path, "EncodingError", why, row.key))
                        writer.fail(failures[-1])
                    elif row.key in keys:
                        again.append(row)  # equal bytes have equal features: the first's
                    else:
                        keys.add(row.key)
                        new.append(row)
                        kept.append(i)
                writer.append(new, features[kept])
            writer.append_known(again)
            writer.provenance = {"imported": str(source), "keys of bytes": n_by_bytes}
            n_rows = writer.finish(only={record.path for record in listed})
    counts = Counter(record.label for record in listed)
    return ImportReport(target, spec, n_rows, n_by_bytes, counts, failures)


def _digest(found: Found) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for features in found.features():
        digest.update(features.tobytes())
    return digest.hexdigest()


def _foreign_spec(name: str, found: Found, digest: str) -> EncoderSpec:
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
        n_features=int(found.blocks[0].shape[1]),
        precision="fp16" if found.dtype == np.float16 else "fp32",
        decode="unknown",
    )


def _images_of(found: Found, images: str | Path | None, *, class_folders: bool) -> ImageSource:
    """The images that the features are of, in their order, with labels by folder."""
    names = found.names or [str(i) for i in range(found.n_rows)]
    # Backslashes are Windows' slashes, but where there are slashes too.
    names = [name if "/" in name else name.replace("\\", "/") for name in names]
    root, paths = _relative(names, None if images is None else local_path(images).absolute())
    if doubled := [path for path, count in Counter(paths).items() if count > 1]:
        raise DataError(f"{found.source} names {doubled[0]!r} twice; a path has one row")
    records = [
        ImageRecord(
            path=path,
            file=str(Path(root) / path),
            label=path.split("/")[0] if class_folders and "/" in path else "",
            columns=tuple((name, values[i]) for name, values in found.columns.items()),
        )
        for i, path in enumerate(paths)
    ]
    if images is not None and not any(Path(record.file).is_file() for record in records):
        raise DataError(
            f"none of the {found.n_rows} images is in {images}: they look like {records[0].path!r}"
        )
    return ImageSource(str(found.source), root, records)


def _relative(names: Sequence[str], images: Path | None) -> tuple[str, list[str]]:
    """The images' root, and their paths below it.

    Names are taken as they are where that finds images; else the folder that all have in common
    is taken off: the tool may have run elsewhere, or named that folder too.
    """
    if images is not None:
        below = [os.path.relpath(images / name, images) for name in names]
        inside = not any(path.startswith("..") for path in below)
        if inside and any((images / path).is_file() for path in below):
            return str(images), below
    absolute = {Path(name).is_absolute() for name in names}
    common = os.path.commonpath([Path(name).parent for name in names]) if len(absolute) == 1 else ""
    paths = [os.path.relpath(name, common or ".") for name in names]
    if images is not None:
        return str(images), paths
    return common if absolute == {True} else "", paths


def _row(record: ImageRecord, seed: str, *, has_file: bool) -> tuple[Row, bool]:
    """One image's row, and whether its key is of its bytes."""
    try:
        data = read_bytes(record) if has_file else b""
    except ReadError:
        data = b""
    # Of another kind than digests of bytes, so that no path can pass for an image.
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
