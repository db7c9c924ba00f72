"""What an embedding run has done so far."""

import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipfeat.embedding.copies import resolve_copies
from clipfeat.embedding.profile import STAGES, Profile
from clipfeat.features import Failure
from clipfeat.images.readers import stat_readers
from clipfeat.images.record import FACE, FACELESS, ImageRecord, record_path
from clipfeat.images.source import ImageSource
from clipfeat.store import FeatureWriter, Row
from clipfeat.store.stat_cache import StatCache
from clipfeat.system.file_stats import Stat
from clipfeat.system.stopwatch import Stopwatch

if TYPE_CHECKING:
    from clipfeat.embedding.on_ray.job import Published
    from clipfeat.embedding.preparing import Known
    from clipfeat.embedding.workers import Encoded
    from clipfeat.encoders.encoder import Encoder


@dataclass(frozen=True)
class Progress:
    """How far an embedding run is.

    Parameters
    ----------
    total : int
        Images of the source.
    encoded, known, failed : int
        Images done so far: encoded now, there before, without a row.
    seconds : float
        Since the first image.
    """

    total: int
    encoded: int = 0
    known: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Images done so far, in whatever way."""
        return self.encoded + self.known + self.failed


class EmbedRun:
    """The state of a run; every image of the source ends in exactly one of its counts."""

    def __init__(
        self,
        writer: FeatureWriter,
        total: int,
        retry_failed: bool,
        progress: Callable[[Progress], None],
    ) -> None:
        self.writer = writer
        self.total = total
        self.retry_failed = retry_failed
        self.progress = progress
        self.counts = {"encoded": 0, "known": 0, "failed": 0}
        self.failures: list[Failure] = []
        self.faceless = 0
        self.digests: dict[str, tuple[Stat, bytes]] = {}
        self._stats: dict[str, Stat] = {}
        self._again: list[Row] = []
        self._doubled: set[bytes] = set()
        self.watch = Stopwatch()
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._begun

    def profile(self, frozen: "Encoder | None", workers: int) -> Profile:
        """Where the time went."""
        device, n_encoding = "none", 1
        if frozen is not None:
            from clipfeat.embedding.workers import count_workers

            device, n_encoding = frozen.device.type, count_workers(frozen)
        threads = {
            **dict.fromkeys(("read", "decode", "resize"), workers),
            **dict.fromkeys(("transfer", "encode"), n_encoding),
        }
        seconds = {s: self.watch.seconds[s] for s in STAGES if s in self.watch.seconds}
        return Profile(seconds, threads, self.seconds, self.counts["encoded"], device)

    def provenance(self, frozen: "Encoder | None", workers: int) -> dict[str, object]:
        """What is worth knowing of how it was done, for the feature file."""
        seconds = self.seconds
        spent = self.profile(frozen, workers).seconds
        return {
            "device": str(frozen.device) if frozen else "none",
            "chosen": frozen.chosen if frozen else "",
            "seconds": round(seconds, 3),
            "images_per_second": round(self.counts["encoded"] / max(seconds, 1e-9), 1),
            "stage_seconds": {k: round(v, 3) for k, v in spent.items()},
            "num_workers": workers,
        }

    def settle_unchanged(self, images: ImageSource, cache: StatCache) -> list[ImageRecord]:
        """Settle the images of unchanged files without reading them; the others are returned."""
        todo = []
        stats = stat_readers([record.reader for record in images])
        for record, stat in zip(images, stats, strict=True):
            if stat is not None:
                self._stats[record.path] = stat
            key = cache.key(record.path, stat)
            row = Row(record.path, key or b"", record.label, record.group, columns=record.columns)
            if key is not None and self.is_known(row):
                self._known(row)
            else:
                todo.append(record)
        self._tell()
        return todo

    def is_known(self, row: Row) -> bool:
        """Whether an image needs no decoding: its features are there, or it failed before."""
        return self._failed_before(row) or self.writer.holds(row.key)

    def _failed_before(self, row: Row) -> bool:
        return not self.retry_failed and self.writer.has_failed(row.path, row.key)

    def take(self, item: "Encoded | Known | Failure") -> None:
        """Count an image, or a batch of them, and hand it to the writer."""
        from clipfeat.embedding.workers import Encoded

        if isinstance(item, Encoded):
            with self.watch.timing("write"):
                self.writer.append(item.rows, item.features)
            self.counts["encoded"] += sum(_weight(row.path) for row in item.rows)
            self._encoded(item.rows)
        elif isinstance(item, Failure):
            self._fail(item)
        else:
            self._known(item.row)
        self._tell()

    def take_published(self, item: "Published") -> None:
        """Count what a worker has committed itself."""
        copies = [row for row in item.rows if self.writer.holds(row.key)]
        self._doubled.update(row.key for row in copies)
        n_copies = sum(_weight(row.path) for row in copies)
        with self.watch.timing("write"):
            self.writer.adopt(item.parts, item.rows)
        self.counts["encoded"] += sum(_weight(row.path) for row in item.rows) - n_copies
        self.counts["known"] += n_copies
        self._encoded(item.rows)
        for failure in item.failures:
            self._fail(failure)
        for known in item.known:
            self._known(known.row)
        self._tell()

    def _encoded(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.faceless += ("face", FACELESS) in row.columns
            self._remember(row.path, row.key)

    def _known(self, row: Row) -> None:
        self._remember(row.path, row.key)
        if self._failed_before(row):
            self.failures.append(self.writer.failure_of(row.path))
            self.counts["failed"] += _weight(row.path)
            return
        if not self.writer.is_current(row):
            self._again.append(row)
        self.counts["known"] += _weight(row.path)

    def _fail(self, failure: Failure) -> None:
        self.writer.fail(failure)
        self.failures.append(failure)
        self.counts["failed"] += _weight(failure.path)
        self._remember(failure.path, failure.key)

    def _remember(self, path: str, key: bytes) -> None:
        if key and path in self._stats:
            self.digests[path] = (self._stats[path], key)

    def settle_copies(self) -> None:
        """Give rows to images whose bytes have features under another path or label."""
        self.writer.equalise(self._doubled)
        rows, failures = resolve_copies(self._again, self.writer.holds)
        self.writer.append_known(rows)
        for failure in failures:
            self.counts["known"] -= _weight(failure.path)
            self._fail(failure)
        self._tell()

    def current_paths(self, images: Iterable[ImageRecord]) -> Set[str]:
        """The paths of images of the source, and of the rows of their faces."""
        self.writer.commit()
        paths = {record.path for record in images}
        return paths | {path for path in self.writer.paths if record_path(path) in paths}

    def _tell(self) -> None:
        self.progress(Progress(self.total, **self.counts, seconds=self.seconds))


def _weight(path: str) -> int:
    """How many images a row counts for: none, where it is of a further face of one."""
    return int(path in (record_path(path), f"{record_path(path)}{FACE}0"))
