"""Writing feature files: committed parts, then one verified snapshot, or shards.

Rows are safe once `FeatureWriter.commit` returns. Appending to one HDF5 file is not used, having
been measured to lose committed rows to a kill and to corrupt the file on a power cut.
"""

import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import FingerprintError, RefusedFileError, StorageError, UsageError
from clipfeat.features import Failure
from clipfeat.spec import EncoderSpec
from clipfeat.store.format import PARTS_SUFFIX, Row, Segment
from clipfeat.store.generations import newest_generation
from clipfeat.store.known import as_stored, current_rows, mark
from clipfeat.store.leftovers import leftovers, remove_parts, remove_whole, staging_path
from clipfeat.store.lock import lock_path, locked
from clipfeat.store.merging import is_sharded, merge, merge_into_shards, tidy_up
from clipfeat.store.publishing import PartPublisher, file_attributes, part_image
from clipfeat.store.reading import Stored, is_there, opened, part_paths
from clipfeat.system.files import (
    flush,
    publish,
    remove,
    storage_errors,
)
from clipfeat.system.locations import is_remote, location

COMMIT_ROWS = 4096
COMMIT_SECONDS = 10.0
MOST_PARTS = 256
VISIBLE_AFTER = 10.0


class FeatureWriter:
    """The one writer of a feature file; a context manager that holds its lock.

    Leaving the context commits what was appended; `finish` also merges the parts.

    Parameters
    ----------
    path : path
        The feature file, new or to be continued.
    spec : EncoderSpec
        The encoder whose features will be appended.
    root : str
        The folder to which paths are relative.
    request : str
        What the encoder was asked for by, as text.
    overwrite : bool
        Whether to replace what is there by a file of these rows alone. That is made beside it,
        and takes its place in `finish`; an interrupted one is continued by the next.

    Raises
    ------
    FingerprintError
        If the file holds features of another encoder; the message says what differs.
    LockedError
        If another process is writing it.
    RefusedFileError
        If something else stands there.
    StorageError
        If the folder cannot be written to.
    """

    def __init__(
        self,
        path: str | Path,
        spec: EncoderSpec,
        *,
        root: str = "",
        request: str = "",
        overwrite: bool = False,
    ) -> None:
        self.target = location(path)
        self.path = staging_path(self.target) if overwrite else self.target
        self._keeps_parts = False
        self.spec = spec
        self.root = root
        self.dtype = np.dtype(spec.dtype)
        self.request = request
        self.provenance: dict[str, Any] = {}
        self._parts = self.path.with_name(self.path.name + PARTS_SUFFIX)
        self._lock = ExitStack()
        self._lock.enter_context(locked(lock_path(self.target), self.target))
        self._known: dict[str, bytes] = {}
        self._failed: dict[str, Failure] = {}
        self._keys: set[bytes] = set()
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
            # After a failed disk there is nothing to save; after Ctrl-C there is.
            if kind is None or not issubclass(kind, StorageError):
                self.commit()
        finally:
            self._lock.close()

    def holds(self, key: bytes) -> bool:
        """Whether features of these bytes are committed or appended."""
        return key in self._keys

    def is_current(self, row: Row) -> bool:
        """Whether this very row (path, bytes, label, group, columns) is already there."""
        return self._known.get(row.path) == mark(row)

    @property
    def keys(self) -> Set[bytes]:
        """The keys whose features are committed or appended."""
        return self._keys

    @property
    def failed(self) -> Mapping[str, bytes]:
        """The keys of recorded failures, by path."""
        return {path: failure.key for path, failure in self._failed.items()}

    @property
    def paths(self) -> Set[str]:
        """The paths of all committed rows."""
        return self._known.keys()

    def has_failed(self, path: str, key: bytes) -> bool:
        """Whether these bytes under this path are a recorded failure."""
        return path in self._failed and self._failed[path].key == key

    def failure_of(self, path: str) -> Failure:
        """The failure recorded for a path by a former run."""
        return self._failed[path]

    def append(self, rows: Sequence[Row], features: NDArray[np.floating]) -> None:
        """Add rows; they are safe after the next commit, which comes by itself in time."""
        # At once, since Ctrl-C may come between any two steps, and what is there is committed then.
        self._appended.append((rows, features.astype(self.dtype)))
        self._keys.update(row.key for row in rows)
        if sum(len(some) for some, _ in self._appended) >= COMMIT_ROWS or self._is_time:
            self.commit()

    def fail(self, failure: Failure) -> None:
        """Record an image that gave no row."""
        self._failures.append(failure)
        if self._is_time:
            self.commit()

    @property
    def _is_time(self) -> bool:
        return time.monotonic() - self._last_commit > COMMIT_SECONDS

    def commit(self) -> None:
        """Make everything appended so far safe, as one part.

        Raises
        ------
        StorageError
            If it could not be written. What was committed before is safe.
        """
        self._last_commit = time.monotonic()
        rows = [row for some, _ in self._appended for row in some]
        if not rows and not self._failures:
            return
        features = np.concatenate([self._no_features(), *(some for _, some in self._appended)])
        image = part_image(Segment(features, rows, self._failures), self._attributes(False))
        with self._saying_what_is_safe():
            if not is_remote(self._parts):
                with storage_errors(f"making {self._parts}"):
                    self._parts.mkdir(parents=True, exist_ok=True)
            number = (
                self._before_workers if self._before_workers and not rows else self._next_part()
            )
            name = f"{number:08d}-{secrets.token_hex(4)}.h5"
            publish(image, self._parts / name)
        self._note(rows, self._failures)
        self._appended, self._failures = [], []
        self._compact_in_time([name])

    def publisher(self) -> PartPublisher:
        """What workers need to commit rows beside this writer, which is to `adopt` them.

        Failures that this writer records come before those rows: one may be of an image that
        another attempt, of which nobody heard, has encoded.
        """
        folder = self._parts.absolute()
        self._before_workers = self._next_part()
        return PartPublisher(folder, self._before_workers + 1, self.spec, self.root, self.request)

    def adopt(self, parts: Sequence[str], rows: Sequence[Row]) -> None:
        """Take note of what a worker has committed.

        Parameters
        ----------
        parts : sequence of str
            What `PartPublisher.publish` gave.
        rows : sequence of Row
            What these hold.

        Raises
        ------
        StorageError
            If a part is not there: the worker's folder is another than this machine's.
        """
        for part in parts:
            if not _appears(self._parts / part) and not self._was_merged(part):
                raise StorageError(
                    f"a worker committed {part}, which is not in {self._parts} as this machine "
                    "sees it: put the output into a folder that all machines share"
                )
        self._note(rows, [])
        self._compact_in_time(parts)

    def equalise(self, keys: Set[bytes]) -> None:
        """Give all rows of each of some keys the same features.

        Where workers that do not know of each other encode equal bytes, their rows may differ in
        the last bits of floating-point sums.
        """
        if not keys:
            return
        self.commit()
        with opened(self.path) as stored:
            rows = [row for row in current_rows(stored, stored.column_names) if row.key in keys]
        self.append_known(rows)

    def _compact_in_time(self, names: Sequence[str]) -> None:
        """Put small parts into one where they are many: a reader opens them all at once.

        For a moment, or after a kill in between, their rows are there twice, and read once.
        """
        self._small += names
        if len(self._small) < MOST_PARTS or self._keeps_parts:
            return
        names, self._small = sorted(self._small), []
        # Rows that have no room twice are safe as they are.
        with suppress(StorageError):
            if is_remote(self.path) and self.path == self.target:
                # Others may be merging the same parts, and only a generation says who was first.
                self._merge(complete=False, parts=set(names))
                return
            with ExitStack() as stack:
                paths = [self._parts / name for name in names]
                found = [stack.enter_context(opened(path)) for path in paths]
                stored = Stored(self.path, [file for one in found for file in one.files])
                merged = paths[0].with_name(f"{paths[0].stem}-{secrets.token_hex(4)}.h5")
                merge(merged, stored, self._attributes(False), self.dtype)
                for path in paths:
                    remove(path)

    def _was_merged(self, part: str) -> bool:
        """Whether another writer was faster at merging a part than this one at noticing it."""
        generation = newest_generation(self.path)
        return generation is not None and part in generation.merged

    def _note(self, rows: Sequence[Row], failures: Sequence[Failure]) -> None:
        """Know of what is committed."""
        for failure in failures:
            self._known.pop(failure.path, None)
        self._known.update((row.path, mark(row)) for row in rows)
        self._keys.update(row.key for row in rows)

    def _next_part(self) -> int:
        return 1 + max((int(p.name.split("-")[0]) for p in part_paths(self.path)), default=0)

    def append_known(self, rows: Sequence[Row]) -> None:
        """Add rows whose bytes were encoded before, under another path or with another label.

        Parameters
        ----------
        rows : sequence of Row
            Each of a key that `holds`.
        """
        if not rows:
            return
        self.commit()
        self._keeps_parts = True  # those that are read
        try:
            with opened(self.path) as stored:
                for some, features in as_stored(stored, rows):
                    self.append(some, features)
        finally:
            self._keeps_parts = False

    def finish(self, *, complete: bool = True, only: Set[str] | None = None) -> int:
        """Commit, then merge all into one new, verified snapshot, or into shards.

        Parameters
        ----------
        complete : bool
            Whether the whole source was seen.
        only : set of str, optional
            Paths whose rows and failures are kept; those of all others are dropped.

        Returns
        -------
        int
            Number of rows that the file now holds.

        Raises
        ------
        StorageError
            If the disk failed or has too little space. Everything committed is safe.
        """
        self.commit()
        with self._saying_what_is_safe():
            if not is_there(self.path):
                empty = Segment(self._no_features(), [], [])
                publish(part_image(empty, self._attributes(complete)), self.path)
            return self._merge(complete=complete, only=only)

    def _merge(
        self, *, complete: bool, only: Set[str] | None = None, parts: Set[str] | None = None
    ) -> int:
        """Merge all that is there, or some parts, whoever else does so on a store without locks."""
        while True:
            with opened(self.path) as everything:
                stored = replace(everything, only=only)
                if parts is not None:
                    later = [f for f in stored.parts if f.path.name not in parts]
                    stored = replace(stored, files=[f for f in stored.files if f not in later])
                if self._merged(stored, everything, self._attributes(complete)):
                    return stored.n_rows

    def _merged(self, stored: Stored, everything: Stored, attributes: dict[str, Any]) -> bool:
        """Merge once; False if another writer was first."""
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
        """Number of rows that are committed."""
        return len(self._known)

    @contextmanager
    def _saying_what_is_safe(self) -> Iterator[None]:
        """Add to an error of the disk what was not lost by it, and how to go on."""
        try:
            yield
        except StorageError as error:
            raise StorageError(
                f"{error}; {self.n_safe} rows are safe: mend the disk or make room, then run the "
                "same command again"
            ) from error

    def _no_features(self) -> NDArray[np.floating]:
        return np.empty((0, self.spec.n_features), dtype=self.dtype)

    def _attributes(self, complete: bool) -> dict[str, Any]:
        about = (self.spec, self.root, self.request, self.provenance)
        return file_attributes(*about, complete=complete)

    def _take_place(self) -> None:
        """Put a finished file in the place of the one it overwrites."""
        remove_parts(self.target)
        with storage_errors(f"overwriting {self.target}"):
            self.path.replace(self.target)
            flush(self.target.parent)

    def _read_committed(self, *, restart: bool) -> None:
        """Learn what is there, and drop what a killed writer left half-written."""
        with storage_errors(f"tidying up around {self.path}"):
            for left in {*leftovers(self.path), *leftovers(self.target)}:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        staged, newest = staging_path(self.target), newest_generation(self.target)
        in_staging = {staged.name, *(path.name for path in part_paths(staged))}
        if newest is not None and not in_staging.isdisjoint(newest.merged):
            remove_whole(staged)  # it has taken effect, and was killed before this
        if restart and not self._can_go_on():
            remove_whole(self.path)
        if not is_there(self.path):
            return
        with opened(self.path) as stored:
            _check_spec(self.target, stored.spec, self.spec)
            self._check_root(stored.newest.text("root"))
            names = stored.column_names
            for row in current_rows(stored, names):
                self._known[row.path] = mark(row)
                self._keys.add(row.key)
            self._failed = {failure.path: failure for failure in stored.failures}

    def _can_go_on(self) -> bool:
        """Whether what an interrupted overwriting left is of this encoder and this folder."""
        try:
            with opened(self.path) as stored:
                return stored.spec == self.spec and stored.newest.text("root") == self.root
        except RefusedFileError:
            return False

    def check_spec(self, spec: EncoderSpec) -> None:
        """Refuse to go on with another encoder than the writer was opened for.

        Raises
        ------
        FingerprintError
            Naming what differs.
        """
        _check_spec(self.target, self.spec, spec)

    def _check_root(self, root: str) -> None:
        """Refuse to mix two folders, whose images may share names; a folder may have moved."""
        if root and self.root and root != self.root and location(root).exists():
            if not is_remote(root) and Path(self.root).exists() and Path(root).samefile(self.root):
                return
            raise UsageError(
                f"{self.path} holds images of {root}, these are of {self.root}: give another "
                "output, or both sources in one command with --overwrite"
            )


def _check_spec(target: Path, there: EncoderSpec, asked: EncoderSpec) -> None:
    if there != asked:
        raise FingerprintError(
            f"{target} holds features of another encoder ({'; '.join(there.differences(asked))}): "
            "give another output, or --overwrite to start anew"
        )


def _appears(path: Path) -> bool:
    """Whether a file is there, or in a few seconds: network file systems take their time."""
    begun = time.monotonic()
    while not path.exists():
        if time.monotonic() - begun > VISIBLE_AFTER:
            return False
        time.sleep(0.1)
    return True
