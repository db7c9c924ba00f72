"""Encoding of a source into a feature file, on one machine or on Ray."""

import json
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.embedding.absent import count_absent
from clipfeat.embedding.embed_report import EmbedReport, chooses_root, common_cause
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.engines import Engine, open_engine
from clipfeat.embedding.roots import SharedRoot, shared_root
from clipfeat.embedding.run import EmbedCounts, EmbedRun
from clipfeat.encoders import DEFAULT_ENCODER, local_file
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.known_weights import remember_weights
from clipfeat.errors import ClipfeatWarning, MissingExtraError, StorageError, UsageError
from clipfeat.images.faces.finder import FaceFinder
from clipfeat.images.isolated import default_workers
from clipfeat.images.memory import ImageInput
from clipfeat.images.overview import overview_of
from clipfeat.images.skipping import MOST_KINDS
from clipfeat.images.source import ImageSource
from clipfeat.images.source_options import SourceOptions, open_inputs
from clipfeat.images.spellings import with_one_spelling
from clipfeat.images.video.frames import with_frames
from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, stored_spec
from clipfeat.store.loading import has_no_rows, label_counts, stored_root
from clipfeat.store.lock import check_unlocked, write_lock
from clipfeat.store.stat_cache import NO_STATS, load_stats, save_stats
from clipfeat.store.target import check_target
from clipfeat.system.file_stats import file_stat
from clipfeat.system.own_files import is_own, note_own
from clipfeat.system.progress import Phase, PhaseClock, Report, reporting

if TYPE_CHECKING:
    from clipfeat.embedding.preparing import Pictures
    from clipfeat.embedding.views import View
    from clipfeat.encoders.encoder import Encoder


IDLE_SECONDS = 20.0


def embed(
    source: ImageInput,
    out: str | Path,
    *,
    encoder: str = DEFAULT_ENCODER,
    options: EncoderOptions = EncoderOptions(),
    inputs: SourceOptions = SourceOptions(),
    overwrite: bool = False,
    retry_failed: bool = False,
    prune: bool = False,
    resources: EmbedResources = EmbedResources(),
    progress: bool | Report = True,
) -> EmbedReport:
    """Encode the images of a source into a feature file.

    Images are identified by content hash. Images whose features are in the file are not encoded
    again, so an interrupted run resumes. The file may hold images of several folders. See
    `clipfeat.embedding.roots`. A file without rows is replaced.

    Parameters
    ----------
    source : path, sequence of paths, images in memory, or ImageSource
        A folder, a table, archives, arrays or images. See `clipfeat.images.open_source`, and
        `clipfeat.image_source` for images in memory with labels. If the source is an ImageSource,
        the labels and columns of `inputs` are not applied.
    out : path
        The feature file, new or existing.
    encoder : str
        Name of the encoder, such as ``"open_clip:ViT-L-14/openai"``, ``"timm:resnet50.a1_in1k"`` or
        ``"spectrum"``.
    options : EncoderOptions
        Weights, layers, image size, crop, decoding, precision and device. If the file exists, the
        precision ``"auto"`` keeps the precision of the file. Features are stored as float32 if the
        precision is ``"fp32"``, and as float16 otherwise.
    inputs : SourceOptions
        Labels, columns, views, faces and frames.
    overwrite : bool
        Whether to replace an existing feature file.
    retry_failed : bool
        Whether to retry images that failed in an earlier run.
    prune : bool
        Whether to remove the rows of images that are no longer in the source, which must be folders
        or archives. Rows of images in other folders and archives are kept.
    resources : EmbedResources
        Batch size, number of workers, and engine.
    progress : bool or callable
        Whether to show the phases of the run on standard error or in the notebook. A callable is
        called with each `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    EmbedReport
        Counts and failures. An image that cannot be read is recorded as a failure and skipped.

    Raises
    ------
    EmptySourceError
        If the source contains no image.
    LabelError
        If classes of the source and the file differ only in capitals or spaces, and `inputs` does
        not merge them.
    WeightsError
        If the encoder's weights are missing.
    FingerprintError
        If `out` contains features of another encoder.
    UsageError
        If `prune` is used with a table or a list of images, and `overwrite` is false. If images are
        decoded at a reduced size, but `inputs` has views or faces.
    LockedError
        If another process is writing `out`.
    StorageError
        If the disk fails, or if a folder of the source cannot be listed or disappears. Committed
        rows are kept.
    MissingExtraError
        If the engine is ``"ray"`` and Ray is not installed.

    Examples
    --------
    >>> import clipfeat
    >>> report = clipfeat.embed("images/", "out.h5", encoder="spectrum")  # doctest: +SKIP
    """
    with reporting(progress) as report:
        clock = PhaseClock(report)
        clock(Phase("listing"))
        return _embed(
            source, out, encoder, options, inputs, overwrite=overwrite, retry_failed=retry_failed,
            prune=prune, resources=resources, clock=clock,
        )  # fmt: skip


