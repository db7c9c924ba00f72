"""Frozen encoder as a scikit-learn transformer."""

import json
from collections.abc import Iterable, Sized
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from clipfeat.encoders import DEFAULT_ENCODER, open_encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DecodeError, EncodingError, ImageError, UsageError
from clipfeat.images import open_source
from clipfeat.images.memory import is_dataset
from clipfeat.images.readers import whole_file
from clipfeat.images.record import ImageRecord
from clipfeat.system.progress import Phase, Report, reporting


class ImageEncoder(TransformerMixin, BaseEstimator):
    """Frozen encoder as a scikit-learn transformer.

    `fit` does nothing. The weights are loaded by the first call of `transform`, not when the object
    is created, cloned or printed. Equal encoders in one process share the weights.

    Parameters
    ----------
    encoder : str
        Name of the encoder, such as ``"open_clip:ViT-B-32/openai"``, ``"timm:resnet50.a1_in1k"`` or
        ``"spectrum"``.
    options : EncoderOptions
        Weights, layers, image size, crop, precision and device. The precision ``"auto"`` means
        float32 here, because a transformer does not get all images in advance.
    batch_size : int
        Number of images in one forward pass.
    progress : bool or callable
        Show the progress of `transform` on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> noise = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    >>> images = [*noise[:4], *(noise[4:] // 16 * 16)]
    >>> model = make_pipeline(ImageEncoder("spectrum"), LogisticRegression())
    >>> model.fit(images, [0, 0, 0, 0, 1, 1, 1, 1]).predict(images).shape
    (8,)
    """

    def __init__(
        self,
        encoder: str = DEFAULT_ENCODER,
        options: EncoderOptions = EncoderOptions(precision="fp32"),
        batch_size: int = 64,
        progress: bool | Report = True,
    ) -> None:
        self.encoder = encoder
        self.options = options
        self.batch_size = batch_size
        self.progress = progress

    def fit(self, X: object, y: object = None) -> Self:
        """Return self without fitting anything, because the encoder is frozen."""
        return self

    def transform(self, X: Iterable[Any]) -> NDArray[np.float32]:
        """Encode images.

        Parameters
        ----------
        X : iterable of path, PIL image or ndarray, ImageSource, or data set of ``datasets``
            Images. Arrays have the dtype uint8 and the shape (height, width), (height, width, 3) or
            (height, width, 4).

        Returns
        -------
        ndarray of shape (n_images, n_features), float32
            Features, not normalised.

        Raises
        ------
        DecodeError, EncodingError
            If an image cannot be read or encoded. A transformer cannot leave out a row, so the
            error is raised, and its message names the image.
        UsageError
            If `X` is a single path instead of a list.
        """
        if isinstance(X, str | PathLike):
            raise UsageError(
                f"expected several images, got the path {str(X)!r}. Pass a list: [{str(X)!r}]"
            )
        if is_dataset(X):
            X = open_source(cast(Any, X))
        n_images = len(X) if isinstance(X, Sized) else None
        rows: list[NDArray[np.float32]] = []
        batch: list[Any] = []
        with reporting(self.progress) as report:
            report(Phase("opening", detail=self.encoder))
            frozen = self._open()
            for index, image in enumerate(X):
                report(Phase("encoding", index, n_images, "images"))
                batch.append(
                    _preprocessed(frozen, _pixels(image, index, frozen.spec.least_side), index)
                )
                if len(batch) == self.batch_size:
                    rows.append(_encode(frozen, batch, index))
                    batch = []
            if batch:
                rows.append(_encode(frozen, batch, index))
        empty = np.empty((0, frozen.spec.n_features), dtype=np.float32)
        return np.concatenate([empty, *rows])

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns, which consist of the encoder's name and a number."""
        spec = self._open().spec
        return np.array([f"{spec.name}.{i}" for i in range(spec.n_features)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _open(self) -> Any:
        precision = "fp32" if self.options.precision == "auto" else self.options.precision
        arguments = json.dumps(dict(self.options.arguments or {}), sort_keys=True)
        # A mapping is not hashable and cannot be a key of the cache, so its JSON text is used.
        return _cached_encoder(
            self.encoder, replace(self.options, precision=precision, arguments=None), arguments
        )


@lru_cache(maxsize=2)
def _cached_encoder(name: str, options: EncoderOptions, arguments: str) -> Any:
    return open_encoder(name, replace(options, arguments=json.loads(arguments) or None))


def _preprocessed(frozen: Any, pixels: NDArray[np.uint8], index: int) -> Any:
    from clipfeat.embedding.preparing import preprocessed

    try:
        return preprocessed(frozen.preprocess, pixels)
    except EncodingError as error:
        raise EncodingError(f"image {index}: {error}") from error


def _encode(frozen: Any, batch: list[Any], last: int) -> NDArray[np.float32]:
    """Encode a batch whose last image has the number `last`, and check each row."""
    from clipfeat.embedding.batches import RetryingEncoder

    rows: list[NDArray[np.float32]] = []
    for index, row in enumerate(RetryingEncoder(frozen).encode(batch), last - len(batch) + 1):
        if isinstance(row, EncodingError):
            is_flaw = frozen.spec.precision != "fp32" and "features are" in str(row)
            hint = '. Set the precision to "fp32"' if is_flaw else ""
            raise EncodingError(f"image {index}: {row}{hint}") from row
        rows.append(row)
    return np.stack(rows)


def _pixels(image: Any, index: int, least_side: int) -> NDArray[np.uint8]:
    """Convert a record, a path, a PIL image or an array to upright RGB pixels.

    Files are decoded as in `clipfeat.images.decode.decode`, with the argument `least_side`.
    """
    from PIL import Image

    from clipfeat.images.decode import decode, pixels_of

    try:
        if isinstance(image, ImageRecord):
            return decode(image.reader.read(), least_side=least_side).pixels
        if isinstance(image, str | PathLike):
            return decode(whole_file(str(image)).read(), least_side=least_side).pixels
        if isinstance(image, Image.Image):
            return pixels_of(image)
        array = np.asarray(image)
        if (
            array.dtype != np.uint8
            or array.ndim not in (2, 3)
            or array.shape[2:] not in {(), (3,), (4,)}
        ):
            raise DecodeError(
                f"expected a path, a PIL image or a uint8 array (height, width, 3), got "
                f"{type(image).__name__} of {array.dtype} {array.shape}"
            )
        return pixels_of(Image.fromarray(array))
    except (ImageError, OSError) as error:  # a PIL image may be truncated, since it decodes lazily
        name = f" ({image})" if isinstance(image, str | PathLike) else ""
        raise DecodeError(f"image {index}{name}: {error}") from error
