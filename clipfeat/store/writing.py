"""Writing feature files: rows are committed as parts, and merged into a snapshot or shards.

`clipfeat.store.format` defines these terms. Rows are safe once `FeatureWriter.commit` returns. The
writer does not append to a single HDF5 file. In measurements of a writer that appends, killing it
lost committed rows, and a power cut corrupted the file.
"""

import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import FingerprintError, RefusedFileError, StorageError, UsageError
from clipfeat.features import Failure
from clipfeat.spec import EncoderSpec
from clipfeat.store.digest_table import DigestTable
from clipfeat.store.format import KEY_BYTES, PARTS_SUFFIX, Row, Segment
from clipfeat.store.generations import newest_generation
from clipfeat.store.known import (
    MARK_BYTES,
    PATH_BYTES,
    as_stored,
    current_rows,
    mark,
    path_digest,
)
from clipfeat.store.leftovers import leftovers, remove_parts, remove_whole, staging_path
from clipfeat.store.lock import write_lock
from clipfeat.store.merging import is_sharded, merge, merge_into_shards, tidy_up
from clipfeat.store.publishing import PartPublisher, file_attributes, part_image
from clipfeat.store.reading import Stored, is_there, open_stored, part_paths
from clipfeat.system.files import (
    flush,
    publish,
    remove,
    storage_errors,
)
from clipfeat.system.interrupts import uninterrupted
from clipfeat.system.locations import followed, is_remote, location

COMMIT_ROWS = 4096
COMMIT_SECONDS = 10.0
MOST_PARTS = 256
VISIBLE_AFTER = 10.0
SETTLED, FROM_BEFORE = b"\1", b"\0"
"""Last byte of the index entry of a path. SETTLED: this writer has committed or confirmed the row.
FROM_BEFORE: the row is from an earlier run."""

NO_ROW = bytes(MARK_BYTES + 1)
"""Index entry of a path whose row was superseded by a failure."""