def _embed(
    source: ImageInput, out: str | Path, encoder: str, options: EncoderOptions,
    inputs: SourceOptions, *, overwrite: bool, retry_failed: bool, prune: bool,
    resources: EmbedResources, clock: PhaseClock,
) -> EmbedReport:  # fmt: skip
    """Encode the images of a source. See `embed`."""
    n_threads = resources.num_workers or default_workers()
    _check_decoding(options, inputs)
    target = check_target(out)
    check_unlocked(target)
    listed = open_inputs(source, inputs)
    # All later steps depend on the root and the rows of the file, so no other process may change
    # the file from here to the end.
    with write_lock(target):
        overwrite = overwrite or has_no_rows(target)
        shared = SharedRoot(listed) if overwrite else shared_root(listed, target)
        root = None if overwrite else stored_root(target)
        # A file from another user or computer may have rows of images that this user has never
        # embedded.
        is_own_file = root is None or is_own(target, root)
        _check_prune(shared, target, prune=prune and not overwrite)
        others = {} if root is None or prune else _labels_of_others(target, shared)
        labelled = with_one_spelling(shared.images, others, merge=inputs.merge_labels)
        is_choice = shared.images.root != listed.root or chooses_root(listed)
        images, views = add_views(with_frames(labelled, inputs.frames), inputs.views)
        stored, stored_request = (None, "") if overwrite else stored_spec(target)
        finder = _resumed(inputs.faces, stored, target)
        faces = "" if finder is None else finder.identity
        request = _request_text(encoder, options, faces)
        with open_engine(encoder, images.records, resources, clock) as engine:
            if options.precision == "auto" and stored is not None:
                options = replace(options, precision=stored.precision)
            # If the request has not changed, the encoder is opened only if there are images to
            # encode.
            spec = stored if stored_request == request else None
            frozen: Encoder | None = None
            if spec is None:
                frozen = _open(engine, encoder, options, len(images), faces, clock)
                spec = frozen.spec
            if stored == spec:
                shared.apply(target)
            with FeatureWriter(
                target, spec, root=images.root, request=request, overwrite=overwrite, is_locked=True
            ) as writer:
                run = EmbedRun(writer, images, retry_failed, clock)
                todo = run.settle_unchanged(NO_STATS if overwrite else load_stats(target))
                if todo:
                    frozen = frozen or _open(engine, encoder, options, len(todo), faces, clock)
                    writer.check_spec(frozen.spec)
                    fixed = replace(options, precision=frozen.spec.precision)
                    with run.recording():
                        engine.encode(run, todo, frozen, fixed, _pictures(views, finder))
                run.settle_copies()
                profile = run.profile(frozen, n_threads)
                if profile.idle and profile.wall > IDLE_SECONDS and resources.engine == "local":
                    warnings.warn(profile.idle, ClipfeatWarning, stacklevel=2)
                writer.provenance = {
                    **run.provenance(frozen, n_threads),
                    "engine": resources.engine,
                    "source": images.name,
                    "skipped": dict(Counter(images.skipped).most_common(MOST_KINDS)),
                    "weights": _weights_name(encoder, options, spec),
                }
                n_rows = writer.finish(only=run.kept_paths(shared) if prune else None)
                absent = 0 if prune else count_absent(target, images, shared.folders)
                if todo:
                    _save_stats(target, run)
        if is_own_file:
            note_own(target, images.root)
    return EmbedReport(
        path=target,
        spec=spec,
        progress=EmbedCounts(len(images), **run.counts, seconds=sum(clock.stop().values())),
        n_rows=n_rows,
        absent=absent,
        labels=Counter(record.label for record in images),
        failures=run.failures,
        profile=profile,
        chosen=frozen.chosen if frozen else "",
        faceless=run.faceless,
        skipped=images.skipped,
        root=images.root,
        cause=common_cause(images, run.failures, is_table=listed.kind == "table"),
        overview=overview_of(listed),
        is_root_chosen=is_choice,
        seconds=clock.stop(),
    )


def _resumed(
    finder: FaceFinder | None, stored: EncoderSpec | None, target: Path
) -> FaceFinder | None:
    """Return the requested face finder, or one with the detector of an existing feature file."""
    if finder is None or stored is None:
        return finder
    from clipfeat.images.faces import resume_finder

    try:
        resumed = resume_finder(finder, stored.faces)
    except (MissingExtraError, UsageError) as error:
        raise type(error)(f"{target} cannot be resumed: {error}") from error
    if resumed.identity != finder.identity:
        warnings.warn(
            f"the faces of new images are detected with {resumed.identity!r}, as in {target}, and "
            f"not with the default {finder.identity!r}. To use the default, write the features to "
            "a new file",
            ClipfeatWarning,
            stacklevel=4,
        )
    return resumed


def _check_decoding(options: EncoderOptions, inputs: SourceOptions) -> None:
    """Refuse views and faces of images that are decoded at a reduced size."""
    if options.decode == "scaled" and (inputs.views or inputs.faces):
        name = "--views" if inputs.views else "--faces"
        raise UsageError(
            f"{name} needs images in full size, but --decode scaled reduces them. Leave out one of "
            "the two options"
        )


