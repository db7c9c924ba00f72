"""From a record of a source to what an encoder takes, in a thread."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from itertools import count, takewhile

import torch

from clipfeat.embedding.views import View
from clipfeat.encoders.preprocessing import Preprocess
from clipfeat.errors import EncodingError, ImageError
from clipfeat.features import Failure
from clipfeat.images.decode import RGB, Decoded
from clipfeat.images.faces.finder import FaceFinder
from clipfeat.images.record import FACE, FACELESS, ImageRecord, frame_key, image_key
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch

Decoder = Callable[[bytes], AbstractContextManager[Decoded]]


@dataclass(frozen=True, slots=True)
class Known:
    """An image that needs no encoding: its bytes came before, here or by the caller's word."""

    row: Row


@dataclass(frozen=True, slots=True)
class Ready:
    """A decoded, preprocessed image."""

    row: Row
    tensor: torch.Tensor


@dataclass(frozen=True)
class Pictures:
    """What of an image is to be encoded, where that is not the image as it is.

    Parameters
    ----------
    views : mapping of str to View
        Those that records name.
    faces : FaceFinder, optional
        Cuts out faces, before a view is made.
    every : bool
        Whether each image is wanted in every view instead, from one decoding; records name none.
    """

    views: Mapping[str, View] = field(default_factory=dict)
    faces: FaceFinder | None = None
    every: bool = False

    @property
    def n_of_each(self) -> int:
        """How many pictures of each image, or face, there are."""
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
    """Read, decode and preprocess an image, or one of its views, or all of its faces.

    Parameters
    ----------
    record : ImageRecord
        The image.
    preprocess : callable
        The encoder's.
    pictures : Pictures
        What of the image is wanted.
    is_known : callable
        Asked, once its bytes are read, whether a row needs no decoding.
    decode_image, decode_frame : callable
        From an image's bytes, or a request for a video's frame, to pixels for the time of a block.
    watch : Stopwatch
        Told the seconds of ``"read"``, ``"decode"``, ``"resize"``.

    Returns
    -------
    list of Ready or Known, or Failure
        A row for each face where all are taken, and for each view where every one is; else one.
    """
    key = b""
    try:
        if record.reader.content == "frame request":
            data, decode, size = record.reader.read(), decode_frame, 0
        else:
            with watch.timing("read"):
                data = record.reader.read()
            key, decode, size = image_key(data), decode_image, len(data)
        about = (record.label, record.group)
        row = Row(record.path, key, *about, file_size=size, columns=record.columns)
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
            height, width = decoded.pixels.shape[:2]
            seen = replace(row, height=height, width=width, format=decoded.format)
            wanted = [(view, seen)]
            if pictures.every:
                wanted = [(one, _viewed(seen, one)) for one in pictures.views.values()]
            with watch.timing("resize"):
                return [
                    Ready(_part(row, face), _preprocessed(preprocess, _made(crop, view, row.key)))
                    for face, crop in _crops(decoded.pixels, pictures.faces)
                    for view, row in wanted
                ]
    except (ImageError, EncodingError) as error:
        return Failure(record.path, type(error).__name__, str(error), key)


def _crops(pixels: RGB, faces: FaceFinder | None) -> Iterator[tuple[str, RGB]]:
    """What is wanted of an image, and the face it is: a number where all are, or `FACELESS`."""
    if faces is None:
        yield "", pixels
        return
    for number, crop in enumerate(faces(pixels)):
        if crop is pixels:
            yield FACELESS, crop
        else:
            yield str(number) if faces.mode == "all" else "", crop


def _made(pixels: RGB, view: View | None, key: bytes) -> RGB:
    return view.apply(pixels, key) if view else pixels


def _viewed(row: Row, view: View) -> Row:
    """The row of one view of an image."""
    return replace(row, path=view.path(row.path), key=view.key(row.key))


def _part(row: Row, face: str) -> Row:
    """The row of one of an image's faces, all of which are tied together."""
    if not face:
        return row
    if face == FACELESS:
        return replace(row, columns=tuple(sorted([*row.columns, ("face", face)])))
    columns = {"file": row.path, **dict(row.columns), "face": face}
    return replace(
        row,
        path=f"{row.path}{FACE}{face}",
        key=hashlib.blake2b(row.key + b"face " + face.encode(), digest_size=16).digest(),
        group=row.group or row.path,
        columns=tuple(sorted(columns.items())),
    )


def _known(
    row: Row, faces: FaceFinder | None, is_known: Callable[[Row], bool]
) -> list[Ready | Known]:
    """The rows that are there already: of one image's faces they are committed together."""
    if is_known(row):
        return [Known(row)]
    if faces is None or faces.mode != "all":
        return []
    parts = (_part(row, str(number)) for number in count())
    return [Known(part) for part in takewhile(is_known, parts)]


def _preprocessed(preprocess: Preprocess, pixels: RGB) -> torch.Tensor:
    try:
        return preprocess(pixels)
    except (ValueError, RuntimeError, MemoryError) as error:
        # An image so thin that resizing it takes more memory than there is, for one.
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise EncodingError(
            f"{size} pixels cannot be preprocessed: {error or type(error).__name__}"
        ) from error
