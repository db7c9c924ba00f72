"""Preparation of images for an encoder: reading, decoding, views, faces and preprocessing.

A view is an augmented copy of an image, such as a flipped one. A picture is an array of pixels that
gets its own row: a whole image, a view of it or a face in it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from itertools import count, takewhile

import torch

from clipfeat.embedding.views import View
from clipfeat.encoders.preprocessing import Preprocess
from clipfeat.errors import ClipfeatError, EncodingError, ImageError
from clipfeat.features import Failure
from clipfeat.features.face_keys import face_key
from clipfeat.images.decode import RGB, Decoded
from clipfeat.images.faces.finder import FaceFinder
from clipfeat.images.record import FACE, FACELESS, ImageRecord, frame_key, image_key
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch

Decoder = Callable[[bytes], AbstractContextManager[Decoded]]
"""Function that decodes bytes. It returns a context, in which the pixels are valid."""


@dataclass(frozen=True, slots=True)
class Known:
    """An image that needs no encoding, because an identical image was encoded or failed before."""

    row: Row


@dataclass(frozen=True, slots=True)
class Ready:
    """A decoded, preprocessed image."""

    row: Row
    tensor: torch.Tensor


@dataclass(frozen=True)
class Pictures:
    """Choice of the pictures to encode for each image: views, faces, or both.

    Parameters
    ----------
    views : mapping of str to View
        Views by name.
    faces : FaceFinder, optional
        Crops the faces. Views are applied to the crops.
    every : bool
        If true, each image is decoded once and all `views` of it are encoded. If false, only the
        view that the record names is encoded.
    """

    views: Mapping[str, View] = field(default_factory=dict)
    faces: FaceFinder | None = None
    every: bool = False

    @property
    def n_of_each(self) -> int:
        """Number of encoded versions (views) of each image or face."""
        return len(self.views) if self.every else 1


def prepare(
    record: ImageRecord,
    preprocess: Preprocess,
    pictures: Pictures,
    is_known: Callable[[Row], bool],
    decode_image: Decoder,
    decode_frame: Decoder,
    watch: Stopwatch,
) -> list[Ready | Known] | Failure:
    """Read, decode and preprocess the pictures of an image.

    Parameters
    ----------
    record : ImageRecord
        The image.
    preprocess : callable
        The encoder's preprocessing.
    pictures : Pictures
        The views and faces to encode.
    is_known : callable
        Takes a row with its content hash, and returns whether the row needs no encoding. It is
        called after the bytes are read. For a video frame, it is called after decoding.
    decode_image : callable
        Decodes the bytes of an image.
    decode_frame : callable
        Decodes the video frame of a frame request.
    watch : Stopwatch
        Collects the seconds of ``"read"``, ``"decode"`` and ``"resize"``.

    Returns
    -------
    list of Ready or Known, or Failure
        One item for each picture, or the failure of the whole image.
    """
    key = b""
    try:
        if record.reader.content == "frame request":
            data, decode, size = record.reader.read(), decode_frame, 0
        else:
            with watch.timing("read"):
                data = record.reader.read()
            key, decode, size = image_key(data), decode_image, len(data)
        row = Row(
            record.path, key, record.label, record.group, file_size=size, columns=record.columns
        )
        view = pictures.views[record.view] if record.view else None
        if view and key:
            key = view.key(key)
            row = replace(row, key=key)
        if key and (known := _known(row, pictures.faces, is_known)):
            return known
        with ExitStack() as stack:
            with watch.timing("decode"):
                decoded = stack.enter_context(decode(data))
            if not key:
                key = frame_key(decoded.pixels)
                key = view.key(key) if view else key
                row = replace(row, key=key)
                if known := _known(row, pictures.faces, is_known):
                    return known
            height, width = decoded.size
            row = replace(row, height=height, width=width, format=decoded.format)
            rows = [(view, row)]
            if pictures.every:
                rows = [(each, _view_row(row, each)) for each in pictures.views.values()]
            with watch.timing("resize"):
                return [
                    Ready(
                        _face_row(row, face), preprocessed(preprocess, _apply(view, crop, row.key))
                    )
                    for face, crop in _crops(decoded.pixels, pictures.faces)
                    for view, row in rows
                ]
    except (ImageError, EncodingError) as error:
        return Failure(record.path, type(error).__name__, str(error), key)


def _crops(pixels: RGB, faces: FaceFinder | None) -> Iterator[tuple[str, RGB]]:
    """Yield pairs of a value for the column ``face`` and a crop.

    Without face detection, the only pair is an empty text and the whole image.
    """
    if faces is None:
        yield "", pixels
        return
    try:
        crops = faces(pixels)
    except ClipfeatError:
        raise
    except Exception as error:  # detectors may raise errors of any type
        raise EncodingError(
            f"face detection failed on the image of {_size(pixels)} pixels: {_reason(error)}"
        ) from error
    for number, crop in enumerate(crops):
        if crop is pixels:
            yield FACELESS, crop
        else:
            yield str(number) if faces.mode == "all" else "", crop


def _apply(view: View | None, pixels: RGB, key: bytes) -> RGB:
    return view.apply(pixels, key) if view else pixels


def _view_row(row: Row, view: View) -> Row:
    """Return the row of a view of an image."""
    return replace(row, path=view.path(row.path), key=view.key(row.key))


def _face_row(row: Row, face: str) -> Row:
    """Return the row of a face. All faces of an image have the same group and ``file``."""
    if not face:
        return row
    if face == FACELESS:
        return replace(row, columns=tuple(sorted([*row.columns, ("face", face)])))
    columns = {"file": row.path, **dict(row.columns), "face": face}
    return replace(
        row,
        path=f"{row.path}{FACE}{face}",
        key=face_key(row.key, face),
        group=row.group or row.path,
        columns=tuple(sorted(columns.items())),
    )


def _known(
    row: Row, faces: FaceFinder | None, is_known: Callable[[Row], bool]
) -> list[Ready | Known]:
    """Return the known rows of an image.

    The rows of all faces are committed together, so if one of them is known, all are known.
    """
    if is_known(row):
        return [Known(row)]
    if faces is None or faces.mode != "all":
        return []
    face_rows = (_face_row(row, str(number)) for number in count())
    return [Known(face_row) for face_row in takewhile(is_known, face_rows)]


def preprocessed(preprocess: Preprocess, pixels: RGB) -> torch.Tensor:
    """Preprocess an image.

    Raises
    ------
    EncodingError
        If the preprocessing fails on this image. For example, resizing a very thin image can
        exhaust the memory.
    """
    try:
        return preprocess(pixels)
    except Exception as error:  # transforms and plug-ins may raise errors of any type
        raise EncodingError(
            f"the image of {_size(pixels)} pixels cannot be preprocessed: {_reason(error)}"
        ) from error


def _size(pixels: RGB) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