def _labels_of_others(target: Path, shared: SharedRoot) -> Mapping[str, int]:
    """Count the labels of the rows whose images are not in the source."""
    return label_counts(target, shared.prefix, {record.path for record in shared.images})


def _check_prune(shared: SharedRoot, target: Path, *, prune: bool) -> None:
    """Refuse ``--prune`` if it is unknown which rows of a feature file come from the source."""
    if prune and not shared.folders:
        raise UsageError(
            f"--prune applies to folders and archives, but the source is {shared.images.name}, so "
            f"it is unknown which rows of {target} come from it. Leave out --prune"
        )


def _save_stats(target: Path, run: EmbedRun) -> None:
    """Write the cache of content hashes. Without it, the next run reads all files again."""
    try:
        save_stats(target, run.digests)
    except StorageError as error:
        warnings.warn(
            f"the cache of content hashes was not written ({error}). The features are safe, but "
            "the next run reads all images again. Free some space",
            ClipfeatWarning,
            stacklevel=3,
        )


def _request_text(encoder: str, options: EncoderOptions, faces: str) -> str:
    """Write the request of a run (its encoder and the options) as JSON.

    The feature file stores this text. A later run with the same text opens the encoder only if it
    has images to encode. Therefore the keys and their order must not change. A new option may be
    added to the text only if its value is not the default. The number of workers and the device are
    left out, because they do not change the features. For a local file of weights, the text has the
    file's name and status, but not its folder, because other people may get the feature file.
    """
    weights = local_file(encoder, options.weights)
    if weights and options.weights is None:  # the name of the encoder is a file
        encoder = encoder.replace(weights, Path(weights).name)
    stat = file_stat(weights) if weights else None
    return json.dumps(
        {
            "encoder": encoder,
            "weights": None if options.weights is None else Path(options.weights).name,
            "untrained": options.untrained,
            "layers": options.layers,
            "pool": options.pool,
            "image_size": options.image_size,
            "crop": options.crop,
            "precision": options.precision,
            "arguments": None if options.arguments is None else dict(options.arguments),
            "faces": faces,
            "weights_stat": stat and stat[:3],
        }
        | ({} if options.decode == "exact" else {"decode": options.decode})
    )


def _open(
    engine: Engine,
    name: str,
    options: EncoderOptions,
    n_images: int,
    faces: str,
    report: Report,
) -> "Encoder":
    """Open the encoder, and record in its spec how faces are cropped.

    The path of a local file of weights is remembered, so that `clipfeat.predict` finds the file.
    """
    report(Phase("opening", detail=name))
    encoder = engine.open(options, n_images)
    file = local_file(name, options.weights)
    if file and encoder.spec.weights:
        remember_weights(encoder.spec.weights, file)
    return replace(encoder, spec=replace(encoder.spec, faces=faces))


def _weights_name(encoder: str, options: EncoderOptions, spec: EncoderSpec) -> str:
    """Describe the weights: the name of a local file, ``"hub"``, or ``"none"`` without weights."""
    file = local_file(encoder, options.weights)
    return Path(file).name if file else "hub" if spec.weights else "none"


def _pictures(views: "Mapping[str, View]", faces: FaceFinder | None) -> "Pictures":
    from clipfeat.embedding.preparing import Pictures

    return Pictures(views, faces)


def sized_paths(out: str | Path, sizes: str | None) -> dict[int | None, Path]:
    """Return the path of the feature file for each image size.

    Parameters
    ----------
    out : path
        The feature file. If there are several sizes, the size is appended to each file name.
    sizes : str, optional
        One size in pixels, or several sizes separated by commas. None selects the encoder's own
        size.

    Raises
    ------
    UsageError
        If a size is not a whole number.

    Examples
    --------
    >>> [path.name for path in sized_paths("out.h5", "32,64").values()]
    ['out-32.h5', 'out-64.h5']
    """
    target = Path(out)
    if sizes is None:
        return {None: target}
    texts = [size.strip() for size in sizes.split(",")]
    if not all(text.isdecimal() for text in texts):
        raise UsageError(
            "the image size must be a whole number of pixels, or several numbers separated by "
            f"commas, got {sizes!r}. Pass for example --image-size 224"
        )
    if len(texts) == 1:
        return {int(texts[0]): target}
    return {int(n): target.with_name(f"{target.stem}-{n}{target.suffix}") for n in texts}


def add_views(
    images: ImageSource, views: str | Path | None
) -> "tuple[ImageSource, Mapping[str, View]]":
    """Add a record for each view of each image.

    Parameters
    ----------
    images : ImageSource
        The images.
    views : str or path, optional
        Names of views, or a file that defines views. See `clipfeat.embedding.views.read_views`.
        None adds no views.

    Returns
    -------
    ImageSource
        A source with one record for each view of each image.
    mapping of str to View
        The views by name. Empty if `views` is None.
    """
    if views is None:
        return images, {}
    from clipfeat.embedding.views import read_views, with_views

    by_name = read_views(str(views))
    return with_views(images, by_name), by_name
