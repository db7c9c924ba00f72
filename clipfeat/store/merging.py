"""Merging committed files into one snapshot or into immutable shards.

A small feature file is stored as one snapshot, which is replaced as a whole. Replacing a large file
as a whole would copy all of its rows even if only a few are new. A large file is therefore split
into shards, and a merge rewrites only the small shards at the end of the list. See
`clipfeat.store.format` for the terms.
"""

import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import h5py
import numpy as np

from clipfeat.errors import RefusedFileError, StorageError
from clipfeat.store.format import (
    REMEDY,
    Segment,
    checksum,
    column_dataset,
    segment_columns,
    text_column,
)
from clipfeat.store.generations import (
    Generation,
    Shard,
    commit_generation,
    make_folder,
    newest_generation,
    read_generation,
    shards_folder,
)
from clipfeat.store.one_file import OpenFile
from clipfeat.store.publishing import create_dataset
from clipfeat.store.reading import Stored, open_stored, part_paths
from clipfeat.system.files import CarefulFile, names_in, remove, replacing, storage_errors
from clipfeat.system.locations import is_remote

SHARDED_ABOVE = 4 * 2**30
"""Largest size in bytes of a local feature file with a single snapshot."""

SHARD_BYTES = 2**30
"""Target size of a shard in bytes."""

MOST_SUPERSEDED = 0.2
"""If more than this share of the rows in large shards is superseded, all shards are rewritten."""


def is_sharded(target: Path, stored: Stored) -> bool:
    """Return whether to store a feature file as shards, because it is remote, large or sharded."""
    return (
        is_remote(target)
        or newest_generation(target) is not None
        or sum(file.n_bytes for file in stored.files) > SHARDED_ABOVE
    )


