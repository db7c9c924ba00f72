"""A frozen encoder as a scikit-learn transformer of images."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from clipfeat.encoders import DEFAULT_ENCODER, open_encoder
from clipfeat.errors import DecodeError, EncodingError, ImageError, UsageError
from clipfeat.images.readers import whole_file


class ImageEncoder(TransformerMixin, BaseEstimator):
    """Turn images into features; `fit` learns nothing.

    Making, cloning or printing one loads no weights: they are loaded at the first `transform`, and
    shared by equal encoders of one process.

    Parameters
    ----------
    encoder : str
        Such as ``"open_clip:ViT-B-32/openai"``, ``"timm:resnet50.a1_in1k"``, ``"spectrum"``.
    weights : str, optional
        A local file of weights in place of the hub's.
    untrained : bool
        Random weights, for tests.
    layers, pool : str, optional
        Intermediate layers, and how they become rows; as in `clipfeat.embed`.
    image_size : int, optional
        Side of the encoder's input in pixels.
    encoder_args : mapping, optional
        Keyword arguments for a timm architecture and its preprocessing.
    batch_size : int
        Images in one forward pass.
    device : str
        A torch device, or ``"auto"``.
    precision : str
        ``"fp32"``, ``"bf16"`` or ``"fp16"``.

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
        *,
        weights: str | None = None,
        untrained: bool = False,
        layers: str | None = None,
        pool: str | None = None,
        image_size: int | None = None,
        encoder_args: Mapping[str, object] | None = None,
        batch_size: int = 64,
        device: str = "auto",
        precision: str = "fp32",
    ) -> None:
        self.encoder = encoder
        self.weights = weights
        self.untrained = untrained
        self.layers = layers
        self.pool = pool
        self.image_size = image_size
        self.encoder_args = encoder_args
        self.batch_size = batch_size
        self.device = device
        self.precision = precision

    def fit(self, X: object, y: object = None) -> Self:
        """Do nothing: the encoder is frozen."""
        return self

    def transform(self, X: Iterable[Any]) -> NDArray[np.float32]:
        """Encode images.

        Parameters
        ----------
        X : iterable of path, PIL image or ndarray
            Paths are read; arrays are uint8, (height, width), (height, width, 3) or
            (height, width, 4).

        Returns
        -------
        ndarray of shape (n_images, n_features), float32
            Not normalised.

        Raises
        ------
        DecodeError, EncodingError
            If an image cannot be read, or gives no features; the message says which. A row can be
            neither dropped nor guessed here.
        """
        if isinstance(X, str | PathLike):
            raise UsageError(f"expected several images, got one path: give [{str(X)!r}]")
        frozen = self._open()
        rows: list[NDArray[np.float32]] = []
        batch: list[Any] = []
        for place, image in enumerate(X):
            batch.append(frozen.preprocess(_pixels(image, place)))
            if len(batch) == self.batch_size:
                rows.append(_checked(frozen, batch, place))
                batch = []
        if batch:
            rows.append(_checked(frozen, batch, place))
        empty = np.empty((0, frozen.spec.n_features), dtype=np.float32)
        return np.concatenate([empty, *rows])

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns: the encoder's name and a number."""
        spec = self._open().spec
        return np.array([f"{spec.name}.{i}" for i in range(spec.n_features)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _open(self) -> Any:
        arguments = json.dumps(dict(self.encoder_args or {}), sort_keys=True)
        return _cached_encoder(
            self.encoder, self.weights, self.untrained, self.layers, self.pool, self.image_size,
            self.precision, self.device, arguments,
        )  # fmt: skip


@lru_cache(maxsize=2)
def _cached_encoder(
    name: str,
    weights: str | None,
    untrained: bool,
    layers: str | None,
    pool: str | None,
    image_size: int | None,
    precision: str,
    device: str,
    arguments: str,
) -> Any:
    from clipfeat.encoders.options import EncoderOptions

    options = EncoderOptions(
        weights=weights,
        untrained=untrained,
        layers=layers,
        pool=pool,
        image_size=image_size,
        precision=precision,
        device=device,
        arguments=json.loads(arguments) or None,
    )
    return open_encoder(name, options)


def _checked(frozen: Any, batch: list[Any], last: int) -> NDArray[np.float32]:
    """Encode a batch whose last image is number `last`, and look at every row."""
    from clipfeat.encoders.encoder import check_row

    rows: NDArray[np.float32] = frozen.encode(batch)
    for row, place in zip(rows, range(last - len(batch) + 1, last + 1), strict=True):
        try:
            check_row(row)
        except EncodingError as error:
            raise EncodingError(f"image {place}: {error}") from error
    return rows


def _pixels(image: Any, place: int) -> NDArray[np.uint8]:
    """Upright RGB of whatever stands for an image."""
    from PIL import Image

    from clipfeat.images.decode import decode, pixels_of

    try:
        if isinstance(image, str | PathLike):
            return decode(whole_file(str(image)).read()).pixels
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
    except (ImageError, OSError) as error:  # a PIL image may turn out to be truncated
        name = f" ({image})" if isinstance(image, str | PathLike) else ""
        raise DecodeError(f"image {place}{name}: {error}") from error
