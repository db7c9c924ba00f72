"""Source by encoder to feature file, on one machine."""

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfeat.embedding.profile import STAGES, Profile
from clipfeat.encoders import DEFAULT_ENCODER, local_file, open_encoder
from clipfeat.errors import ClipfeatWarning, UsageError
from clipfeat.features import Failure
from clipfeat.images import open_source
from clipfeat.images.isolated import IsolatedDecoder, default_workers, sample_pixels
from clipfeat.images.manifest import TableColumns
from clipfeat.images.record import ImageRecord
from clipfeat.spec import EncoderSpec
from clipfeat.stopwatch import Stopwatch
from clipfeat.store import FeatureWriter, Row, stored_spec
from clipfeat.store.lock import check_unlocked
from clipfeat.store.stat_cache import Stat, StatCache, file_stat, load_stats, save_stats
from clipfeat.store.target import check_target

if TYPE_CHECKING:
    from clipfeat.embedding.stream import Encoded, Known
    from clipfeat.encoders.encoder import Encoder


IDLE_SECONDS = 20.0


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


@dataclass(frozen=True)
class EmbedReport:
    """What an embedding run did.

    Parameters
    ----------
    path : Path
        The feature file.
    spec : EncoderSpec
        The encoder.
    progress : Progress
        Final counts.
    n_rows : int
        Rows that the file now holds.
    absent : int
        Rows among these that are of images no longer in the source.
    labels : mapping of str to int
        Images of each label among this source's; unlabelled ones under ``""``.
    failures : sequence of Failure
        This source's images without a row.
    profile : Profile
        Where the time went.
    chosen : str
        The precision that ``"auto"`` took, and why; else empty.
    """

    path: Path
    spec: EncoderSpec
    progress: Progress
    n_rows: int
    absent: int
    labels: Mapping[str, int]
    failures: Sequence[Failure]
    profile: Profile
    chosen: str


