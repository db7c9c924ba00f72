"""Loading the files to audit from feature files, feature sets or image sources."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from clipfeat.auditing.headers import subject_of_images
from clipfeat.auditing.pixels import pixel_properties
from clipfeat.auditing.subject import Properties, Subject, known_properties, subject_of
from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet, join, order_classes
from clipfeat.images import open_source
from clipfeat.images.class_globs import ClassGlobs
from clipfeat.images.hdf5_images import is_image_set
from clipfeat.images.listing import is_image
from clipfeat.images.manifest import TableColumns
from clipfeat.images.source_options import SourceOptions
from clipfeat.images.thumbnails import find_readers
from clipfeat.images.video import is_video
from clipfeat.store import file_properties, load, open_stored
from clipfeat.system.progress import Phase, Report

FEATURE_SUFFIXES = frozenset({".h5", ".hdf5"})


def load_subject(
    source: FeatureSet | str | Path | Sequence[str | Path],
    images: str | Path | Sequence[str | Path] | None,
    inputs: SourceOptions,
    n_jobs: int | None,
    report: Report,
) -> Subject:
    """Load the files to audit. The parameters are those of `clipfeat.audit`.

    Raises
    ------
    UsageError
        If feature files and images are mixed. If `images` or the labels do not fit the source.
    UnknownNameError
        If the group column does not exist.
    """
    report(Phase("loading"))
    if isinstance(source, FeatureSet):
        _check_own_labels("the feature set", inputs)
        subject = subject_of(source, {})
    else:
        specs = [str(source)] if isinstance(source, str | Path) else [str(one) for one in source]
        of_features = [
            Path(spec).suffix.lower() in FEATURE_SUFFIXES and not is_image_set(spec)
            for spec in specs
        ]
        if any(of_features) and not all(of_features):
            raise UsageError(
                f"feature files and images cannot be mixed, got {', '.join(specs)}. Pass the "
                "images with --images."
            )
        if not any(of_features):
            if images is not None:
                raise UsageError(
                    "--images can only be combined with feature files, but these sources contain "
                    f"images: {', '.join(specs)}. Leave out --images."
                )
            return _of_sources(specs, inputs, n_jobs, report)
        _check_own_labels(specs[0], inputs)
        subject = _of_feature_files(specs, report)
    if inputs.columns.group:
        subject = replace(subject, features=subject.features.grouped_by(inputs.columns.group))
    if images is None:
        return subject
    specs = [str(images)] if isinstance(images, str | Path) else [str(one) for one in images]
    of_images = replace(inputs, labels=None, columns=TableColumns())
    return subject.with_headers(_of_sources(specs, of_images, n_jobs, report))


def _check_own_labels(name: str, inputs: SourceOptions) -> None:
    """Raise `UsageError` if options would label features, which have their own labels."""
    if inputs.labels is not None:
        raise UsageError(
            f"--labels cannot be used with {name}, which has labels of its own. Leave out --labels."
        )
    if inputs.globs != ClassGlobs():
        raise UsageError(
            f"--real, --fake and --generator-level cannot be used with {name}, which has labels of "
            "its own. Leave them out."
        )


def _of_feature_files(specs: Sequence[str], report: Report) -> Subject:
    sets = [load(spec, progress=report) for spec in specs]
    properties = [_stored_properties(spec, of) for spec, of in zip(specs, sets, strict=True)]
    if len({one.specs for one in sets}) == 1:
        parts = [subject_of(*both) for both in zip(sets, properties, strict=True)]
        return _stack_subjects(parts, specs)
    joined = join(sets)
    index_of = {path: i for i, path in enumerate(sets[0].paths.tolist())}
    rows = [index_of[path] for path in joined.paths.tolist()]
    return subject_of(joined, {name: values[rows] for name, values in properties[0].items()})


def _stored_properties(spec: str, features: FeatureSet) -> Properties:
    """Return the stored properties, and those of the pixels if the images still exist."""
    stored = file_properties(spec)
    properties = known_properties(stored.file_size, stored.width, stored.height, stored.format)
    with open_stored(spec) as file:
        root = file.newest.text("root")
    files, first = np.unique(features.files, return_index=True)
    readers = find_readers(files.tolist(), [root]) if root else {}
    row_of = dict(zip(files.tolist(), first.tolist(), strict=True))
    images = {row_of[path]: reader for path, reader in readers.items() if not is_video(path)}
    return properties | pixel_properties(images, features.y, features.keys)


def _of_sources(
    specs: Sequence[str],
    inputs: SourceOptions,
    n_jobs: int | None,
    report: Report,
) -> Subject:
    is_one_list = any(is_image(spec) or is_video(spec) for spec in specs)
    sources = [
        open_source(
            spec,
            labels=inputs.labels,
            columns=inputs.columns,
            image_root=inputs.image_root,
            allow_remote=inputs.allow_remote,
            globs=inputs.globs,
        )
        for spec in ([specs] if is_one_list else specs)
    ]
    total = sum(map(len, sources))
    parts: list[Subject] = []
    for number, source in enumerate(sources):
        start = Phase("reading headers", sum(map(len, sources[:number])), total, "images")
        parts.append(subject_of_images(source, n_jobs, start, report))
    return _stack_subjects(parts, specs)


def _stack_subjects(parts: Sequence[Subject], specs: Sequence[str]) -> Subject:
    """Stack subjects. A subject without splits becomes one split, named after its file."""
    if len(parts) == 1:
        return parts[0]
    stems = [Path(spec).stem for spec in specs]
    names = stems if len(set(stems)) == len(stems) else list(specs)
    sets = [part.features for part in parts]
    labels = np.concatenate([one.labels for one in sets])
    classes = order_classes(set(labels.tolist()) - {""})
    code = {name: i for i, name in enumerate(classes)}
    splits = [
        np.where(part.split == "", name, part.split)
        for part, name in zip(parts, names, strict=True)
    ]
    empty = [np.full(len(one), "", dtype=np.str_) for one in sets]
    groups = [e if one.groups is None else one.groups for one, e in zip(sets, empty, strict=True)]
    paths = np.concatenate([one.paths for one in sets])
    if len(set(paths.tolist())) < len(paths):
        pairs = zip(names, sets, strict=True)
        paths = np.concatenate([np.char.add(f"{name}/", one.paths) for name, one in pairs])
    features = FeatureSet(
        X=np.vstack([one.X for one in sets]),
        y=np.array([code.get(label, -1) for label in labels.tolist()], dtype=np.int64),
        classes=classes,
        paths=paths,
        keys=np.concatenate([one.keys for one in sets]),
        groups=None if all(one.groups is None for one in sets) else np.concatenate(groups),
        specs=sets[0].specs,
        columns={"split": np.concatenate(splits)},
        failures=tuple(failure for one in sets for failure in one.failures),
    )
    shared = [
        name for name in parts[0].properties if all(name in part.properties for part in parts)
    ]
    properties = {
        name: np.concatenate([part.properties[name] for part in parts]) for name in shared
    }
    return Subject(features, properties, parts[0].why_not_known)
