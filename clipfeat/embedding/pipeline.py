"""Source by encoder to feature file, on one machine."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipfeat.embedding.stream import Encoded, encode_stream
from clipfeat.encoders import DEFAULT_ENCODER, open_encoder
from clipfeat.errors import UsageError
from clipfeat.features import Failure
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, Row


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
    """

    path: Path
    spec: EncoderSpec
    progress: Progress
    n_rows: int
    absent: int
    labels: Mapping[str, int]
    failures: Sequence[Failure]


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
    batch_size: int = 64,
    num_workers: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
    overwrite: bool = False,
    retry_failed: bool = False,
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
    batch_size : int
        Images in one forward pass.
    num_workers : int, optional
        Threads that read and decode; one for each processor by default.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : str
        ``"fp32"``, ``"bf16"`` or ``"fp16"``; float32 rows are stored for the first, float16 else.
    overwrite : bool
        Whether to replace an existing feature file.
    retry_failed : bool
        Whether to try again images that a former run recorded as failed.
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
    StorageError
        If the disk failed; rows reported by then are safe.
    """
    from clipfeat.encoders.encoder import EncoderOptions

    if batch_size < 1:
        raise UsageError(f"batch_size must be 1 or more, got {batch_size}")
    target = check_target(out)
    images = open_source(source, labels=labels, columns=columns)
    options = EncoderOptions(
        weights=None if weights is None else str(weights),
        untrained=untrained,
        layer=layer,
        image_size=image_size,
        precision=precision,
        device=device,
        arguments=encoder_args,
    )
    frozen = open_encoder(encoder, options)
    begun = time.monotonic()
    counts = {"encoded": 0, "known": 0, "failed": 0}
    failures: list[Failure] = []
    again: list[Row] = []
    by_label: dict[str, int] = {}
    for record in images:
        by_label[record.label] = by_label.get(record.label, 0) + 1

    with FeatureWriter(target, frozen.spec, root=images.root, overwrite=overwrite) as writer:

        def tell(kind: str, n: int = 1) -> None:
            counts[kind] += n
            progress(Progress(len(images), **counts, seconds=time.monotonic() - begun))

        def is_known(row: Row) -> bool:
            failed = not retry_failed and writer.has_failed(row.path, row.key)
            return failed or writer.holds(row.key)

        for item in encode_stream(
            images,
            frozen,
            batch_size=batch_size,
            num_workers=num_workers or os.cpu_count() or 1,
            is_known=is_known,
        ):
            if isinstance(item, Encoded):
                writer.append(item.rows, item.features)
                tell("encoded", len(item.rows))
            elif isinstance(item, Failure):
                writer.fail(item)
                failures.append(item)
                tell("failed")
            elif not retry_failed and writer.has_failed(item.row.path, item.row.key):
                failures.append(writer.failure_of(item.row.path))
                tell("failed")
            else:
                if not writer.is_current(item.row):
                    again.append(item.row)
                tell("known")
        writer.append_known([row for row in again if writer.holds(row.key)])
        for row in again:
            if not writer.holds(row.key):
                failure = Failure(row.path, "EncodingError", "as its equal by bytes", row.key)
                writer.fail(failure)
                failures.append(failure)
                counts["known"] -= 1
                tell("failed")
        seconds = time.monotonic() - begun
        writer.provenance = {
            "device": str(frozen.device),
            "seconds": round(seconds, 3),
            "batch_size": batch_size,
            "source": images.name,
            "weights": options.weights or "hub",
        }
        n_rows = writer.finish()
        absent = writer.absent({record.path for record in images})
    final = Progress(len(images), **counts, seconds=seconds)
    return EmbedReport(target, frozen.spec, final, n_rows, absent, by_label, failures)


def check_target(out: str | Path) -> Path:
    """Refuse a feature file's name that cannot be meant.

    Raises
    ------
    UsageError
        If it is a folder, or does not end in ``.h5`` or ``.hdf5``.
    """
    target = Path(out)
    if target.is_dir():
        raise UsageError(f"the output {target} is a folder: name a feature file, such as out.h5")
    if target.suffix.lower() not in {".h5", ".hdf5"}:
        raise UsageError(
            f"the output {target} must end in .h5: name a feature file, such as out.h5"
        )
    return target
