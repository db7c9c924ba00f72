"""Merging several feature files of one encoder into one file."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, FingerprintError, unknown_name
from clipfeat.features.label_text import check_spellings, class_names, one_spelling
from clipfeat.store.format import KEY_BYTES, Row
from clipfeat.store.loading import provenance
from clipfeat.store.lock import write_lock
from clipfeat.store.reading import Stored, open_stored
from clipfeat.store.target import check_target, free_target
from clipfeat.store.writing import FeatureWriter
from clipfeat.system.locations import below, common_folder, is_remote, prefixed
from clipfeat.system.progress import Phase, Report, reporting, silent

PREFERENCES = ("first", "last")


@dataclass(frozen=True)
class MergeReport:
    """Result of merging feature files.

    Parameters
    ----------
    path : Path
        The new feature file.
    n_rows : int
        Number of rows of the new file.
    n_doubled : int
        Number of rows that were left out, because the new file has another row for the same path.
    n_failures : int
        Number of images that have no row because they could not be encoded.
    root : str
        The folder to which the paths are relative.
    """

    path: Path
    n_rows: int
    n_doubled: int
    n_failures: int
    root: str


def merge_files(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    prefer: str | None = None,
    merge_labels: bool = False,
    overwrite: bool = False,
    progress: bool | Report = True,
) -> MergeReport:
    """Merge feature files of the same encoder into one.

    The root of a feature file is the folder of its images. Paths become relative to the common
    folder of all roots, so that images of different folders do not collide. If a path is in several
    files, one of its rows is kept. If an image failed in one file and has a row in another file,
    the row is kept and the failure is dropped.

    Parameters
    ----------
    paths : sequence of path
        Feature files.
    out : path
        The new feature file. With `overwrite`, it may be one of `paths`.
    prefer : str, optional
        The file whose row is kept if files have different keys, labels or groups for one path:
        ``"first"`` or ``"last"``. None raises an error in this case.
    merge_labels : bool
        Merge classes whose names differ only in capitals or spaces. A class gets its most frequent
        spelling.
    overwrite : bool
        Replace an existing file.
    progress : bool or callable
        Show the current phase on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    MergeReport
        The path and the counts of the new file.

    Raises
    ------
    UnknownNameError
        If `prefer` is neither ``"first"`` nor ``"last"``.
    FingerprintError
        If the files have features of different encoders. The message lists the differences.
    DataError
        If files have different keys, labels or groups for one path, and `prefer` is None.
    LabelError
        If classes differ only in capitals or spaces, and `merge_labels` is false.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    LockedError
        If another process is writing `out`.
    StorageError
        If the disk failed.
    """
    if prefer is not None and prefer not in PREFERENCES:
        raise unknown_name("value of --prefer", prefer, PREFERENCES)
    with ExitStack() as stack:
        report = stack.enter_context(reporting(progress))
        stack.enter_context(write_lock(check_target(out)))
        target = free_target(out, overwrite=overwrite)
        files = [stack.enter_context(open_stored(path)) for path in paths]
        for file in files:
            file.spec.warn_if_untrained(file.path)
            if differences := files[0].spec.differences(file.spec):
                raise FingerprintError(
                    f"{file.path} and {files[0].path} have features of different encoders "
                    f"({'; '.join(differences)}). Merge only files of one encoder. To join "
                    "encoders, pass all files to `clipfeat fit`."
                )
        root, prefixes = rebased([file.newest.text("root") for file in files])
        names = _names(files, merge=merge_labels)
        owners = _owners(files, prefixes, names, prefer)
        with FeatureWriter(
            target, files[0].spec, root=root, overwrite=True, is_locked=True
        ) as writer:
            writer.provenance = {"merged": [str(path) for path in paths]}
            n_rows, n_failures = _write(writer, files, prefixes, names, owners, report)
        n_all = sum(file.n_rows for file in files)
    return MergeReport(target, n_rows, n_all - n_rows, n_failures, root)


def reroot(path: str | Path, root: str, prefix: str) -> None:
    """Make the paths of a feature file relative to a folder above its root.

    The caller must lock the file before it computes `prefix`, and hold the lock during this call.

    Parameters
    ----------
    path : path
        The feature file, which is replaced as a whole.
    root : str
        The new root.
    prefix : str
        Path from the new root to the current root, with a slash at its end.

    Raises
    ------
    StorageError
        If the disk failed. The file is then unchanged.
    """
    with open_stored(path) as stored:
        request = stored.newest.text("request")
        with FeatureWriter(
            path, stored.spec, root=root, request=request, overwrite=True, is_locked=True
        ) as writer:
            writer.provenance = provenance(stored)
            owners = _owners([stored], [prefix], {}, "last")
            _write(writer, [stored], [prefix], {}, owners, silent)


def _write(
    writer: FeatureWriter,
    files: Sequence[Stored],
    prefixes: Sequence[str],
    names: Mapping[str, str],
    owners: Mapping[str, int],
    report: Report,
) -> tuple[int, int]:
    """Write the rows that `owners` chooses, and the failures of paths without such a row.

    Return the number of rows and the number of failures.
    """
    failures = {
        path: replace(failure, path=path)
        for file, prefix in zip(files, prefixes, strict=True)
        for failure in file.failures
        if (path := prefixed(prefix, failure.path)) not in owners
    }
    for failure in failures.values():
        writer.fail(failure)
    again: list[Row] = []
    keys: set[bytes] = set()
    n_all, n_read = sum(file.n_rows for file in files), 0
    for number, (file, prefix) in enumerate(zip(files, prefixes, strict=True)):
        for rows, features in _row_chunks(file, prefix, names):
            new = np.zeros(len(rows), dtype=bool)
            for i, row in enumerate(rows):
                if owners[row.path] != number:
                    continue
                # All rows with the same key get the features of the first such row. Two machines
                # may have encoded identical images with different rounding.
                new[i] = row.key not in keys
                again += [] if new[i] else [row]
                keys.add(row.key)
            writer.append([rows[i] for i in np.flatnonzero(new)], features[new])
            n_read += len(rows)
            report(Phase("merging", n_read, n_all, "rows"))
    writer.append_known(again)
    # An interrupted merge into the same file may have left rows that are not in `files`.
    n_rows = writer.finish(
        complete=all(bool(file.newest.h5.attrs.get("complete")) for file in files),
        only=owners.keys() | failures.keys(),
    )
    return n_rows, len(failures)


def rebased(roots: Sequence[str]) -> tuple[str, list[str]]:
    """Return the common folder of all roots, and the path from it to each root.

    If a root is not an absolute path, its position relative to the other roots is unknown. The
    common folder and all prefixes are then empty, so that paths stay unchanged.

    Examples
    --------
    >>> rebased(["/data/a", "/data/b/c"])
    ('/data', ['a/', 'b/c/'])
    >>> rebased(["/data/a", ""])
    ('', ['', ''])
    >>> rebased(["s3://bucket/train", "s3://bucket/test"])
    ('s3://bucket', ['train/', 'test/'])
    """
    if len(set(roots)) == 1:
        return roots[0], [""] * len(roots)
    if not all(is_remote(one) or Path(one).is_absolute() for one in roots):
        return "", [""] * len(roots)
    root = common_folder(roots)
    folders = [below(root, one) for one in roots]
    return root, [folder and folder + "/" for folder in folders]


def _names(files: Sequence[Stored], *, merge: bool) -> dict[str, str]:
    """Map the labels of all files to class names.

    Texts of the same number, such as ``1`` and ``1.0``, get one name. With `merge`, spellings that
    differ only in capitals or spaces also get one name.
    """
    labels = Counter(label for file in files for label in file.strings("labels").tolist())
    names = class_names(labels)
    counts: Counter[str] = Counter()
    for label, n in labels.items():
        counts[names[label]] += n
    if not merge:
        check_spellings(counts, "the feature files")
        return names
    spelling = one_spelling(counts)
    return {label: spelling[name] for label, name in names.items()}


def _owners(
    files: Sequence[Stored], prefixes: Sequence[str], names: Mapping[str, str], prefer: str | None
) -> dict[str, int]:
    """Map each path to the index of the file whose row is written."""
    owners: dict[str, int] = {}
    known: dict[str, dict[str, object]] = {}
    for number, (file, prefix) in enumerate(zip(files, prefixes, strict=True)):
        for path, key, label, group, source_file in zip(
            file.strings("paths").tolist(),
            _keys(file),
            file.strings("labels").tolist(),
            file.strings("groups").tolist(),
            file.source_column("file").tolist(),
            strict=True,
        ):
            name = prefixed(prefix, path)
            moved = _prefixed_text(prefix, group, path, source_file)
            about = {"bytes": key, "label": names.get(label, label), "group": moved}
            differing = [word for word in about if known.get(name, about)[word] != about[word]]
            if differing and prefer is None:
                raise DataError(
                    f"{files[owners[name]].path} and {file.path} differ in the "
                    f"{' and '.join(differing)} of {name}. Choose one of the files with --prefer "
                    "first or --prefer last."
                )
            if name not in owners or (differing and prefer == "last"):
                owners[name], known[name] = number, about
    return owners


def _row_chunks(
    file: Stored, prefix: str, names: Mapping[str, str]
) -> Iterator[tuple[list[Row], NDArray[np.floating]]]:
    """Yield the current rows with their features in blocks of a few thousand rows."""
    columns = {name: file.source_column(name) for name in file.column_names}
    columns["split"] = file.strings("split")
    paths, keys = file.strings("paths"), _keys(file)
    files = file.source_column("file")
    if "file" in columns:
        columns["file"] = np.array(
            [
                _prefixed_text(prefix, str(name), str(path), str(name))
                for name, path in zip(files, paths, strict=True)
            ]
        )
    labels, groups, formats = (file.strings(name) for name in ("labels", "groups", "format"))
    sizes, file_sizes = file.column("image_size"), file.column("file_size")
    start = 0
    for features in file.features():
        rows = [
            Row(
                path=prefixed(prefix, str(paths[i])),
                key=keys[i],
                label=names.get(str(labels[i]), str(labels[i])),
                group=_prefixed_text(prefix, str(groups[i]), str(paths[i]), str(files[i])),
                height=int(sizes[i, 0]),
                width=int(sizes[i, 1]),
                file_size=int(file_sizes[i]),
                format=str(formats[i]),
                columns=tuple((name, str(values[i])) for name, values in columns.items()),
            )
            for i in range(start, start + len(features))
        ]
        start += len(features)
        yield rows, features


def _prefixed_text(prefix: str, text: str, path: str, file: str) -> str:
    """Add the prefix to a row's group or column ``file`` if this text is the path of the image.

    The row of a view, face or frame has the path of its image in the column ``file``. The path of
    such a row starts with the path of the image.
    """
    image = file if file and path.startswith(file) else path
    return prefixed(prefix, text) if text == image else text


def _keys(file: Stored) -> list[bytes]:
    raw = file.column("keys").tobytes()
    return [raw[i : i + KEY_BYTES] for i in range(0, len(raw), KEY_BYTES)]
