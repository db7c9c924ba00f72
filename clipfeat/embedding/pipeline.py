"""Source by encoder to feature file, on one machine or on Ray."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfeat.embedding.engines import ENGINES, EngineOptions
from clipfeat.embedding.profile import Profile
from clipfeat.embedding.run import EmbedRun, Progress
from clipfeat.encoders import DEFAULT_ENCODER, local_file
from clipfeat.encoders.options import EncoderOptions
from clipfeat.errors import ClipfeatWarning, UsageError, unknown_name
from clipfeat.features import Failure
from clipfeat.images import open_source
from clipfeat.images.faces.finder import FaceFinder
from clipfeat.images.isolated import default_workers
from clipfeat.images.manifest import TableColumns
from clipfeat.images.source import ImageSource
from clipfeat.images.video.frames import FrameSampling, with_frames
from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, stored_spec
from clipfeat.store.lock import check_unlocked
from clipfeat.store.stat_cache import StatCache, load_stats, save_stats
from clipfeat.store.target import check_target
from clipfeat.system.file_stats import file_stat

if TYPE_CHECKING:
    from clipfeat.embedding.preparing import Pictures
    from clipfeat.embedding.views import View
    from clipfeat.encoders.encoder import Encoder


IDLE_SECONDS = 20.0


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
    faceless : int
        Images encoded now that were taken whole, since no face was found in them.
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
    faceless: int = 0


def embed(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    encoder: str = DEFAULT_ENCODER,
    weights: str | Path | None = None,
    untrained: bool = False,
    layers: str | None = None,
    pool: str | None = None,
    image_size: int | None = None,
    crop: str | None = None,
    views: str | Path | None = None,
    faces: FaceFinder | None = None,
    frames: FrameSampling = FrameSampling(),
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
    engine: str = "local",
    address: str | None = None,
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
    layers : str, optional
        Layers beside or in place of the encoder's own output, by number or name, with commas:
        ``"all"``, ``"3,6,last"``; of CLIP ``"projection"`` or ``"pre-projection"``. Each is a slice
        of the columns, which `FeatureSet.narrowed` picks afterwards.
    pool : str, optional
        How layers become rows: ``"cls"``, ``"mean"``, ``"std"``, ``"max"``, or several with ``+``;
        by default the class token where there is one, else ``"mean+std"``.
    image_size : int, optional
        Side of the encoder's input in pixels; its own by default.
    crop : str, optional
        ``"center"`` or ``"resize"`` (all of the image, resized to fit), where not the encoder's
        own; ``"none"`` or ``"tiles"`` for pixels at their own scale: the central piece, or pieces
        that cover the image, whose features are averaged.
    views : str or path, optional
        Names with commas, or a file that defines them; see `clipfeat.embedding.views`. Each is a
        row more for every image.
    faces : FaceFinder, optional
        Faces in place of the whole image; see `clipfeat.images.faces.open_finder`.
    frames : FrameSampling
        Which frames of a video are taken.
    encoder_args : mapping, optional
        Keyword arguments for a timm architecture, or ``mean``, ``std``, ``interpolation``,
        ``crop_pct`` for weights trained under others than upstream's.
    labels : path, optional
        A table of labels; see `columns`.
    columns : TableColumns
        Where a table keeps paths, labels and groups.
    batch_size : int, optional
        Images in one forward pass, on a processor of each core; found by trying where not given.
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
    engine : str
        A name of `ENGINES`. On ``"ray"`` the images and the folder of `out` must be reachable from
        every machine under the same names; `num_workers` is the number of tasks that decode, and
        ``"auto"`` takes a GPU for each encoder where the cluster has any.
    address : str, optional
        Of a running Ray cluster; by default the environment's ``RAY_ADDRESS``, else one of this
        machine alone is started for the run.
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
    MissingExtraError
        If Ray is asked for and not installed.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if address is not None and engine != "ray":
        raise UsageError("an address is of a Ray cluster: give --engine ray too, or leave it out")
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size must be 1 or more, got {batch_size}")
    workers = num_workers or default_workers()
    target = check_target(out)
    check_unlocked(target)
    images = with_frames(open_source(source, labels=labels, columns=columns), frames)
    images, seen_as = viewed(images, views)
    identity = "" if faces is None else faces.identity
    words: dict[str, Any] = {
        "weights": None if weights is None else str(weights),
        "untrained": untrained,
        "layers": layers,
        "pool": pool,
        "image_size": image_size,
        "crop": crop,
        "precision": precision,
        "arguments": None if encoder_args is None else dict(encoder_args),
    }
    file = local_file(encoder, words["weights"])
    about_file = file and file_stat(file)
    request = json.dumps(
        {"encoder": encoder, **words, "faces": identity, "weights_stat": about_file}
    )

    about = EngineOptions(encoder, images.records, num_workers, batch_size, address)
    with ENGINES[engine](about) as running:

        def options() -> EncoderOptions:
            return EncoderOptions(device=device, **words)

        def open_frozen(n_images: int) -> "Encoder":
            found = running.open(options(), n_images)
            return replace(found, spec=replace(found.spec, faces=identity))

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
            run = EmbedRun(writer, len(images), retry_failed, progress)
            todo = run.settle_unchanged(
                images, StatCache({}, 0) if overwrite else load_stats(target)
            )
            if todo:
                frozen = frozen or open_frozen(len(todo))
                writer.check_spec(frozen.spec)
                fixed = replace(options(), precision=frozen.spec.precision)
                running.encode(run, todo, frozen, fixed, _pictures(seen_as, faces))
            run.settle_copies()
            seconds = run.seconds
            profile = run.profile(frozen, workers)
            if profile.idle and seconds > IDLE_SECONDS and engine == "local":
                warnings.warn(profile.idle, ClipfeatWarning, stacklevel=2)
            writer.provenance = {
                **run.provenance(frozen, workers),
                "engine": engine,
                "source": images.name,
                "weights": file or ("hub" if spec.weights else "none"),
            }
            current = run.current_paths(images)
            n_rows = writer.finish(only=current if prune else None)
            absent = 0 if prune else len(writer.paths - current)
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
        faceless=run.faceless,
    )


def _pictures(views: "Mapping[str, View]", faces: FaceFinder | None) -> "Pictures":
    from clipfeat.embedding.preparing import Pictures

    return Pictures(views, faces)


def sized_paths(out: str | Path, sizes: str | None) -> dict[int | None, Path]:
    """The feature file of each image size.

    Parameters
    ----------
    out : path
        Where features are to go; of several sizes each file has its size in its name.
    sizes : str, optional
        One size in pixels, or several with commas; None is the encoder's own.

    Raises
    ------
    UsageError
        If a size is no whole number.

    Examples
    --------
    >>> [path.name for path in sized_paths("out.h5", "32,64").values()]
    ['out-32.h5', 'out-64.h5']
    """
    target = Path(out)
    if sizes is None:
        return {None: target}
    wanted = [size.strip() for size in sizes.split(",")]
    if not all(size.isdecimal() for size in wanted):
        raise UsageError(f"an image size is a whole number of pixels, or several, got {sizes!r}")
    if len(wanted) == 1:
        return {int(wanted[0]): target}
    return {int(n): target.with_name(f"{target.stem}-{n}{target.suffix}") for n in wanted}


def viewed(
    images: ImageSource, views: str | Path | None
) -> "tuple[ImageSource, Mapping[str, View]]":
    """List the views of every image.

    Parameters
    ----------
    images : ImageSource
        The images.
    views : str or path, optional
        As `clipfeat.embedding.views.read_views` takes it; None leaves the images as they are.

    Returns
    -------
    ImageSource
        A record for each view of each image.
    mapping of str to View
        What makes them, by name.
    """
    if views is None:
        return images, {}
    from clipfeat.embedding.views import read_views, with_views

    found = read_views(str(views))
    return with_views(images, found), found
