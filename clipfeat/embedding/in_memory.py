"""Source by encoder to features in memory, by the very encoder of a spec."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.encoders import open_encoder
from clipfeat.encoders.options import options_of
from clipfeat.images.faces import finder_of
from clipfeat.images.source import ImageSource
from clipfeat.spec import EncoderSpec, check_same

if TYPE_CHECKING:
    from clipfeat.embedding.views import View


def encode_all(
    images: ImageSource,
    spec: EncoderSpec,
    views: "Mapping[str, View]",
    *,
    every_view: bool = False,
    weights: str | None = None,
    face_weights: str | Path | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str = "auto",
    tell: Callable[[int, int], None] = lambda done, failed: None,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Encode every image.

    Parameters
    ----------
    images : ImageSource
        Whatever its records name of `views`.
    spec : EncoderSpec
        Of the encoder that is to be opened.
    views : mapping of str to View
        By name.
    every_view : bool
        Whether every image is wanted in every view, from one decoding; records then name none.
    weights, face_weights : path, optional
        Local files of the encoder's weights, and of the face detector's.
    batch_size, num_workers, device
        As in `clipfeat.embed`.
    tell : callable
        Told how many images are done, and how many failed.

    Returns
    -------
    features : dict of str to ndarray of shape (n_features,)
        By a row's path; where all faces, or every view, are taken, an image has several.
    errors : dict of str to str
        By a record's path, why it gave none.

    Raises
    ------
    FingerprintError
        If what was opened is not that encoder; the message says what differs.
    """
    from clipfeat.embedding.preparing import Known, Pictures
    from clipfeat.embedding.stream import encode_stream
    from clipfeat.embedding.workers import Encoded

    options = options_of(spec, weights=weights, device=device)
    encoder = open_encoder(spec.name, options, n_images=len(images))
    check_same([spec], [replace(encoder.spec, faces=spec.faces)])
    faces = (
        finder_of(spec.faces, str(face_weights) if face_weights else None) if spec.faces else None
    )
    features: dict[str, NDArray[np.float32]] = {}
    by_key: dict[bytes, str] = {}
    errors: dict[str, str] = {}
    same: list[tuple[str, bytes]] = []
    stream = encode_stream(
        images,
        encoder,
        pictures=Pictures(views, faces, every_view),
        batch_size=batch_size,
        num_workers=num_workers,
        exact=lambda: open_encoder(spec.name, replace(options, precision="fp32")),
    )
    for item in stream:
        if isinstance(item, Encoded):
            features |= zip([row.path for row in item.rows], item.features, strict=True)
            by_key |= {row.key: row.path for row in item.rows}
        elif isinstance(item, Known):
            same.append((item.row.path, item.row.key))
        else:
            errors[item.path] = f"{item.reason}: {item.message}"
        tell(len(features) + len(same), len(errors))
    for path, key in same:
        if key in by_key:
            features[path] = features[by_key[key]]
        else:
            errors[path] = "EncodingError: an identical image (same bytes) failed to encode"
    return features, errors
