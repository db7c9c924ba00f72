"""Features of a query: an image or a text, encoded with the encoders of a feature set."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.in_memory import encode_in_memory
from clipfeat.encoders.known_weights import remembered_weights
from clipfeat.errors import ClipfeatWarning, DataError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.images import open_source
from clipfeat.images.formats import SUFFIXES, plugin_format
from clipfeat.system.locations import is_remote
from clipfeat.system.progress import Report, silent


def is_text(query: Any) -> bool:
    """Return whether a query is a text, and not an existing file, a URL or an image in memory.

    Raises
    ------
    UsageError
        If the query has the form of a path, but there is no such file. It is not searched as a
        text, because the path may be misspelled.
    """
    if not isinstance(query, str):
        return False
    if os.path.lexists(query) or is_remote(query):
        return False
    suffix = Path(query).suffix.lower()
    if suffix in SUFFIXES or plugin_format(suffix) or ("/" in query and " " not in query):
        raise UsageError(
            f"there is no file {query!r}. Correct the path, or pass --text to search for these "
            "words"
        )
    return True


def encode_image(
    features: FeatureSet, image: Any, *, weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None, device: str = "auto", report: Report = silent,
) -> NDArray[np.float32]:  # fmt: skip
    """Encode an image with the encoders and options of a feature set.

    Parameters
    ----------
    features : FeatureSet
        Features whose encoders are used.
    image : path, PIL image or ndarray
        One image.
    weights, face_weights, device
        As in `clipfeat.predict`.
    report : callable
        Called with each `clipfeat.system.progress.Phase`.

    Returns
    -------
    ndarray of shape (n_features,), float32
        Features of the image, or of the first face if the encoders encode faces.

    Raises
    ------
    UsageError
        If the features have no encoder, or if there are several images.
    DataError
        If the image cannot be read or encoded.
    FingerprintError
        If the encoder on this computer differs from the encoder of the features.
    """
    if not features.specs:
        raise UsageError(
            "the features come from arrays, so no encoder can encode an image. Pass a feature file"
        )
    images = open_source(str(image) if isinstance(image, Path) else image)
    if len(images) != 1:
        raise UsageError(f"the query {images.name} has {len(images)} images. Pass one image")
    encoded = encode_in_memory(
        images, features.specs, weights=weights, weight_files=features.weight_files,
        face_weights=face_weights, device=device, report=report,
    )  # fmt: skip
    if not len(encoded):
        failure = encoded.failures[0]
        raise DataError(
            f"the query {failure.path} cannot be encoded ({failure.reason}: {failure.message}). "
            "Pass another image"
        )
    if len(encoded) > 1:
        warnings.warn(
            f"the query has {len(encoded)} faces. The largest one is used",
            ClipfeatWarning,
            stacklevel=2,
        )
    row: NDArray[np.float32] = encoded.X[0]
    return row


def encode_text(
    features: FeatureSet, text: str, weights: str | Path | None = None
) -> tuple[FeatureSet, NDArray[np.float32]]:
    """Encode a text with the text tower of an open_clip encoder.

    Parameters
    ----------
    features : FeatureSet
        Features of open_clip encoders with the layer ``projection``, possibly beside other columns.
    text : str
        The text.
    weights : path, optional
        Local weight file of the whole model. By default, the file that this user passed before is
        used, or else the hub.

    Returns
    -------
    features : FeatureSet
        The columns that can be compared with the text.
    vector : ndarray of shape (n_features,), float32
        Features of the text.

    Raises
    ------
    UsageError
        If no encoder has a text tower, or if the text is empty.
    FingerprintError
        If the weights differ from those of the features.
    """
    from clipfeat.encoders.open_clip_texts import SHARED_LAYER, encode_texts, has_text_tower

    if not text.strip():
        raise UsageError("the text of the query is empty. Pass some words")
    for spec, columns in zip(features.specs, features.slices.values(), strict=True):
        if has_text_tower(spec):
            narrow = spec.narrowed(SHARED_LAYER)
            file = weights or remembered_weights(spec.weights)
            vectors, _ = encode_texts(narrow, [text], None if file is None else str(file))
            part = spec.slices[SHARED_LAYER]
            X = features.X[:, columns.start + part.start : columns.start + part.stop]
            return replace(features, X=X, specs=(narrow,)), vectors[0]
    names = ", ".join(spec.name for spec in features.specs) or "arrays"
    raise UsageError(
        f"texts can be compared only with features of the layer {SHARED_LAYER} of an open_clip "
        f"encoder, got {names}. Pass an image, or embed with --encoder clip-vit-l-14"
    )
