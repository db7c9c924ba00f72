"""Explain predictions by the nearest training images and the probabilities of each member.

The members of a model are the classifiers of its vote.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.in_memory import encode_in_memory
from clipfeat.embedding.pipeline import add_views
from clipfeat.errors import DataError
from clipfeat.features import FeatureSet
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.memory import ImageInput
from clipfeat.images.readers import FileBytes
from clipfeat.images.source_options import SourceOptions
from clipfeat.images.thumbnails import file_inside, thumbnail
from clipfeat.model import Model
from clipfeat.prediction.nearest import NearestImages, Neighbour
from clipfeat.prediction.predicting import as_model, open_images
from clipfeat.store.image_folder import image_folder
from clipfeat.system.escaping import html_text
from clipfeat.system.files import publish
from clipfeat.system.locations import local_path
from clipfeat.system.progress import Phase, Report, reporting

THUMBNAIL = 128
"""Longest side of a thumbnail in pixels."""


@dataclass(frozen=True)
class Explanation:
    """Explanation of the prediction for one image.

    Parameters
    ----------
    path : str
        Path of the image.
    probabilities : mapping of str to float
        Probability of each class.
    members : mapping of str to mapping of str to float
        For each member of the vote, its probability of each class.
    neighbours : sequence of Neighbour
        The nearest training images in ascending order of distance.
    root : str
        Root folder of the image, to which `path` is relative.
    """

    path: str
    probabilities: Mapping[str, float]
    members: Mapping[str, Mapping[str, float]]
    neighbours: Sequence[Neighbour]
    root: str = ""


def explain(
    model: Model | str | Path,
    source: ImageInput,
    features: FeatureSet,
    *,
    n_neighbours: int = 8,
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    inputs: SourceOptions = SourceOptions(),
    device: str = "auto",
    resources: EmbedResources = EmbedResources(),
    progress: bool | Report = True,
) -> list[Explanation]:
    """Explain the prediction of each image.

    An explanation contains the nearest training images, and the probabilities of each member of the
    model's vote. A member is a classifier.

    Parameters
    ----------
    model : Model or path
        A fitted model, or a model file.
    source : path, sequence of paths, images in memory, or ImageSource
        Images, as in `clipfeat.predict`.
    features : FeatureSet
        The features that the model was fitted on.
    n_neighbours : int
        Number of training images in an explanation.
    weights, face_weights, inputs, device, resources, progress
        As in `clipfeat.predict`. The labels of `inputs` are not used.

    Returns
    -------
    list of Explanation
        One explanation for each readable image, frame, face or view, in the order of the source.

    Raises
    ------
    FingerprintError
        If `features` do not come from the model's encoders.
    DataError
        If no image is readable. The message names the first image and its error.
    """
    with reporting(progress) as report:
        return _explain(
            model, source, features, n_neighbours, weights, face_weights, inputs, device,
            resources, report,
        )  # fmt: skip


def _explain(
    model: Model | str | Path, source: ImageInput, features: FeatureSet, n_neighbours: int,
    weights: str | Path | Sequence[str | Path], face_weights: str | Path | None,
    inputs: SourceOptions, device: str, resources: EmbedResources, report: Report,
) -> list[Explanation]:  # fmt: skip
    """Explain the prediction of each image. See `explain`."""
    report(Phase("listing"))
    fitted = as_model(model)
    training = NearestImages(features, fitted.specs)
    images, views = add_views(open_images(fitted, source, inputs), inputs.views)
    encoded = encode_in_memory(
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
    report(Phase("explaining"))
    if not len(encoded):
        first = encoded.failures[0]
        raise DataError(
            f"none of the {len(images)} images could be read. The first error is {first.path}: "
            f"{first.reason}: {first.message}. Check the files"
        )
    neighbours = training.nearest(encoded.X, n_neighbours)
    vote = fitted.predict_proba(encoded)
    members = fitted.predict_proba_of_members(encoded)
    explained = []
    for row, path in enumerate(encoded.paths.tolist()):
        own = {name: _by_class(fitted, p[row]) for name, p in members.items()}
        near = neighbours[row]
        explained.append(Explanation(path, _by_class(fitted, vote[row]), own, near, images.root))
    return explained


def _by_class(model: Model, p: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(model.classes, p.tolist(), strict=True))


def save_explanations(
    explained: Sequence[Explanation],
    path: str | Path,
    features: str | Path,
    images: str | Path | None = None,
) -> Path:
    """Write explanations as a self-contained HTML page with thumbnails.

    Parameters
    ----------
    explained : sequence of Explanation
        The result of `explain`.
    path : path
        Page to write. An existing file is replaced.
    features : path
        Feature file of the training images.
    images : path, optional
        Folder of the training images. By default, the folder that the feature file records is used,
        but only if the same user embedded the images on this computer. Otherwise, the page has no
        thumbnails of training images.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    RefusedFileError
        If the feature file is missing or damaged.
    StorageError
        If the page cannot be written.
    UsageError
        If `images` is not a folder.
    """
    root = image_folder(features, images)
    target = local_path(path)
    publish(explanation_page(explained, root).encode(), target)
    return target


def explanation_page(explained: Sequence[Explanation], known: str | Path) -> str:
    """Return a self-contained HTML page that shows explanations with thumbnails.

    Parameters
    ----------
    explained : sequence of Explanation
        The result of `explain`.
    known : path
        Root folder of the training images. If it is empty, training images have no thumbnails.
        Images that are not files in this folder have no thumbnail either.

    Returns
    -------
    str
        Text of the page.
    """
    with IsolatedDecoder() as decoder:
        parts = [_section(one, known, decoder) for one in explained]
    return _PAGE.replace("{sections}", "\n".join(parts))


def _section(one: Explanation, known: str | Path, decoder: IsolatedDecoder) -> str:
    classes = list(one.probabilities)
    head = "".join(f"<th>{html_text(name)}</th>" for name in classes)
    rows = "".join(
        f"<tr><td>{html_text(name)}</td>{''.join(f'<td>{p[c]:.3f}</td>' for c in classes)}</tr>"
        for name, p in {**one.members, "vote": one.probabilities}.items()
    )
    near = "".join(
        f"<figure>{_thumbnail(known, n.path, decoder)}<figcaption>"
        f"<b>{html_text(n.label or '?')}</b> {n.distance:.3f}<br>{html_text(n.path)}"
        "</figcaption></figure>"
        for n in one.neighbours
    )
    likeliest = max(one.probabilities, key=lambda name: one.probabilities[name])
    return (
        f"<section><h2>{html_text(one.path)}: {html_text(likeliest)}</h2>"
        f"<div class=top><figure>{_thumbnail(one.root, one.path, decoder)}</figure>"
        f"<table><tr><th>member</th>{head}</tr>{rows}</table></div>"
        "<h3>nearest training images, with cosine distances</h3>"
        f"<div class=near>{near}</div></section>"
    )


def _thumbnail(root: str | Path, path: str, decoder: IsolatedDecoder) -> str:
    file = file_inside(root, path) if root else None
    png = None if file is None else thumbnail(FileBytes(str(file)), decoder, THUMBNAIL)
    if png is None:
        return "<div class=none>no image</div>"
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>clipfeat explain</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.4 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; }
body { padding: 0 1rem; }
section { border-top: 1px solid #8888; padding: .5rem 0 1.5rem; }
h2, h3 { overflow-wrap: anywhere; } h3 { font-size: 1rem; }
.top, .near { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; width: 8rem; } img { max-width: 8rem; image-rendering: pixelated; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; } th, td { padding: .15rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr:last-child { font-weight: bold; }
.none { width: 8rem; height: 5rem; display: grid; place-items: center; border: 1px dashed #8888; }
</style>
<h1>Members of the vote and nearest training images</h1>
{sections}
</html>
"""