def merge(path: Path, stored: Stored, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> int:
    """Write the current rows of some files to a new file, verify it, and rename it to `path`.

    Parameters
    ----------
    path : Path
        The final name of the new file.
    stored : Stored
        The files to merge.
    attributes, dtype
        HDF5 attributes and feature dtype of the new file.

    Returns
    -------
    int
        Size of the new file in bytes.

    Raises
    ------
    StorageError
        If the disk failed or has too little space. If the new file differs from the data written.
    """
    _check_space(path, stored)
    with replacing(path) as temporary:
        _write(temporary, stored, attributes, dtype)
        _verify(temporary, stored)
        return int(temporary.stat().st_size)


def merge_into_shards(
    target: Path,
    stored: Stored,
    attributes: Mapping[str, Any],
    dtype: np.dtype[Any],
    *,
    anew: bool = False,
) -> bool:
    """Merge the current rows of some files into shards, and commit them as a new generation.

    Parameters
    ----------
    target : Path
        The feature file.
    stored : Stored
        The HDF5 files to merge. They belong to `target`. With `anew`, they belong to another
        feature file, which replaces `target`.
    attributes, dtype
        HDF5 attributes and feature dtype of new shards.
    anew : bool
        Discard the present contents of `target`.

    Returns
    -------
    bool
        False if another writer committed a generation first. The caller must then open the feature
        file again and repeat the call.

    Raises
    ------
    StorageError
        If the disk failed. The valid generation is unchanged.
    """
    before = newest_generation(target)
    if before != stored.generation and not anew:
        return False
    folder = make_folder(target)
    number = before.number + 1 if before else 1
    settled = [] if anew else _settled(stored, before)
    kept = [Shard(file.path.name, file.n_rows, file.n_bytes) for file in settled]
    rest = stored.files[len(settled) :]
    made: list[Shard] = []
    try:
        groups = _grouped(rest)
        for place, files in enumerate(groups):
            some = replace(stored, files=files, generation=None)
            if some.n_rows or some.failures or (place == len(groups) - 1 and not kept + made):
                name = f"{number:08d}-{place:06d}-{secrets.token_hex(4)}.h5"
                n_bytes = merge(folder / name, some, attributes, dtype)
                made.append(Shard(name, some.n_rows, n_bytes))
        here = {path.name for path in part_paths(target)}
        with storage_errors(f"looking for {target}"):
            here |= {target.name} if target.exists() else set()
        taken = {file.path.name for file in rest} | (here if anew else set())
        left = here & set(before.merged if before else ())  # a killed merge did not remove them
        generation = Generation(number, (*kept, *made), tuple(sorted(taken | left)))
    except BaseException:
        _remove(folder, made)
        raise
    if commit_generation(target, generation):
        return True
    _remove(folder, made)
    return False


def _remove(folder: Path, shards: Iterable[Shard]) -> None:
    with storage_errors(f"removing uncommitted shards from {folder}"):
        for shard in shards:
            remove(folder / shard.name)


def tidy_up(target: Path) -> None:
    """Remove the files that the newest generation supersedes.

    On an object store, other writers may be creating a generation, and readers may still use the
    previous generation. A shard on an object store is therefore removed only if neither the valid
    generation nor the previous generation lists it.
    """
    generation = newest_generation(target)
    if generation is None:
        return
    merged = set(generation.merged)
    parts = part_paths(target)
    with storage_errors(f"removing files merged into {target}"):
        useless = [path for path in parts if path.name in merged]
        if target.name in merged:
            useless.append(target)
        if not is_remote(target):
            useless += orphans(target)
        elif generation.number > 2:
            old = _shard_names(read_generation(target, generation.number - 2))
            last = _shard_names(read_generation(target, generation.number - 1))
            stale = old - last - _shard_names(generation)
            useless += [shards_folder(target) / name for name in sorted(stale)]
        for path in useless:
            remove(path)
        if parts and not is_remote(target):
            with suppress(OSError):  # new parts may have been added
                parts[0].parent.rmdir()


def orphans(target: Path) -> list[Path]:
    """List the shards that the valid generation does not list, as after an interrupted merge."""
    generation = newest_generation(target)
    current = _shard_names(generation) if generation else set()
    folder = shards_folder(target)
    names = names_in(folder)
    return [folder / name for name in names if name.endswith(".h5") and name not in current]


def _shard_names(generation: Generation) -> set[str]:
    return {shard.name for shard in generation.shards}


def _check_space(path: Path, stored: Stored) -> None:
    needed = sum(file.n_bytes for file in stored.files)
    written_in = gettempdir() if is_remote(path) else path.parent
    free = shutil.disk_usage(written_in).free
    if free < needed + 2**20:
        raise StorageError(
            f"merging {stored.path} needs {needed / 2**20:.0f} MiB, but {written_in} has only "
            f"{free / 2**20:.0f} MiB free. The unmerged file can still be read"
        )


def _settled(stored: Stored, before: Generation | None) -> Sequence[OpenFile]:
    """Return the shards to keep unchanged: all except the small shards at the end.

    No shard is kept if rows or failures must be dropped from the shards to keep, or if too many of
    their rows are superseded.
    """
    n_shards = len(before.shards) if before else 0
    files = list(stored.files[:n_shards])
    while files and files[-1].n_bytes < SHARD_BYTES / 2:
        files.pop()
    n_rows = sum(file.n_rows for file in files)
    n_current = sum(int(mask.sum()) for mask in stored.kept[: len(files)])
    only = stored.only
    pruned = only is not None and (
        n_current < n_rows or any(f.path not in only for file in files for f in file.failures())
    )
    return [] if pruned or n_current < (1 - MOST_SUPERSEDED) * n_rows else files


def _grouped(files: Sequence[OpenFile]) -> list[list[OpenFile]]:
    """Group consecutive files up to the size of a shard. A larger file is a group of its own."""
    groups: list[list[OpenFile]] = [[]]
    room = SHARD_BYTES
    for file in files:
        if groups[-1] and file.n_bytes > room:
            groups.append([])
            room = SHARD_BYTES
        groups[-1].append(file)
        room -= file.n_bytes
    return groups


def _write(path: Path, stored: Stored, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> None:
    """Write all current rows to a new file, one column at a time and the features in blocks."""
    labels = stored.strings("labels")
    class_names = sorted(set(labels.tolist()) - {""})
    code = {name: i for i, name in enumerate(class_names)}
    failures = segment_columns(Segment(np.empty((0, 0)), [], stored.failures))
    # `out_file` is closed after `h5`, and then raises any write error.
    with CarefulFile(path) as out_file, h5py.File(out_file, "w", libver="v110") as h5:
        n, width = stored.n_rows, stored.spec.n_features
        out = h5.create_dataset("features", (n, width), dtype=dtype, track_times=False)
        at = crc = 0
        for stored_rows in stored.features():
            rows = stored_rows.astype(dtype)
            out[at : at + len(rows)] = rows
            crc = checksum(rows, crc)
            at += len(rows)
        out.attrs["crc32"] = np.uint32(crc)
        for name in ("keys", "image_size", "file_size"):
            create_dataset(h5, name, stored.column(name))
        for name in ("paths", "groups", "split", "format"):
            create_dataset(h5, name, text_column(stored.strings(name).tolist()))
        for name in stored.column_names:
            create_dataset(
                h5, column_dataset(name), text_column(stored.source_column(name).tolist())
            )
        codes = np.array([code.get(label, -1) for label in labels.tolist()], dtype="<i4")
        create_dataset(h5, "labels", codes)
        create_dataset(h5, "class_names", text_column(class_names))
        for name, values in failures.items():
            if name.startswith("failures/"):
                create_dataset(h5, name, values)
        h5.attrs.update(attributes)


def _verify(path: Path, stored: Stored) -> None:
    """Read a new file back and compare it with its source files.

    Raises
    ------
    StorageError
        If a row is missing or differs.
    """
    numbers = ("keys", "image_size", "file_size")
    texts = ("paths", "labels", "groups", "split", "format")
    try:
        with open_stored(path) as new:
            same = (
                new.n_rows == stored.n_rows
                and new.spec == stored.spec
                and new.column_names == stored.column_names
                and new.failures == stored.failures
                and _checksum_of(new) == _checksum_of(stored)
                and all(np.array_equal(new.column(n), stored.column(n)) for n in numbers)
                and all(np.array_equal(new.strings(n), stored.strings(n)) for n in texts)
                and all(
                    np.array_equal(new.source_column(n), stored.source_column(n))
                    for n in stored.column_names
                )
            )
    except RefusedFileError as error:
        fault = str(error).removesuffix(f". {REMEDY}")
        raise StorageError(f"the merged file cannot be read back: {fault}") from error
    if not same:
        raise StorageError(f"the merged file of {stored.path} differs from the data written to it")


def _checksum_of(stored: Stored) -> int:
    crc = 0
    for rows in stored.features():
        crc = checksum(rows, crc)
    return crc
