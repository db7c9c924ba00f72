"""Predict classes from images, feature files or features in memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.in_memory import encode_in_memory
from clipfeat.embedding.pipeline import add_views
from clipfeat.errors import UsageError, unknown_name
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import AVERAGES
from clipfeat.images.class_globs import ClassGlobs
from clipfeat.images.hdf5_images import is_image_set
from clipfeat.images.labels import with_labels
from clipfeat.images.manifest import is_table
from clipfeat.images.memory import ImageInput, paths_of
from clipfeat.images.readers import FileBytes
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource
from clipfeat.images.source_options import SourceOptions, open_inputs
from clipfeat.images.spellings import renamed
from clipfeat.images.video.frames import with_frames
from clipfeat.model import Model, load_model
from clipfeat.prediction.label_match import as_classes, check_labels, given_labels
from clipfeat.prediction.predictions import (
    Predictions,
    files_of,
    in_listed_rows,
    predictions_of,
)
from clipfeat.store import load
from clipfeat.system.progress import Phase, Report, reporting


def predict(
    model: Model | str | Path,
    source: FeatureSet | ImageInput,
    *,
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    inputs: SourceOptions = SourceOptions(),
    average: str = "mean",
    per_part: bool = False,
    device: str = "auto",
    resources: EmbedResources = EmbedResources(),
    progress: bool | Report = True,
) -> Predictions:
    """Predict the class of each image, and of each video from its frames.

    A file may have several parts: the frames of a video, the faces of an image, or views
    (augmentations) of an image. Each part is predicted, and the probabilities of the parts are
    averaged.

    Parameters
    ----------
    model : Model or path
        A fitted model, or a model file.
    source : FeatureSet, path, sequence of paths, images in memory, or ImageSource
        Features, one or more feature files, or any image source, as for `clipfeat.embed`. Images
        are encoded with the model's encoders first.
    weights : path, or sequence of path
        Local weight files, which replace the weights of the hub. Pass one file for each of the
        model's encoders that has weights, in the order of the encoders.
    face_weights : path, optional
        Weight file of the face detector YuNet. It is needed if the model was fitted on faces that
        YuNet detected.
    inputs : SourceOptions
        Options for reading images. `labels` is a table of the true classes, with which predictions
        are scored. If the source has features instead of images, this table replaces their labels,
        and only `labels`, `columns` and `merge_labels` have an effect. `globs` is then an error.
        `views` are test-time augmentations. `faces` must be None, because the face settings are
        stored with the model.
    average : str
        Name of the average over the parts of a file, in `clipfeat.features.by_file.AVERAGES`.
    per_part : bool
        Return one row per part instead of one row per file.
    device : str
        As in `EncoderOptions`.
    resources : EmbedResources
        Batch size and number of workers. The engine must be ``"local"``.
    progress : bool or callable
        Whether to show the phases of the run on standard error or in the notebook. A callable is
        called with each `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    Predictions
        One row per file, or per part. An unreadable file also has a row, and `Predictions.errors`
        holds the reason.

    Raises
    ------
    FingerprintError
        If the features do not come from the model's encoders.
    WeightsError
        If the weights of an encoder are missing.
    RefusedFileError
        If the model file is damaged, or is not a model file.
    UnknownNameError
        If `average` is unknown.
    UsageError
        If an option cannot be used with this source or this model.
    LabelError
        If labels of a table match no class of the model. Labels from folders and feature files may
        match no class. Their images are then not scored.
    """
    if average not in AVERAGES:
        raise unknown_name("average", average, AVERAGES)
    with reporting(progress) as report:
        return _predict(
            model, source, weights, face_weights, inputs, None if per_part else average, device,
            resources, report,
        )  # fmt: skip


def _predict(
    model: Model | str | Path, source: FeatureSet | ImageInput,
    weights: str | Path | Sequence[str | Path], face_weights: str | Path | None,
    inputs: SourceOptions, how: str | None, device: str, resources: EmbedResources, report: Report,
) -> Predictions:  # fmt: skip
    """Predict the class of each image. See `predict`. Without `how`, each part has a row."""
    report(Phase("loading"))
    fitted = as_model(model)
    if isinstance(source, FeatureSet):
        return _of_features(fitted, source, "the feature set", inputs, how)
    specs = paths_of(source)
    if specs and all(map(_may_be_features, specs)):
        loaded = load(*specs, progress=report)
        return _of_features(fitted, loaded, " + ".join(map(str, specs)), inputs, how)
    report(Phase("listing"))
    listed = open_images(fitted, source, inputs)
    is_given = inputs.labels is not None or inputs.globs.gives_labels
    if is_given or any(is_table(str(spec)) for spec in specs):
        table = listed.name if inputs.labels is None else str(inputs.labels)
        check_labels(given_labels(listed, fitted.classes), fitted.classes, table)
    images, views = add_views(listed, inputs.views)
    features = encode_in_memory(
        images,
        fitted.specs,
        views=views,
        weights=weights,
        weight_files=fitted.weight_files,
        face_weights=face_weights,
        device=device,
        resources=resources,
        report=report,
    )
    report(Phase("predicting"))
    predictions = predictions_of(fitted, features, how, images)
    predictions = replace(predictions, skipped=listed.skipped)
    return predictions if how is None else in_listed_rows(predictions, listed)


def _of_features(
    model: Model, features: FeatureSet, name: str, inputs: SourceOptions, average: str | None
) -> Predictions:
    """Predict from features. Labels of a table are paired with the files of the features."""
    if inputs.globs != ClassGlobs():
        raise UsageError(
            f"--real, --fake and --generator-level need images, but {name} has features. Leave out "
            "these options, or pass the images"
        )
    if inputs.labels is None:
        names = as_classes(features.classes, model.classes, merge=inputs.merge_labels)
        return predictions_of(model, features.renamed_classes(names), average)
    records = [ImageRecord(file, FileBytes(file)) for file in files_of(features)]
    labelled = with_labels(ImageSource(name, "", records), str(inputs.labels), inputs.columns)
    names = as_classes(
        (record.label for record in labelled), model.classes, merge=inputs.merge_labels
    )
    labels = {record.path: names[record.label] for record in labelled}
    check_labels(labels.values(), model.classes, str(inputs.labels))
    predictions = predictions_of(model, features, average, truth=labels)
    return replace(predictions, skipped=labelled.skipped)


def _may_be_features(spec: str | Path) -> bool:
    return Path(spec).suffix.lower() in {".h5", ".hdf5"} and not is_image_set(str(spec))


def as_model(model: Model | str | Path) -> Model:
    """Return a model unchanged, or read a model file."""
    return model if isinstance(model, Model) else load_model(model)


def open_images(model: Model, source: ImageInput, inputs: SourceOptions) -> ImageSource:
    """List the images and video frames of a source, for prediction with a model.

    Raises
    ------
    UsageError
        If the model was fitted on arrays. If `inputs` has faces.
    EmptySourceError
        If the source has no images.
    """
    if not model.specs:
        raise UsageError(
            "the model was fitted on arrays, so it has no encoder for images. Pass a FeatureSet to "
            "predict"
        )
    if inputs.faces is not None:
        raise UsageError(
            "the face settings cannot be changed for a prediction (got "
            f"faces={inputs.faces.identity!r}), because they are stored with the model. Leave out "
            "the argument `faces`"
        )
    images = open_inputs(source, inputs)
    labels = (record.label for record in images)
    images = renamed(images, as_classes(labels, model.classes, merge=inputs.merge_labels))
    return with_frames(images, inputs.frames)
