"""The gallery of the most confident errors, with thumbnails."""

import base64
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clipfeat.evaluate.result import Benchmark
from clipfeat.report.page.section import GalleryImage, Section
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions

Thumbnails = Callable[[Sequence[str]], Mapping[str, bytes]]

MAX_PER_CLASS, MAX_IMAGES, MAX_CLASSES = 8, 24, 8
"""Maximum number of images per class, of images in total, and of classes."""
_MIME_TYPES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png"}


def errors_section(
    run: Benchmark,
    entry: str,
    predictions: OutOfFoldPredictions,
    thumbnails: Thumbnails | None,
) -> Section:
    """Show the misclassified images of each class, highest probability first.

    Parameters
    ----------
    run : Benchmark
        The run.
    entry : str
        Name of the entry.
    predictions : OutOfFoldPredictions
        Predictions of the entry.
    thumbnails : callable, optional
        Function from paths to thumbnails, as in `clipfeat.report.page.PageOptions`.
    """
    wrong = np.flatnonzero(predictions.y_pred != predictions.y)
    confidence = predictions.p[wrong, predictions.y_pred[wrong]]
    ranked = wrong[np.argsort(-confidence, kind="stable")]
    _, firsts = np.unique(run.files[predictions.row[ranked]], return_index=True)
    ranked = ranked[np.sort(firsts)]  # a file misclassified in several trials is shown once
    n_errors = np.bincount(predictions.y[ranked], minlength=len(run.classes))
    order = np.argsort(-n_errors, kind="stable")[:MAX_CLASSES]
    per_class = min(MAX_PER_CLASS, MAX_IMAGES // min(len(run.classes), MAX_CLASSES))
    shown = {int(code): ranked[predictions.y[ranked] == code][:per_class] for code in order}
    shown = {code: indices for code, indices in shown.items() if len(indices)}
    if not shown:
        return Section("errors", "Errors", [f"{entry} made no errors."])
    paths = [str(run.files[predictions.row[i]]) for indices in shown.values() for i in indices]
    files = dict(thumbnails(paths)) if thumbnails else {}
    gallery = {
        f"True class {run.classes[code]}": [
            _gallery_image(run, predictions, i, files) for i in indices
        ]
        for code, indices in shown.items()
    }
    n_missing = sum(not _data_address(files.get(path, b"")) for path in paths)
    paragraphs = [
        f"For each class, the images that {entry} misclassified with the highest probability. "
        f"{len(ranked):,} of {len(np.unique(predictions.row)):,} images are misclassified."
    ]
    if n_missing:
        paragraphs.append(
            f"{n_missing} images have no thumbnail because their files are not available, or "
            "because the feature file comes from another computer. Pass their folder with --images."
        )
    return Section("errors", "Most confident errors", paragraphs, gallery=gallery)


def _gallery_image(
    run: Benchmark, predictions: OutOfFoldPredictions, i: int, files: Mapping[str, bytes]
) -> GalleryImage:
    path = str(run.files[predictions.row[i]])
    predicted = predictions.y_pred[i]
    true_name, predicted_name = run.classes[predictions.y[i]], run.classes[predicted]
    caption = f"{true_name} → {predicted_name}, {predictions.p[i, predicted]:.3f}"
    return GalleryImage(path, caption, _data_address(files.get(path, b"")))


def _data_address(data: bytes) -> str:
    """Return a ``data:`` address of a JPEG or PNG file; empty for other data."""
    for magic, kind in _MIME_TYPES.items():
        if data.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return ""