def embed(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    encoder: str = DEFAULT_ENCODER,
    weights: str | Path | None = None,
    untrained: bool = False,
    layer: str | None = None,
    image_size: int | None = None,
    encoder_args: Mapping[str, object] | None = None,
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    overwrite: bool = False,
    retry_failed: bool = False,
    prune: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> EmbedReport:
    """Encode a source's images into a feature file; what is already there is not done again.

    Parameters
    ----------
    source : path, or sequence of paths
        What `clipfeat.images.open_source` takes: a folder, a table, tars, images.
    out : path
        The feature file, new or to be continued.
    encoder : str
        Such as ``"open_clip:ViT-L-14/openai"``, ``"timm:resnet50.a1_in1k"``, ``"spectrum"``.
    weights : path, optional
        A local file of weights in place of the hub's.
    untrained : bool
        Random weights, for tests.
    layer : str, optional
        ``"projection"`` or ``"pre-projection"`` of CLIP.
    image_size : int, optional
        Side of the encoder's input in pixels; its own by default.
    encoder_args : mapping, optional
        Keyword arguments for a timm architecture, or ``mean``, ``std``, ``interpolation``,
        ``crop_pct`` for weights trained under others than upstream's.
    labels : path, optional
        A table of labels; see `columns`.
    columns : TableColumns
        Where a table keeps paths, labels and groups.
    batch_size : int, optional
        Images in one forward pass; found by trying where it is not given.
    num_workers : int, optional
        Threads that read and decode; by default as many as there are cores, and one.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` (every GPU), ``"cuda:1"``, ``"mps"``; several with commas.
    precision : str
        ``"fp32"``, ``"bf16"`` or ``"fp16"``; float32 rows are stored for the first, float16 else.
        ``"auto"`` is the file's own where there is one already; else the fastest in which the
        features of some of the images stay within a cosine of 0.9995 of their float32 ones.
    overwrite : bool
        Whether to replace an existing feature file.
    retry_failed : bool
        Whether to try again images that a former run recorded as failed.
    prune : bool
        Whether to drop the rows of images that the source no longer holds.
    progress : callable
        Told how far it is, after each batch or failure.

    Returns
    -------
    EmbedReport
        Counts and failures. A bad image is recorded, never ends the run.

    Raises
    ------
    EmptySourceError
        If the source holds no image.
    WeightsError
        If the encoder's weights are missing.
    FingerprintError
        If `out` holds features of another encoder.
    LockedError
        If another process is writing `out`.
    StorageError
        If the disk failed; what was committed by then is safe.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size must be 1 or more, got {batch_size}")
    workers = num_workers or default_workers()
    target = check_target(out)
    check_unlocked(target)
    images = open_source(source, labels=labels, columns=columns)
    words: dict[str, Any] = {
        "weights": None if weights is None else str(weights),
        "untrained": untrained,
        "layer": layer,
        "image_size": image_size,
        "precision": precision,
        "arguments": None if encoder_args is None else dict(encoder_args),
    }
    file = local_file(encoder, words["weights"])
    request = json.dumps({"encoder": encoder, **words, "weights_stat": file and file_stat(file)})

    with IsolatedDecoder() as decoder:

        def open_frozen(n_images: int, **other: object) -> "Encoder":
            from clipfeat.encoders.encoder import EncoderOptions

            if n_images:
                decoder.warm_up(min(workers, n_images))  # ready when the weights are
            options: dict[str, Any] = {"device": device, "n_images": n_images, **words, **other}
            samples = partial(sample_pixels, images.records, decoder)
            return open_encoder(encoder, EncoderOptions(samples=samples, **options))

        there, asked = (None, "") if overwrite else stored_spec(target)
        if precision == "auto" and there is not None:
            words["precision"] = there.precision
        # Where the same encoder was asked for before, it is opened only if there is work for it.
        spec = there if asked == request else None
        frozen: Encoder | None = None
        if spec is None:
            frozen = open_frozen(len(images))
            spec = frozen.spec
        with FeatureWriter(
            target, spec, root=images.root, request=request, overwrite=overwrite
        ) as writer:
            run = _Run(writer, len(images), retry_failed, progress)
            todo = run.settle_unchanged(
                images, StatCache({}, 0) if overwrite else load_stats(target)
            )
            if todo:
                frozen = frozen or open_frozen(len(todo))
                writer.check_spec(frozen.spec)
                from clipfeat.embedding.stream import encode_stream

                stream = encode_stream(
                    todo,
                    frozen,
                    batch_size=batch_size,
                    num_workers=workers,
                    is_known=run.is_known,
                    exact=lambda: open_frozen(0, precision="fp32"),
                    isolation=decoder,
                    watch=run.watch,
                )
                with closing(stream):
                    for item in stream:
                        run.take(item)
            run.settle_copies()
            seconds = run.seconds
            profile = run.profile(frozen, workers)
            if profile.idle and seconds > IDLE_SECONDS:
                warnings.warn(profile.idle, ClipfeatWarning, stacklevel=2)
            writer.provenance = {
                "device": str(frozen.device) if frozen else "none",
                "chosen": frozen.chosen if frozen else "",
                "seconds": round(seconds, 3),
                "images_per_second": round(run.counts["encoded"] / max(seconds, 1e-9), 1),
                "stage_seconds": {k: round(v, 3) for k, v in profile.seconds.items()},
                "num_workers": workers,
                "source": images.name,
                "weights": file or ("hub" if spec.weights else "none"),
            }
            paths = {record.path for record in images}
            n_rows = writer.finish(only=paths if prune else None)
            absent = 0 if prune else writer.absent(paths)
            if todo:
                save_stats(target, run.digests)
    return EmbedReport(
        path=target,
        spec=spec,
        progress=Progress(len(images), **run.counts, seconds=seconds),
        n_rows=n_rows,
        absent=absent,
        labels=Counter(record.label for record in images),
        failures=run.failures,
        profile=profile,
        chosen=frozen.chosen if frozen else "",
    )


class _Run:
    """What an embedding run has done so far; every image ends in exactly one of its counts."""

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
        self.digests: dict[str, tuple[Stat, bytes]] = {}
        self._stats: dict[str, Stat] = {}
        self._again: list[Row] = []
        self.watch = Stopwatch()
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def profile(self, frozen: "Encoder | None", workers: int) -> Profile:
        """Where the time went."""
        lanes = 1 + len(frozen.replicas) if frozen else 1
        device = frozen.device.type if frozen else "none"
        threads = {
            **dict.fromkeys(("read", "decode", "resize"), workers),
            **dict.fromkeys(("transfer", "encode"), 2 * lanes if device == "cuda" else lanes),
        }
        seconds = {s: self.watch.seconds[s] for s in STAGES if s in self.watch.seconds}
        return Profile(seconds, threads, self.seconds, self.counts["encoded"], device)

    def settle_unchanged(
        self, images: Iterable[ImageRecord], cache: StatCache
    ) -> list[ImageRecord]:
        """Settle the images of unchanged files without reading them; the others are returned."""
        todo = []
        of_file: dict[str, Stat | None] = {}
        for record in images:
            if record.file not in of_file:
                of_file[record.file] = file_stat(record.file)
            stat = of_file[record.file]
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
        from clipfeat.embedding.stream import Encoded

        if isinstance(item, Encoded):
            with self.watch.timing("write"):
                self.writer.append(item.rows, item.features)
            self.counts["encoded"] += len(item.rows)
            for row in item.rows:
                self._remember(row.path, row.key)
        elif isinstance(item, Failure):
            self._fail(item)
        else:
            self._known(item.row)
        self._tell()

    def _known(self, row: Row) -> None:
        self._remember(row.path, row.key)
        if self._failed_before(row):
            self.failures.append(self.writer.failure_of(row.path))
            self.counts["failed"] += 1
            return
        if not self.writer.is_current(row):
            self._again.append(row)
        self.counts["known"] += 1

    def _fail(self, failure: Failure) -> None:
        self.writer.fail(failure)
        self.failures.append(failure)
        self.counts["failed"] += 1
        self._remember(failure.path, failure.key)

    def _remember(self, path: str, key: bytes) -> None:
        if key and path in self._stats:
            self.digests[path] = (self._stats[path], key)

    def settle_copies(self) -> None:
        """Give rows to images whose bytes have features under another path or label."""
        self.writer.append_known([row for row in self._again if self.writer.holds(row.key)])
        for row in self._again:
            if not self.writer.holds(row.key):
                self.counts["known"] -= 1
                self._fail(Failure(row.path, "EncodingError", "as its equal by bytes", row.key))
        self._tell()

    def _tell(self) -> None:
        self.progress(Progress(self.total, **self.counts, seconds=self.seconds))
