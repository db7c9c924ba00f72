"""State and counts of an embedding run."""

import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from clipfeat.embedding.copies import resolve_copies
from clipfeat.embedding.profile import STAGES, Profile
from clipfeat.embedding.roots import SharedRoot
from clipfeat.features import Failure
from clipfeat.images.packed_records import pack_records
from clipfeat.images.readers import stat_readers
from clipfeat.images.record import FACE, FACELESS, ImageRecord, record_path
from clipfeat.images.source import ImageSource, check_place
from clipfeat.store import FeatureWriter, Row
from clipfeat.store.stat_cache import StatCache, StatRuns
from clipfeat.system.file_stats import Stat
from clipfeat.system.progress import Phase, Report
from clipfeat.system.stopwatch import Stopwatch

if TYPE_CHECKING:
    from clipfeat.embedding.on_ray.job import Published
    from clipfeat.embedding.preparing import Known
    from clipfeat.embedding.workers import Encoded
    from clipfeat.encoders.encoder import Encoder

RECORDED_TOGETHER, RECORDED_AFTER = 1_000, 1.0
"""Maximum number of failures, and of seconds, after which failures are passed to the writer.

Before that, the folders of the source are checked once for all of them."""
REPORTED_AFTER = 0.05
"""Seconds between two reports of images that are not encoded, which may be thousands per second."""

CHECKED_TOGETHER = 65_536
"""Number of images whose files are compared with the cache in one step."""


