"""Score a model on degraded images.

Each image is decoded once. It is then degraded with every degradation of `DEGRADATIONS` at every
strength, and each degraded image is encoded. The result is each metric as a function of the
strength. Detectors of generated images are usually evaluated on these degradations: compression,
blur, resizing, cropping, noise and combinations (Wang et al. 2020, arXiv 1912.11035; Corvi et al.
2023, arXiv 2211.00680).
"""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.in_memory import encode_in_memory
from clipfeat.errors import LabelError, UsageError, unknown_name
from clipfeat.evaluate.rates import RateTable
from clipfeat.features import FeatureSet
from clipfeat.features.classes import positive_class
from clipfeat.images.memory import ImageInput
from clipfeat.images.record import record_path
from clipfeat.images.source import ImageSource
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import Model
from clipfeat.prediction.degraded_rates import columns_of_files, degraded_rates
from clipfeat.prediction.label_match import check_labels
from clipfeat.prediction.predicting import as_model, open_images
from clipfeat.prediction.predictions import Predictions, predictions_of
from clipfeat.system.progress import Phase, Report, reporting

if TYPE_CHECKING:
    import pandas as pd

Step = tuple[str, Mapping[str, Any]]
"""Name of an image transform, and its arguments."""
MAX_DEGRADED = 2**30
"""Maximum number of pixels of all degraded copies of one image. A megapixel with all degradations
takes 1.4 s, and a small file may have 89 megapixels."""
ORIGINAL = "original"
"""Name that the images without degradation have instead of the name of a degradation."""


@dataclass(frozen=True)
class Degradation:
    """A kind of image degradation.

    Parameters
    ----------
    name : str
        Name in tables, such as ``"jpeg"``.
    title : str
        Heading in tables and plots. It names the quantity and the unit of the strength.
    strengths : mapping of float to sequence of steps
        For each strength, from mild to severe, the steps that degrade an image. See
        `clipfeat.embedding.views.read_views`.
    """

    name: str
    title: str
    strengths: Mapping[float, Sequence[Step]]


_ROWS = (
    Degradation("jpeg", "JPEG quality",
                {q: [("JPEG", {"quality": q})] for q in (100, 90, 70, 50, 30)}),
    Degradation("webp", "WebP quality",
                {q: [("WEBP", {"quality": q})] for q in (100, 90, 70, 50, 30)}),
    Degradation("blur", "Gaussian blur, σ in pixels",
                {s: [("Blur", {"sigma": s})] for s in (0.5, 1, 2, 3, 4)}),
    Degradation("shrink", "downscaling, factor per side",
                {f: [("Scale", {"factor": f})] for f in (0.75, 0.5, 0.25)}),
    Degradation("enlarge", "upscaling, factor per side",
                {f: [("Scale", {"factor": f})] for f in (1.25, 1.5, 2)}),
    Degradation("crop", "crop, share of each side",
                {s: [("CropShare", {"share": [s, s]})] for s in (0.9, 0.8, 0.7, 0.6, 0.5)}),
    Degradation("noise", "Gaussian noise, σ as a share of full scale",
                {s: [("GaussianNoise", {"sigma": s})] for s in (0.01, 0.02, 0.05, 0.1)}),
    Degradation("combined", "combined degradations, level 1 to 3", {
        1: [("Scale", {"factor": 0.75}), ("JPEG", {"quality": 90})],
        2: [("Scale", {"factor": 0.5}), ("Blur", {"sigma": 1}), ("JPEG", {"quality": 70})],
        3: [("CropShare", {"share": [0.8, 0.8]}), ("Scale", {"factor": 0.5}),
            ("Blur", {"sigma": 1}), ("GaussianNoise", {"sigma": 0.02}), ("JPEG", {"quality": 50})],
    }),
)  # fmt: skip
DEGRADATIONS = {row.name: row for row in _ROWS}
"""Degradations by name."""


@dataclass(frozen=True)
class Score:
    """The value of one metric for one degradation and strength.

    Parameters
    ----------
    degradation : str
        Name of the degradation, or ``"original"``.
    strength : float
        Strength of the degradation. NaN for the original images.
    metric : str
        Name of the metric.
    value : float
        Value of the metric.
    n : int
        Number of scored images.
    """

    degradation: str
    strength: float
    metric: str
    value: float
    n: int