class FeatureWriter:
    """Writer for a feature file, and context manager that holds the file's lock.

    Leaving the context commits the appended rows and releases the lock. `finish` also commits the
    appended rows, and then merges all parts.

    Parameters
    ----------
    path : path
        The feature file, new or existing.
    spec : EncoderSpec
        The encoder of the features.
    root : str
        The folder to which paths are relative.
    request : str
        The encoder's name and options, as text.
    overwrite : bool
        Replace an existing file. The new file is written beside the old file, and `finish` renames
        it. After an interruption, the next writer with `overwrite` resumes the replacement.
    is_locked : bool
        Whether the caller holds the file's lock, by `clipfeat.store.lock.write_lock`. The writer
        then neither takes nor releases the lock.

    Raises
    ------
    FingerprintError
        If the file has features of another encoder. The message lists the differences.
    UsageError
        If the file has images of another root that still exists. If the spec could not be read
        from a file.
    LockedError
        If another process is writing the file.
    RefusedFileError
        If the existing file is not a feature file.
    StorageError
        If the folder is not writable.
    """

    def __init__(
        self,
        path: str | Path,
        spec: EncoderSpec,
        *,
        root: str = "",
        request: str = "",
        overwrite: bool = False,
        is_locked: bool = False,
    ) -> None:
        spec.check_storable()
        self.target = followed(location(path))
        self.path = staging_path(self.target) if overwrite else self.target
        self._keeps_parts = False
        self.spec = spec
        self.root = root
        self.dtype = np.dtype(spec.dtype)
        self.request = request
        self.provenance: dict[str, Any] = {}
        self._parts = self.path.with_name(self.path.name + PARTS_SUFFIX)
        self._lock = ExitStack()
        if not is_locked:
            self._lock.enter_context(write_lock(self.target))
        self._marks = DigestTable(PATH_BYTES, MARK_BYTES + 1)
        self._n_safe = 0
        self._failed: dict[str, Failure] = {}
        self._keys = DigestTable(KEY_BYTES)
        self._appended: list[tuple[Sequence[Row], NDArray[np.floating]]] = []
        self._failures: list[Failure] = []
        self._small: list[str] = []
        self._before_workers = 0
        self._last_commit = time.monotonic()
        try:
            self._read_committed(restart=overwrite)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            # Commit after Ctrl-C, but not after a failure of the disk.
            if kind is None or not issubclass(kind, StorageError):
                with uninterrupted():
                    self.commit()
        finally:
            self._lock.close()

    def holds(self, key: bytes) -> bool:
        """Return whether features of this key are committed or appended."""
        return key in self._keys

    def confirm(self, row: Row) -> bool:
        """Return whether a row with the same path, key, label, group and columns is committed.

        Such a row counts as settled by this writer. See `settled_key`.
        """
        path, expected = path_digest(row.path), mark(row)
        is_current = (self._marks.get(path) or b"")[:-1] == expected
        if is_current:
            self._marks.set(path, expected + SETTLED)
        return is_current

    def settled_key(self, path: str) -> bytes | None:
        """Return the key of a path's row, or None if this writer has not settled the row.

        A row is settled if this writer has committed or confirmed it.
        """
        value = self._marks.get(path_digest(path))
        return value[:KEY_BYTES] if value and value.endswith(SETTLED) else None

    @property
    def keys(self) -> DigestTable:
        """The keys whose features are committed or appended."""
        return self._keys

    @property
    def failed(self) -> Mapping[str, bytes]:
        """The keys of the failures that earlier runs recorded, by path."""
        return {path: failure.key for path, failure in self._failed.items()}

    def has_row(self, path: str) -> bool:
        """Return whether a row of this path is committed."""
        return self._marks.get(path_digest(path)) not in (None, NO_ROW)

    def read_paths(self) -> set[str]:
        """Commit the appended rows, and read the paths of all committed rows."""
        self.commit()
        if not is_there(self.path):
            return set()
        with open_stored(self.path) as stored:
            return set(stored.strings("paths").tolist())

    def has_failed(self, path: str, key: bytes) -> bool:
        """Return whether an earlier run recorded a failure with this path and this key."""
        return path in self._failed and self._failed[path].key == key

    def failure_of(self, path: str) -> Failure:
        """Return the failure that an earlier run recorded for a path."""
        return self._failed[path]

    def append(self, rows: Sequence[Row], features: NDArray[np.floating]) -> None:
        """Add rows. The next commit, automatic or explicit, makes them safe."""
        # Rows and features are added in one step. Ctrl-C may interrupt between any two steps, and
        # everything appended is then committed.
        self._appended.append((rows, features.astype(self.dtype)))
        for row in rows:
            self._keys.set(row.key)
        if sum(len(some) for some, _ in self._appended) >= COMMIT_ROWS or self._is_time:
            self.commit()

    def fail(self, failure: Failure) -> None:
        """Record an image that has no row because it could not be encoded."""
        self._failures.append(failure)
        if self._is_time:
            self.commit()

    @property
    def _is_time(self) -> bool:
        return time.monotonic() - self._last_commit > COMMIT_SECONDS

    def commit(self) -> None:
        """Write everything appended so far as one part.

        Raises
        ------
        StorageError
            If the part cannot be written. Earlier commits are safe.
        """
        self._last_commit = time.monotonic()
        rows = [row for some, _ in self._appended for row in some]
        if not rows and not self._failures:
            return
        features = np.concatenate([self._no_features(), *(some for _, some in self._appended)])
        image = part_image(Segment(features, rows, self._failures), self._attributes(False))
        with self._reporting_safe_rows():
            if not is_remote(self._parts):
                with storage_errors(f"creating {self._parts}"):
                    self._parts.mkdir(parents=True, exist_ok=True)
            number = (
                self._before_workers if self._before_workers and not rows else self._next_part()
            )
            name = f"{number:08d}-{secrets.token_hex(4)}.h5"
            publish(image, self._parts / name)
        self._update_index(rows, self._failures)
        self._appended, self._failures = [], []
        self._compact_in_time([name])

    def publisher(self) -> PartPublisher:
        """Return a publisher for workers. This writer must `adopt` the parts that they commit.

        Failures that this writer records are committed in a part that sorts before the workers'
        parts. A worker may have committed a row of such an image without reporting it. This row is
        later in the order, so it supersedes the failure.
        """
        folder = self._parts.absolute()
        self._before_workers = self._next_part()
        return PartPublisher(folder, self._before_workers + 1, self.spec, self.root, self.request)

    def adopt(self, parts: Sequence[str], rows: Sequence[Row]) -> None:
        """Register the parts that a worker committed.

        Parameters
        ----------
        parts : sequence of str
            Names returned by `PartPublisher.publish`.
        rows : sequence of Row
            The rows in these parts.

        Raises
        ------
        StorageError
            If a part does not exist, because the worker does not share this machine's folder.
        """
        for part in parts:
            if not _appears(self._parts / part) and not self._was_merged(part):
                raise StorageError(
                    f"a worker committed {part}, but {self._parts} does not contain it on this "
                    "machine. Put the output into a folder that all machines share."
                )
        self._update_index(rows, [])
        self._compact_in_time(parts)

    def equalise(self, keys: Set[bytes]) -> None:
        """Give all rows that share one of these keys the same features.

        Two workers may encode identical images independently. Their rows can then differ in the
        last bits of floating-point sums.
        """
        if not keys:
            return
        self.commit()
        with open_stored(self.path) as stored:
            rows = [row for row in current_rows(stored, stored.column_names) if row.key in keys]
        self.append_known(rows)

    def _compact_in_time(self, names: Sequence[str]) -> None:
        """Merge many small parts into one part, since a reader opens all parts.

        Until the small parts are removed, their rows are stored twice. A reader uses only one of
        the two copies.
        """
        self._small += names
        if len(self._small) < MOST_PARTS or self._keeps_parts:
            return
        names, self._small = sorted(self._small), []
        # If the disk has no room for a second copy, the parts stay as they are.
        with suppress(StorageError):
            if is_remote(self.path) and self.path == self.target:
                # Other writers may merge the same parts. Only one of them can commit the next
                # generation.
                self._merge(complete=False, parts=set(names))
                return
            with ExitStack() as stack:
                paths = [self._parts / name for name in names]
                parts = [stack.enter_context(open_stored(path)) for path in paths]
                stored = Stored(self.path, [file for part in parts for file in part.files])
                merged = paths[0].with_name(f"{paths[0].stem}-{secrets.token_hex(4)}.h5")
                merge(merged, stored, self._attributes(False), self.dtype)
                for path in paths:
                    remove(path)

    def _was_merged(self, part: str) -> bool:
        """Return whether another writer merged a part before this writer registered it."""
        generation = newest_generation(self.path)
        return generation is not None and part in generation.merged

    def _update_index(
        self, rows: Iterable[Row], failures: Sequence[Failure], state: bytes = SETTLED
    ) -> None:
        """Update the in-memory index after a commit."""
        for failure in failures:
            if self.has_row(failure.path):
                self._marks.set(path_digest(failure.path), NO_ROW)
                self._n_safe -= 1
        for row in rows:
            self._n_safe += not self.has_row(row.path)
            self._marks.set(path_digest(row.path), mark(row) + state)
            self._keys.set(row.key)

    def _next_part(self) -> int:
        return 1 + max((int(p.name.split("-")[0]) for p in part_paths(self.path)), default=0)

    def append_known(self, rows: Sequence[Row]) -> None:
        """Add rows that reuse stored features: new paths or labels of images already in the file.

        Parameters
        ----------
        rows : sequence of Row
            Rows whose keys this writer `holds`.
        """
        if not rows:
            return
        self.commit()
        self._keeps_parts = True  # the parts are being read, so they must not be merged
        try:
            with open_stored(self.path) as stored:
                for some, features in as_stored(stored, rows):
                    self.append(some, features)
        finally:
            self._keeps_parts = False

    def finish(self, *, complete: bool = True, only: Set[str] | None = None) -> int:
        """Commit, then merge everything into a new, verified snapshot, or into shards.

        Parameters
        ----------
        complete : bool
            Record that the run reached the end of its source.
        only : set of str, optional
            Paths to keep. Rows and failures of all other paths are dropped.

        Returns
        -------
        int
            Number of rows in the file.

        Raises
        ------
        StorageError
            If the disk failed or has too little space. Everything committed is safe.
        """
        self.commit()
        with self._reporting_safe_rows():
            if not is_there(self.path):
                empty = Segment(self._no_features(), [], [])
                publish(part_image(empty, self._attributes(complete)), self.path)
            return self._merge(complete=complete, only=only)

    def _merge(
        self, *, complete: bool, only: Set[str] | None = None, parts: Set[str] | None = None
    ) -> int:
        """Merge all files, or only some parts. Repeat if another writer has merged first."""
        while True:
            with open_stored(self.path) as everything:
                stored = replace(everything, only=only)
                if parts is not None:
                    later = [f for f in stored.parts if f.path.name not in parts]
                    stored = replace(stored, files=[f for f in stored.files if f not in later])
                if self._merged(stored, everything, self._attributes(complete)):
                    return stored.n_rows

    def _merged(self, stored: Stored, everything: Stored, attributes: dict[str, Any]) -> bool:
        """Merge once. Return False if another writer has merged first."""
        overwrites = self.path != self.target
        pruned = stored.only is not None and (stored.n_rows, len(stored.failures)) != (
            everything.n_rows,
            len(everything.failures),
        )
        if is_sharded(self.target, stored):
            if stored.parts or pruned or overwrites or stored.generation is None:
                made = merge_into_shards(
                    self.target, stored, attributes, self.dtype, anew=overwrites
                )
                if not made:
                    return False
            tidy_up(self.target)
            if overwrites:
                remove_whole(self.path)
            return True
        if part_paths(self.path) or pruned:
            merge(self.path, stored, attributes, self.dtype)
        remove_parts(self.path)
        if overwrites:
            self._take_place()
        return True

    @property
    def n_safe(self) -> int:
        """Number of committed rows."""
        return self._n_safe

    @contextmanager
    def _reporting_safe_rows(self) -> Iterator[None]:
        """Add the number of safe rows and the remedy to a storage error."""
        try:
            yield
        except StorageError as error:
            raise StorageError(
                f"{str(error).removesuffix('.')}. {self.n_safe} rows are safe. Repair the disk or "
                "free some space, then run the same command again."
            ) from error

    def _no_features(self) -> NDArray[np.floating]:
        return np.empty((0, self.spec.n_features), dtype=self.dtype)

    def _attributes(self, complete: bool) -> dict[str, Any]:
        about = (self.spec, self.root, self.request, self.provenance)
        return file_attributes(*about, complete=complete)

    def _take_place(self) -> None:
        """Replace the target with the finished file."""
        remove_parts(self.target)
        with storage_errors(f"overwriting {self.target}"):
            self.path.replace(self.target)
            flush(self.target.parent)

    def _read_committed(self, *, restart: bool) -> None:
        """Read the existing rows, and remove the leftovers of a killed writer."""
        with storage_errors(f"removing leftovers beside {self.path}"):
            for left in {*leftovers(self.path), *leftovers(self.target)}:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        staged, newest = staging_path(self.target), newest_generation(self.target)
        in_staging = {staged.name, *(path.name for path in part_paths(staged))}
        if newest is not None and not in_staging.isdisjoint(newest.merged):
            remove_whole(staged)  # its writer merged it, but was killed before removing it
        if restart and not self._can_resume():
            remove_whole(self.path)
        if not is_there(self.path):
            return
        with open_stored(self.path) as stored:
            _check_spec(self.target, stored.spec, self.spec)
            self._check_root(stored.newest.text("root"))
            self._update_index(current_rows(stored, stored.column_names), [], FROM_BEFORE)
            self._failed = {failure.path: failure for failure in stored.failures}

    def _can_resume(self) -> bool:
        """Return whether an interrupted replacement has this encoder and this root."""
        try:
            with open_stored(self.path) as stored:
                return stored.spec == self.spec and stored.newest.text("root") == self.root
        except RefusedFileError:
            return False

    def check_spec(self, spec: EncoderSpec) -> None:
        """Check that an encoder is the one that the writer was opened for.

        Raises
        ------
        FingerprintError
            If the encoders differ. The message lists the differences.
        """
        _check_spec(self.target, self.spec, spec)

    def _check_root(self, root: str) -> None:
        """Refuse a root other than the recorded root, because paths below two roots may collide.

        If the recorded root no longer exists, its folder was moved, and the new root is accepted.
        """
        if root and self.root and root != self.root and location(root).exists():
            if not is_remote(root) and Path(self.root).exists() and Path(root).samefile(self.root):
                return
            raise UsageError(
                f"{self.path} holds images of {root}, but the source is {self.root}. Pass another "
                "output, or pass both sources to one command with --overwrite."
            )


def _check_spec(target: Path, expected: EncoderSpec, spec: EncoderSpec) -> None:
    if expected != spec:
        raise FingerprintError(
            f"{target} holds features of another encoder ({'; '.join(expected.differences(spec))})"
            ". Pass another output, or add --overwrite to replace the file."
        )


def _appears(path: Path) -> bool:
    """Return whether a file exists, after waiting up to `VISIBLE_AFTER` seconds for it.

    Network file systems show new files late.
    """
    begun = time.monotonic()
    while not path.exists():
        if time.monotonic() - begun > VISIBLE_AFTER:
            return False
        time.sleep(0.1)
    return True