@dataclass(frozen=True)
class EmbedCounts:
    """Number of images in an embedding run, by outcome.

    Parameters
    ----------
    total : int
        Number of images in the source.
    encoded : int
        Number of images that this run has encoded.
    known : int
        Number of images that were not encoded, because their features were already in the file or
        because another image has the same bytes.
    failed : int
        Number of images that failed and have no row.
    seconds : float
        Seconds that the run took, from listing the images to merging the rows.
    """

    total: int
    encoded: int = 0
    known: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Number of images that are encoded, known or failed."""
        return self.encoded + self.known + self.failed


class EmbedRun:
    """State of an embedding run.

    At the end of the run, each image is counted in exactly one of `counts`.

    Parameters
    ----------
    writer : FeatureWriter
        Writer of the feature file.
    images : ImageSource
        The images to encode.
    retry_failed : bool
        Whether to retry images that failed in an earlier run.
    report : callable
        Called with a `Phase` after each batch, and at short intervals while images fail or are
        known.
    """

    def __init__(
        self, writer: FeatureWriter, images: ImageSource, retry_failed: bool, report: Report
    ) -> None:
        self.writer = writer
        self.images = images
        self.retry_failed = retry_failed
        self._report = report
        self.counts = {"encoded": 0, "known": 0, "failed": 0}
        self.failures: list[Failure] = []
        self._unrecorded: list[Failure] = []
        self._unrecorded_since = self._reported = 0.0
        self.faceless = 0
        self._stats = StatRuns()
        self._known_rows: list[Row] = []
        self._keys_encoded_twice: set[bytes] = set()
        self.watch = Stopwatch()
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the run started."""
        return time.monotonic() - self._started

    def profile(self, frozen: "Encoder | None", n_threads: int) -> Profile:
        """Return the time profile of the run, in which `n_threads` threads read and decode."""
        device, n_encoding = "none", 1
        if frozen is not None:
            from clipfeat.embedding.workers import count_workers

            device, n_encoding = frozen.device.type, count_workers(frozen)
        threads = {
            **dict.fromkeys(("read", "decode", "resize"), n_threads),
            **dict.fromkeys(("transfer", "encode"), n_encoding),
        }
        seconds = {s: self.watch.seconds[s] for s in STAGES if s in self.watch.seconds}
        return Profile(seconds, threads, self.seconds, self.counts["encoded"], device)

    def provenance(self, frozen: "Encoder | None", n_threads: int) -> dict[str, object]:
        """Return the facts about this run that are stored in the feature file."""
        seconds = self.seconds
        spent = self.profile(frozen, n_threads).seconds
        return {
            "device": str(frozen.device) if frozen else "none",
            "chosen": frozen.chosen if frozen else "",
            "seconds": round(seconds, 3),
            "images_per_second": round(self.counts["encoded"] / max(seconds, 1e-9), 1),
            "stage_seconds": {k: round(v, 3) for k, v in spent.items()},
            "num_workers": n_threads,
        }

    def settle_unchanged(self, cache: StatCache) -> Sequence[ImageRecord]:
        """Count the images with unchanged files as known, and return all other images.

        A file is unchanged if its size, time and inode are those in the cache. Unchanged files are
        not read.
        """
        self._report(Phase("checking files"))
        return pack_records(self._settle_unchanged(cache))

    def _settle_unchanged(self, cache: StatCache) -> Iterator[ImageRecord]:
        records = iter(self.images)
        while chunk := list(islice(records, CHECKED_TOGETHER)):
            stats = stat_readers([record.reader for record in chunk])
            keys = cache.keys_of([record.path for record in chunk], stats)
            for record, stat, key in zip(chunk, stats, keys, strict=True):
                self._stats.append(stat)
                about = (record.label, record.group)
                row = Row(record.path, key or b"", *about, columns=record.columns)
                if key is not None and self.is_known(row):
                    self._take_known(row)
                else:
                    yield record

    def is_known(self, row: Row) -> bool:
        """Return whether an image needs no encoding, because it has features or failed before."""
        return self._failed_before(row) or self.writer.holds(row.key)

    def _failed_before(self, row: Row) -> bool:
        return not self.retry_failed and self.writer.has_failed(row.path, row.key)

    def take(self, item: "Encoded | Known | Failure") -> None:
        """Count an image or a batch, and pass it to the writer."""
        from clipfeat.embedding.workers import Encoded

        if isinstance(item, Encoded):
            with self.watch.timing("write"):
                self.writer.append(item.rows, item.features)
            self.counts["encoded"] += sum(_n_images(row.path) for row in item.rows)
            self._record_encoded(item.rows)
        elif isinstance(item, Failure):
            self._record_failure(item)
        else:
            self._take_known(item.row)
        now = time.monotonic()
        if isinstance(item, Encoded) or now - self._reported > REPORTED_AFTER:
            self._reported = now
            self.report_counts()

    def take_published(self, item: "Published") -> None:
        """Count the rows that a Ray worker has committed."""
        copies = [row for row in item.rows if self.writer.holds(row.key)]
        self._keys_encoded_twice.update(row.key for row in copies)
        n_copies = sum(_n_images(row.path) for row in copies)
        with self.watch.timing("write"):
            self.writer.adopt(item.parts, item.rows)
        self.counts["encoded"] += sum(_n_images(row.path) for row in item.rows) - n_copies
        self.counts["known"] += n_copies
        self._record_encoded(item.rows)
        for failure in item.failures:
            self._record_failure(failure)
        for known in item.known:
            self._take_known(known.row)
        self.report_counts()

    def _record_encoded(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.faceless += ("face", FACELESS) in row.columns

    def _take_known(self, row: Row) -> None:
        if self._failed_before(row):
            self.failures.append(self.writer.failure_of(row.path))
            self.counts["failed"] += _n_images(row.path)
            return
        if not self.writer.confirm(row):
            self._known_rows.append(row)
        self.counts["known"] += _n_images(row.path)

    def _record_failure(self, failure: Failure) -> None:
        """Count a failed image. `record_failures` passes it to the writer.

        Raises
        ------
        StorageError
            If the folder or archive of an image has disappeared. Its rows are then kept.
        """
        now = time.monotonic()
        if not self._unrecorded:
            self._unrecorded_since = now
        self._unrecorded.append(failure)
        self.counts["failed"] += _n_images(failure.path)
        is_full = len(self._unrecorded) >= RECORDED_TOGETHER
        if is_full or now - self._unrecorded_since > RECORDED_AFTER:
            self.record_failures()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the failures that were counted in the block, also after Ctrl-C."""
        try:
            yield
        except KeyboardInterrupt:
            self.record_failures()
            raise
        self.record_failures()

    def record_failures(self) -> None:
        """Pass the failures since the last call to the writer.

        Raises
        ------
        StorageError
            If the folder or archive of one of the images has disappeared. None of these failures is
            then recorded.
        """
        failures, self._unrecorded = self._unrecorded, []
        unread = [failure.path for failure in failures if not failure.key]
        if unread:
            self.images.check_places()
        for path in unread:
            if self.writer.has_row(path) and (place := self.images.place_of(path)):
                check_place(place)
        for failure in failures:
            self.writer.fail(failure)
        self.failures += failures

    def digests(self) -> Iterator[tuple[str, Stat, bytes]]:
        """Yield the path, status and content hash of each image for which all three are known."""
        failed = {failure.path: failure.key for failure in self.failures}
        for record, stat in zip(self.images, self._stats, strict=True):
            key = failed.get(record.path)
            if key is None:
                key = self.writer.settled_key(record.path)
            if stat is not None and key:
                yield record.path, stat, key

    def settle_copies(self) -> None:
        """Store rows for images that are identical to an image with another path or label."""
        self._report(Phase("merging"))
        self.writer.equalise(self._keys_encoded_twice)
        rows, failures = resolve_copies(self._known_rows, self.writer.holds)
        self.writer.append_known(rows)
        for failure in failures:
            self.counts["known"] -= _n_images(failure.path)
            self._record_failure(failure)
        self.record_failures()

    def kept_paths(self, shared: SharedRoot) -> Set[str]:
        """Return the paths of all rows and failures that ``--prune`` keeps.

        These are the images of the source with their faces, and the images of other folders.
        """
        stored = self.writer.read_paths()
        paths = {record.path for record in self.images}
        faces = {path for path in stored if record_path(path) in paths}
        return paths | faces | shared.of_other_folders(stored | self.writer.failed.keys())

    def report_counts(self) -> None:
        """Report how many images are encoded, known or failed."""
        done, n_failed = sum(self.counts.values()), self.counts["failed"]
        self._report(Phase("encoding", done, len(self.images), "images", n_failed))


def _n_images(path: str) -> int:
    """Count an image once: return 1 for its first row, and 0 for the rows of further faces."""
    return int(path in (record_path(path), f"{record_path(path)}{FACE}0"))
