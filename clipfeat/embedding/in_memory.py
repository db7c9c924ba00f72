"""Encoding of images into a feature set in memory, with the encoders of a model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.copies import resolve_copies
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.run import REPORTED_AFTER
from clipfeat.encoders import open_encoder
from clipfeat.encoders.known_weights import remember_weights, remembered_weights
from clipfeat.encoders.registry import options_of
from clipfeat.errors import UsageError, WeightsError
from clipfeat.features import Failure, FeatureSet, encode_labels
from clipfeat.images.faces import finder_of
from clipfeat.images.record import record_path
from clipfeat.images.source import ImageSource
from clipfeat.spec import EncoderSpec, check_same, titles
from clipfeat.store.format import Row
from clipfeat.system.progress import Phase, Report, silent

if TYPE_CHECKING:
    from clipfeat.embedding.preparing import Pictures
    from clipfeat.embedding.views import View

CHECKED_AFTER = 1.0
"""Seconds between two checks of the folders of a source, while images fail."""


def encode_in_memory(
    images: ImageSource,
    specs: Sequence[EncoderSpec],
    *,
    views: "Mapping[str, View] | None" = None,
    every_view: bool = False,
    weights: str | Path | Sequence[str | Path] = (),
    weight_files: Mapping[str, str] = MappingProxyType({}),
    face_weights: str | Path | None = None,
    device: str = "auto",
    resources: EmbedResources = EmbedResources(),
    report: Report = silent,
) -> FeatureSet:
    """Encode every image with every encoder.

    Parameters
    ----------
    images : ImageSource
        The images.
    specs : sequence of EncoderSpec
        The specs of the encoders, at least one.
    views : mapping of str to View, optional
        Views by name. A view is an augmented copy of an image.
    every_view : bool
        If true, each image is decoded once and all `views` of it are encoded. In this case, the
        records must not name a view. If false, each record is encoded in the view that it names.
    weights : path, or sequence of path
        Local files of weights: one for each encoder that has weights, in the order of `specs`.
        Encoders with the same weights may share one file. Files that this user passed in an earlier
        call need not be passed again. See `clipfeat.encoders.known_weights`.
    weight_files : mapping of str to str
        Names of local files of weights by digest. They appear in the error for a missing file.
    face_weights : path, optional
        File of the face detector's weights.
    device : str
        Device option, as in `EncoderOptions`.
    resources : EmbedResources
        Batch size and number of workers. The engine must be ``"local"``.
    report : callable
        Called with a `Phase` before an encoder is opened, after each batch, at short intervals
        while images fail, and after the last image.

    Returns
    -------
    FeatureSet
        One row for each face or view of an image, in the order of `images`. The columns of the
        encoders are joined in the order of `specs`. If an encoder fails on an image, the image has
        no row and is among the failures. The set may therefore have no rows.

    Raises
    ------
    FingerprintError
        If an opened encoder differs from its spec. The message lists the differences.
    StorageError
        If a folder or archive of the source disappears.
    UsageError
        If `weights` has files, but not one for each encoder with weights, or if the engine is not
        ``"local"``. If there are views, and an encoder decodes images at a reduced size.
    WeightsError
        If a local file of weights is needed and not known.
    """
    from clipfeat.embedding.preparing import Pictures

    if resources.engine != "local":
        raise UsageError(
            f"the engine {resources.engine!r} can only write feature files. Run `clipfeat embed` "
            f"with --engine {resources.engine}, and pass the feature file instead of the images"
        )
    if views and (scaled := [spec for spec in specs if spec.is_scaled]):
        raise UsageError(
            "views and degradations need images in full size, but large JPEG images are reduced "
            f"for {titles(scaled)[0]}. Fit a model on features that were embedded without --decode "
            "scaled"
        )
    file_of = weights_of(specs, weights, weight_files)
    views = views or {}
    n_images = len(images) * (len(views) if every_view else 1)
    sets = []
    for turn, spec in enumerate(specs):
        start = Phase("encoding", turn * n_images, n_images * len(specs), "images")
        detector = str(face_weights) if face_weights else None
        faces = finder_of(spec.faces, detector) if spec.faces else None
        pictures = Pictures(views, faces, every_view)
        sets.append(
            _encode(
                images, spec, pictures, file_of.get(spec.weights), device, resources, start, report
            )
        )
    return side_by_side(sets)


def _encode(
    images: ImageSource,
    spec: EncoderSpec,
    pictures: "Pictures",
    weights: str | None,
    device: str,
    resources: EmbedResources,
    start: Phase,
    report: Report,
) -> FeatureSet:
    """Encode every image with one encoder. See `encode_in_memory`.

    `start` is the phase at the start of this encoder, which counts the images of earlier encoders.
    """
    from clipfeat.embedding.preparing import Known
    from clipfeat.embedding.stream import encode_stream
    from clipfeat.embedding.workers import Encoded

    options = options_of(spec, weights=weights, device=device)
    report(Phase("opening", detail=spec.name))
    encoder = open_encoder(spec.name, options, n_images=len(images))
    check_same([spec], [replace(encoder.spec, faces=spec.faces)])
    if weights and spec.weights:
        remember_weights(spec.weights, weights)
    rows: list[Row] = []
    batches: list[NDArray[np.float32]] = []
    copies: list[Row] = []
    failures: list[Failure] = []
    done: set[str] = set()
    stream = encode_stream(
        images,
        encoder,
        pictures=pictures,
        batch_size=resources.batch_size,
        num_workers=resources.num_workers,
        exact=lambda: open_encoder(spec.name, replace(options, precision="fp32")),
    )
    report(start)

    def state() -> Phase:
        n_failed = len(failures)
        return replace(start, done=start.done + len(done) + n_failed, failed=n_failed)

    is_unchecked, checked, reported = False, time.monotonic(), 0.0
    for item in stream:
        if isinstance(item, Encoded):
            rows += item.rows
            batches.append(item.features)
            done |= {record_path(row.path) for row in item.rows}
        elif isinstance(item, Known):
            copies.append(item.row)
            done.add(record_path(item.row.path))
        else:
            is_unchecked = is_unchecked or not item.key
            failures.append(item)
        now = time.monotonic()
        if is_unchecked and now - checked > CHECKED_AFTER:
            images.check_places()
            is_unchecked, checked = False, now
        if isinstance(item, Encoded) or now - reported > REPORTED_AFTER:
            reported = now
            report(state())
    if is_unchecked:
        images.check_places()
    report(state())
    row_of_key = {row.key: number for number, row in enumerate(rows)}
    copied, failed_copies = resolve_copies(copies, row_of_key.__contains__)
    X = np.vstack([np.empty((0, spec.n_features), dtype=np.float32), *batches])
    batches.clear()
    numbers = [*range(len(rows)), *(row_of_key[row.key] for row in copied)]
    rows += copied
    place = {
        view.path(record.path) if view else record.path: number
        for number, record in enumerate(images)
        for view in (pictures.views.values() if pictures.every else (None,))
    }
    order = sorted(range(len(rows)), key=lambda number: place[_listed(rows[number].path, place)])
    return feature_set(
        spec,
        [rows[number] for number in order],
        X[np.array([numbers[number] for number in order], dtype=np.int64)],
        [*failures, *failed_copies],
    )


def _listed(path: str, place: Mapping[str, int]) -> str:
    """Return the path under which the source lists the image of a row.

    A path that the source lists is returned unchanged. Other paths are those of faces, so the
    number of the face is removed from them.
    """
    return path if path in place else record_path(path)


def feature_set(
    spec: EncoderSpec,
    rows: Sequence[Row],
    X: NDArray[np.float32],
    failures: Sequence[Failure],
) -> FeatureSet:
    """Make a feature set from the rows of one encoder and their features.

    Parameters
    ----------
    spec : EncoderSpec
        The identity of the encoder.
    rows : sequence of Row, of length n_rows
        The images' metadata.
    X : ndarray of shape (n_rows, n_features)
        Features of the rows.
    failures : sequence of Failure
        Images that have no row.
    """
    classes, y = encode_labels([row.label for row in rows])
    groups = np.array([row.group for row in rows], dtype=np.str_)
    columns = [dict(row.columns) for row in rows]
    names = sorted({name for own in columns for name in own})
    return FeatureSet(
        X=X,
        y=y,
        classes=classes,
        paths=np.array([row.path for row in rows], dtype=np.str_),
        keys=np.array([row.key.hex().encode() for row in rows], dtype="S32"),
        groups=groups if groups.any() else None,
        specs=(spec,),
        columns={
            name: np.array([own.get(name, "") for own in columns], dtype=np.str_) for name in names
        },
        failures=tuple(failures),
    )


def side_by_side(sets: Sequence[FeatureSet]) -> FeatureSet:
    """Join the features of several sets by path. Images that are not in all sets are left out.

    Paths are unique, but identical images have the same content hash.
    """
    first, *others = sets
    if not others:
        return first
    numbers = [{path: i for i, path in enumerate(one.paths.tolist())} for one in sets]
    in_all = [path for path in first.paths.tolist() if all(path in own for own in numbers)]
    taken = [
        one.take(np.array([own[path] for path in in_all], dtype=np.int64))
        for one, own in zip(sets, numbers, strict=True)
    ]
    return replace(
        taken[0],
        X=np.hstack([one.X for one in taken]),
        specs=tuple(spec for one in sets for spec in one.specs),
        failures=tuple({f.path: f for one in sets for f in one.failures}.values()),
    )


def weights_of(
    specs: Sequence[EncoderSpec],
    weights: str | Path | Sequence[str | Path],
    names: Mapping[str, str],
) -> dict[str, str]:
    """Map the digest of each encoder's weights to a local file.

    Several encoders may share weights, for example in several image sizes. If no files are given,
    they are looked up in `clipfeat.encoders.known_weights`. Weights from the hub need no file.

    Parameters
    ----------
    specs : sequence of EncoderSpec
        The specs of the encoders.
    weights, names
        The arguments `weights` and `weight_files` of `encode_in_memory`.

    Raises
    ------
    UsageError
        If there are files, but not one for each encoder with weights.
    WeightsError
        If a file is needed and not known.
    """
    files = [str(weights)] if isinstance(weights, str | Path) else [str(one) for one in weights]
    weighted = [spec for spec in specs if spec.weights and not spec.untrained]
    if files and not weighted:
        raise UsageError(
            f"--weights was passed, but no encoder has weights ({', '.join(titles(specs))}). Leave "
            "out --weights"
        )
    # The digest of a transformer's weights depends on the image size, because position embeddings
    # are resized. The weights of all sizes are nevertheless read from one file.
    sources = {spec.weights: names.get(spec.weights, spec.weights) for spec in weighted}
    shared = list(dict.fromkeys(sources.values()))
    if len(files) == len(weighted):
        return {spec.weights: file for spec, file in zip(weighted, files, strict=True)}
    if len(files) == len(shared):
        file_of = dict(zip(shared, files, strict=True))
        return {digest: file_of[source] for digest, source in sources.items()}
    if files:
        encoders = ", ".join(titles(weighted))
        raise UsageError(
            f"got {len(files)} files of weights, but {len(shared)} are needed for the encoders "
            f"{encoders}. Pass --weights once for each file, in this order"
        )
    known_files = {digest: str(file) for digest in sources if (file := remembered_weights(digest))}
    for spec in weighted:
        if spec.weights not in known_files and (name := names.get(spec.weights)):
            raise WeightsError(
                f"the weights of {spec.name} were read from the file {name}, which is not known on "
                f"this machine. Pass its path with --weights, such as --weights folder/{name}"
            )
    return known_files