@dataclass(frozen=True, eq=False, repr=False)
class Robustness:
    """Metrics of a model on original and degraded images.

    Parameters
    ----------
    rows : sequence of Score
        Scores, starting with the scores of the original images. All scores cover the same images.
    errors : mapping of str to str
        For each image that is left out, its path and the reason.
    n_images : int
        Number of images and videos of the source. Unreadable files, unlabelled files and training
        images of the model are counted here, but not scored.
    classes : tuple of str
        Classes of the model. The last of two classes is the positive class.
    predictions : mapping of str to Predictions
        Predictions of the same files, by degradation and strength, such as ``"jpeg 30"``. The
        predictions of the original images come first.
    columns : mapping of str to ndarray of shape (n_files,)
        Columns of the source, and the groups as ``group``, for the files of `predictions`.
    """

    rows: Sequence[Score]
    errors: Mapping[str, str] = field(default_factory=dict)
    n_images: int = 0
    classes: tuple[str, ...] = ()
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    columns: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def rates(self, by: str | None = None) -> RateTable | None:
        """Compute the false positive rate of each source and the recall of each generator.

        Parameters
        ----------
        by : str, optional
            Name of a column, or several names separated by commas. By default, ``generator``, and
            ``source`` for images without a generator.

        Returns
        -------
        RateTable or None
            Rates for the original and the degraded images. None if `by` is not given, and neither
            default column has two or more values in one class.

        Raises
        ------
        UnknownNameError
            If a column is unknown.
        """
        return degraded_rates(self.predictions, self.columns, by)

    def __repr__(self) -> str:
        names = dict.fromkeys(row.degradation for row in self.rows)
        return f"Robustness({', '.join(names)}; {len(self.rows)} rows)"

    def to_pandas(self) -> "pd.DataFrame":
        """Make a table with one row per score.

        Returns
        -------
        DataFrame
            Columns ``degradation``, ``strength``, ``metric``, ``value``, ``n`` (the number of
            scored images), ``n_images`` (of all images) and ``positive_class``.
        """
        import pandas as pd

        table = pd.DataFrame([vars(row) for row in self.rows])
        positive = positive_class(self.classes) or ""
        return table.assign(n_images=self.n_images, positive_class=positive)


def check_degradations(names: Sequence[str]) -> None:
    """Check that degradations exist.

    Raises
    ------
    UnknownNameError
        If a name is not in `DEGRADATIONS`. The message lists the nearest names.
    """
    for name in names:
        if name not in DEGRADATIONS:
            raise unknown_name("degradation", name, DEGRADATIONS)


def robustness(
    model: Model | str | Path,
    source: ImageInput,
    *,
    degradations: Sequence[str] = tuple(DEGRADATIONS),
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    inputs: SourceOptions = SourceOptions(),
    average: str = "mean",
    device: str = "auto",
    resources: EmbedResources = EmbedResources(),
    progress: bool | Report = True,
) -> Robustness:
    """Score a model on the original and the degraded images of a source.

    Parameters
    ----------
    model : Model or path
        A fitted model, or a model file.
    source : path, sequence of paths, images in memory, or ImageSource
        Labelled images. Images that the model was fitted on are left out. An `ImageSource` must
        come from `clipfeat.prediction.predicting.open_images`.
    degradations : sequence of str
        Names of degradations in `DEGRADATIONS`.
    weights, face_weights, inputs, average, device, resources
        As in `clipfeat.predict`, but `inputs.views` must be None. If the model uses faces, they are
        detected in the original image, and the cropped faces are degraded.
    progress : bool or callable
        Whether to show the phases of the run on standard error or in the notebook. A callable is
        called with each `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    Robustness
        Every metric at every strength. All scores cover the same images.

    Raises
    ------
    UnknownNameError
        If a degradation is unknown.
    LabelError
        If no image has a label. If a label matches no class of the model. If none of the labelled
        images is readable. If the model was fitted on all of them.
    UsageError
        If `inputs` has views or faces. If the model was fitted on arrays.
    """
    check_degradations(degradations)
    if inputs.views is not None:
        raise UsageError(
            f"the views {inputs.views} cannot be combined with degradations. Leave out views"
        )
    with reporting(progress) as report:
        return _robustness(
            model, source, degradations, weights, face_weights, inputs, average, device, resources,
            report,
        )  # fmt: skip


