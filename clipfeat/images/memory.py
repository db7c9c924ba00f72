"""Images in memory: arrays, PIL images and data sets of Hugging Face's ``datasets``.

The reader of an array or a PIL image returns a PPM file of the pixels, so images with equal pixels
have equal content hashes. The reader of an image in a data set returns the stored file. Nothing is
decoded when the images are listed.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.errors import DataError, ReadError, UsageError
from clipfeat.features.label_text import present
from clipfeat.features.official_parts import SPLIT, official_part
from clipfeat.features.usual_names import GROUP_NAMES, LABEL_NAMES, plain_name
from clipfeat.images.array_sets import IMAGE_NAMES
from clipfeat.images.decode import pixels_of
from clipfeat.images.pixel_arrays import item_pixels, pixel_layout, ppm
from clipfeat.images.readers import FileBytes, Reader
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.system.locations import is_remote

ImageInput: TypeAlias = (
    str | Path | ImageSource | Sequence[str | Path | Image.Image | NDArray[np.uint8]]
    | NDArray[np.uint8] | Image.Image | Mapping[str, Any]
)  # fmt: skip
"""Anything that `clipfeat.images.open_source` opens. A data set of ``datasets`` also works."""

Values: TypeAlias = Sequence[Any] | NDArray[Any] | None
"""One value for each image, or None."""

_LOADING = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class MemoryImage(Reader):
    """Reader of an image in memory.

    Parameters
    ----------
    image : ndarray or PIL image
        A PIL image, or an array of uint8 whose shape is `PixelLayout.item`.
    channels_first : bool
        Whether the channels are the first axis of the array.
    """

    in_memory: ClassVar[bool] = True

    image: Any
    channels_first: bool = False

    @property
    def sequence(self) -> Hashable:
        """A key that differs from that of every other image."""
        return id(self)

    def read(self) -> bytes:
        """Return a PPM file of the pixels.

        Raises
        ------
        ReadError
            If the file of a PIL image cannot be read.
        DecodeError
            If a PIL image has samples that cannot be scaled to 8 bits. See `clipfeat.images.deep`.
        """
        if not isinstance(self.image, Image.Image):
            return ppm(item_pixels(self.image, channels_first=self.channels_first))
        try:
            with _LOADING:  # an image may occur several times, and threads may load it together
                self.image.load()
            return ppm(pixels_of(self.image))
        except (OSError, ValueError, SyntaxError, AttributeError) as error:
            raise ReadError(f"the PIL image cannot be read: {error}") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryImage) and self.read() == other.read()

    def __hash__(self) -> int:
        return hash(self.read())


@dataclass(frozen=True, slots=True)
class DatasetImage(Reader):
    """Reader of an image of a data set of ``datasets``.

    Parameters
    ----------
    dataset : datasets.Dataset
        The data set, in which the column of images is not decoded.
    column : str
        Name of the column.
    index : int
        Number of the row.
    """

    in_memory: ClassVar[bool] = True

    dataset: Any
    column: str
    index: int

    @property
    def sequence(self) -> Hashable:
        """A key that differs from that of every other image."""
        return self.index

    def read(self) -> bytes:
        """Read the stored file of the image.

        Raises
        ------
        ReadError
            If the row has no image, or if its file cannot be read.
        """
        stored = self.dataset[self.index][self.column] or {}
        if data := stored.get("bytes"):
            return bytes(data)
        path = stored.get("path") or ""
        if not path:
            raise ReadError("the row of the data set has no image")
        if is_remote(path):
            raise ReadError(f"the image is not stored in the data set, but at {path}")
        return FileBytes(path).read()


def image_source(
    images: ImageInput,
    *,
    labels: Values = None,
    groups: Values = None,
    columns: Mapping[str, Values] | None = None,
) -> ImageSource:
    """Make a source of images in memory, for `clipfeat.embed`, `clipfeat.predict` and others.

    Parameters
    ----------
    images : ndarray, sequence of images, or data set
        An array of images with one of the shapes in `clipfeat.images.pixel_arrays`, a PIL image, or
        a sequence of PIL images and arrays of one image each. A data set of ``datasets`` with a
        column of images also works, and so does a dict of such data sets. The keys of the dict
        become the values of the column ``split``.
    labels, groups : sequence or ndarray of length n_images, optional
        The label and the group of each image. Missing values are None, NaN or empty text. If
        `labels` or `groups` is not given, a data set's column with a usual name, such as
        ``label``, is used.
    columns : mapping of str to sequence, optional
        Further columns, with one value for each image.

    Returns
    -------
    ImageSource
        The images. Their paths are their numbers, such as ``0000012``.

    Raises
    ------
    DataError
        If an array does not have the dtype or the shape of images. If `labels`, `groups` or a
        column does not have one value for each image.
    EmptySourceError
        If there is no image.
    UsageError
        If `images` is none of the above. If a data set does not have exactly one column of images.

    Examples
    --------
    >>> import numpy as np
    >>> source = image_source(np.zeros((2, 8, 8, 3), dtype=np.uint8), labels=["cat", "dog"])
    >>> [(record.path, record.label) for record in source]
    [('0000000', 'cat'), ('0000001', 'dog')]
    """
    records = _records(images)
    n = len(records)
    if labels is not None:
        of_label = _texts("labels", labels, n)
        records = [replace(one, label=t) for one, t in zip(records, of_label, strict=True)]
    if groups is not None:
        of_group = _texts("groups", groups, n)
        records = [replace(one, group=t) for one, t in zip(records, of_group, strict=True)]
    for name, values in (columns or {}).items():
        if values is not None:
            texts = _texts(name, values, n)
            records = [
                replace(one, columns=(*one.columns, (name, t)))
                for one, t in zip(records, texts, strict=True)
            ]
    return make_source(f"{len(records)} images in memory", "", records)


def in_memory(source: object) -> bool:
    """Return whether a source is an object in memory, not a path or a sequence of paths."""
    if isinstance(source, str | Path | ImageSource):
        return False
    is_paths = isinstance(source, Sequence) and all(isinstance(one, str | Path) for one in source)
    return not is_paths


def paths_of(source: object) -> list[str]:
    """Return the paths of a source, or an empty list for images in memory."""
    if isinstance(source, str | Path):
        return [str(source)]
    if isinstance(source, ImageSource) or in_memory(source) or not isinstance(source, Sequence):
        return []
    return [str(one) for one in source]


def is_dataset(source: object) -> bool:
    """Return whether an object is a data set of ``datasets``, which need not be installed."""
    return isinstance(getattr(source, "features", None), Mapping) and hasattr(source, "cast_column")


def _records(images: Any) -> list[ImageRecord]:
    if isinstance(images, Mapping) and images and all(map(is_dataset, images.values())):
        records = []
        for key, dataset in images.items():
            split = official_part(key) or key
            for one in _records_of_dataset(dataset):
                own = dict(one.columns) | {SPLIT: split}
                columns = tuple(sorted(own.items()))
                records.append(replace(one, path=f"{key}/{one.path}", columns=columns))
        return records
    if is_dataset(images):
        return _records_of_dataset(images)
    if isinstance(images, Image.Image):
        images = [images]
    if isinstance(images, np.ndarray) and images.dtype != object:
        layout = pixel_layout(images.shape, images.dtype, "the array of images")
        items = [images] if layout.item == images.shape else list(images)
        return _numbered([MemoryImage(item, layout.channels_first) for item in items])
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise UsageError(
            f"expected paths, an array, a list of images or a data set, got "
            f"{type(images).__name__}. Pass a list, for example list(images)"
        )
    return _numbered([_memory_image(images[i], i) for i in range(len(images))])


def _numbered(readers: Sequence[Reader]) -> list[ImageRecord]:
    return [ImageRecord(f"{i:07d}", reader) for i, reader in enumerate(readers)]


def _memory_image(image: Any, index: int) -> MemoryImage:
    if isinstance(image, Image.Image):
        return MemoryImage(image)
    if isinstance(image, np.ndarray) or hasattr(image, "__array__"):
        item = np.asarray(image)
        layout = pixel_layout((1, *item.shape), item.dtype, f"image {index}")
        return MemoryImage(item, layout.channels_first)
    raise UsageError(
        f"image {index} is of the type {type(image).__name__}, expected a PIL image or an array of "
        "uint8. Pass labels separately: clipfeat.image_source(images, labels=labels)"
    )


def _texts(name: str, values: Any, n: int) -> list[str]:
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if len(listed) != n:
        raise DataError(f"{name} has {len(listed)} values for {n} images. Pass one for each image")
    return ["" if value is None else present(str(value)) for value in listed]


def _records_of_dataset(dataset: Any) -> list[ImageRecord]:
    """List the rows of a data set, without decoding their images."""
    if not hasattr(dataset, "__len__"):
        raise UsageError(
            "a streamed data set cannot be read several times. Load it with streaming=False"
        )
    kinds = {name: type(feature).__name__ for name, feature in dataset.features.items()}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    if len(images) > 1:
        images = [name for name in images if plain_name(name) in IMAGE_NAMES] or images
    if len(images) != 1:
        raise UsageError(
            f"the data set has {len(images)} columns of images, expected 1 (columns: "
            f"{', '.join(f'{name} {kind}' for name, kind in kinds.items())}). Keep one with "
            "dataset.remove_columns, or convert it with dataset.cast_column"
        )
    (column,) = images
    not_decoded = type(dataset.features[column])(decode=False)
    stored = dataset.select_columns([column]).cast_column(column, not_decoded)
    described = {name for name, kind in kinds.items() if kind in {"Value", "ClassLabel"}}
    roles = {
        role: next((name for usual in names for name in sorted(described)
                    if plain_name(name) == usual), None)
        for role, names in (("label", LABEL_NAMES), ("group", GROUP_NAMES))
    }  # fmt: skip
    texts = {name: _texts_of_column(dataset, name) for name in sorted(described)}
    blank = [""] * len(dataset)
    label, group = (texts.pop(roles[role], blank) for role in ("label", "group"))
    return [
        ImageRecord(
            f"{i:07d}",
            DatasetImage(stored, column, i),
            label=label[i],
            group=group[i],
            columns=tuple((name, of[i]) for name, of in texts.items()),
        )
        for i in range(len(dataset))
    ]


def _texts_of_column(dataset: Any, name: str) -> list[str]:
    names: Sequence[str] | None = getattr(dataset.features[name], "names", None)

    def text(value: Any) -> str:
        if value is None or (names and value < 0):
            return ""
        return names[value] if names else present(str(value))

    write: Callable[[Any], str] = text
    return [write(value) for value in dataset[name]]