def _robustness(
    model: Model | str | Path, source: ImageInput, degradations: Sequence[str],
    weights: str | Path | Sequence[str | Path], face_weights: str | Path | None,
    inputs: SourceOptions, average: str, device: str, resources: EmbedResources, report: Report,
) -> Robustness:  # fmt: skip
    """Score a model on degraded images. See `robustness`."""
    from clipfeat.embedding.views import View

    report(Phase("listing"))
    fitted = as_model(model)
    images = source if isinstance(source, ImageSource) else open_images(fitted, source, inputs)
    check_labels((record.label for record in images), fitted.classes, images.name)
    if not {record.label for record in images} & set(fitted.classes):
        raise LabelError(
            f"no image of {images.name} has a label of the model's classes "
            f"({', '.join(fitted.classes)}). Pass the true labels with --labels"
        )
    steps_of = {
        (name, float(strength)): json.dumps(steps, sort_keys=True)
        for name in degradations
        for strength, steps in DEGRADATIONS[name].strengths.items()
    }
    most = MAX_DEGRADED // max(1, len(steps_of))
    states = {(ORIGINAL, float("nan")): View(ORIGINAL, "[]")} | {
        (name, strength): View(f"{name}-{strength:g}", steps, most)
        for (name, strength), steps in steps_of.items()
    }
    features = encode_in_memory(
        images,
        fitted.specs,
        views={view.name: view for view in states.values()},
        every_view=True,
        weights=weights,
        weight_files=fitted.weight_files,
        face_weights=face_weights,
        device=device,
        resources=resources,
        report=report,
    )
    report(Phase("scoring"))
    of_view = by_view(features, [view.name for view in states.values()])
    scored = []
    of_state: dict[str, Predictions] = {}
    for (name, strength), view in states.items():
        predictions = predictions_of(fitted, of_view[view.name], average)
        if of_state:  # only the original of a training image has the stored content hash
            predictions = replace(predictions, training=of_state[ORIGINAL].training)
        of_state[name if name == ORIGINAL else f"{name} {strength:g}"] = predictions
        n = predictions.n_scored
        scored += [
            Score(name, strength, metric, v, n) for metric, v in predictions.scores().items()
        ]
    errors: dict[str, str] = {}
    for f in features.failures:
        errors.setdefault(_image_and_view(f.path, of_view)[0], f"{f.reason}: {f.message}")
    if not scored and (n := of_state[ORIGINAL].n_training):
        raise LabelError(
            f"all labelled images of {images.name} ({n}) are training images of the model. Pass "
            "other images"
        )
    if not scored:
        path, reason = next(iter(errors.items()), ("no file", "no error"))
        raise LabelError(
            f"none of the labelled images of {images.name} could be read. The first error is "
            f"{path}: {reason}. Check the files"
        )
    files = {dict(record.columns).get("file", record.path) for record in images}
    paths = np.array(of_state[ORIGINAL].paths, dtype=np.str_)
    columns = columns_of_files(images, paths)
    return Robustness(scored, errors, len(files), fitted.classes, of_state, columns)


def by_view(features: FeatureSet, names: Sequence[str]) -> dict[str, FeatureSet]:
    """Split the rows of a feature set by view: the original images and each degradation.

    Parameters
    ----------
    features : FeatureSet
        Features of every view of each image.
    names : sequence of str
        Names of the views, including ``"original"``.

    Returns
    -------
    dict of str to FeatureSet
        Feature sets by name of the view. The rows of every view get the paths of the original
        images or faces. Images that lack a row in one of the views are left out.
    """
    rows: dict[str, dict[str, int]] = {name: {} for name in names}
    for number, path in enumerate(features.paths.tolist()):
        image, name = _image_and_view(path, rows)
        rows[name][image + path[len(record_path(path)) :]] = number
    in_all = [path for path in rows[ORIGINAL] if all(path in own for own in rows.values())]
    whole = replace(features, failures=())
    return {
        name: replace(
            whole.take(np.array([own[path] for path in in_all], dtype=np.int64)),
            paths=np.array(in_all, dtype=np.str_),
        )
        for name, own in rows.items()
    }


def _image_and_view(path: str, names: Container[str]) -> tuple[str, str]:
    """Split the path of a row or failure into the path of the image and the name of the view."""
    of_record = record_path(path)
    image, _, name = of_record.rpartition("#")
    return (image, name) if name in names else (of_record, ORIGINAL)
