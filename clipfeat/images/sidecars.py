"""Side-cars: files beside an image in an archive, which hold its label and other values.

The ``.cls`` file contains the class. The ``.json`` file contains an object with ``label``,
``group`` and other plain values, which become columns. If the ``.cls`` file holds a number and the
``.json`` file a name, the name is the class. Other differences are an error. Side-cars that cannot
be read are reported in a warning, and those without an image are counted.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clipfeat.errors import ClipfeatWarning, LabelError
from clipfeat.features.label_text import class_names, present
from clipfeat.images.pairing import pair_sidecars
from clipfeat.images.skipping import SIDECAR


def describe(
    images: Sequence[str],
    sidecars: Mapping[str, Mapping[str, bytes | None]],
    shard: str,
    skipped: Counter[str],
) -> list[tuple[str, dict[str, str]]]:
    """Read the side-cars of images.

    Parameters
    ----------
    images : sequence of str
        Names of the images.
    sidecars : mapping
        For each suffix in `PARSERS`, the contents of the side-cars by name. None if the contents
        are too large or cannot be read.
    shard : str
        Name of the archive, for messages.
    skipped : Counter
        Counts side-cars without an image.

    Returns
    -------
    list of (str, dict)
        The label and the other values of each image.

    Raises
    ------
    DataError
        If two side-cars of one kind belong to one image.
    LabelError
        If the side-cars of an image contradict each other.

    Warns
    -----
    ClipfeatWarning
        If side-cars cannot be read.
    """
    parsed: dict[str, list[dict[str, str]]] = {}
    unreadable: dict[str, str] = {}
    for suffix, contents in sidecars.items():
        parsed[suffix] = []
        for name, data in contents.items():
            values: dict[str, str] = {}
            try:
                if data is None:
                    raise ValueError("the file is too large or damaged")
                values = PARSERS[suffix](data)
            except (ValueError, RecursionError) as error:
                unreadable[name] = str(error)
            parsed[suffix].append(values)
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        warnings.warn(
            f"{len(unreadable)} side-cars of {shard} cannot be read and are ignored, for example "
            f"{name}: {reason}",
            ClipfeatWarning,
            stacklevel=2,
        )
    of_image: list[dict[str, dict[str, str]]] = [{} for _ in images]
    for suffix, contents in sidecars.items():
        if not contents:
            continue
        indices = pair_sidecars(images, list(contents), shard)
        if n_left := len(contents) - len(set(indices) - {None}):
            skipped[SIDECAR] += n_left
        for place, index in enumerate(indices):
            if index is not None:
                of_image[place][suffix] = parsed[suffix][index]
    described = []
    for image, by_suffix in zip(images, of_image, strict=True):
        values = dict(by_suffix.get(".json", {}))
        label = _one_label(image, by_suffix.get(".cls", {}), values.pop("label", ""), shard)
        described.append((label, values))
    return described


def _one_label(image: str, of_cls: Mapping[str, str], text: str, shard: str) -> str:
    """Return the class of the ``.json`` file. If it has none, return that of the ``.cls`` file."""
    cls, name = of_cls.get("label", ""), present(text)
    if not cls or not name:
        return name or cls
    classes = class_names([cls, name])
    one, other = classes[cls], classes[name]
    if one != other and not (one.isdecimal() and not other.isdecimal()):
        raise LabelError(
            f"{image} in {shard} has the label {cls!r} in its .cls file, but {name!r} in its .json "
            "file. Correct one of them"
        )
    return name


def _class_of(data: bytes) -> dict[str, str]:
    return {"label": present(data.decode())}


def _plain_values(data: bytes) -> dict[str, str]:
    """Return the texts, numbers and truth values of a JSON object as text."""
    values = json.loads(data, object_pairs_hook=_unique)
    if not isinstance(values, dict):
        raise ValueError("the JSON text is not an object")
    if isinstance(values.get("label"), list | dict):
        raise ValueError("the label is neither text nor a number")
    return {k: str(v) for k, v in values.items() if isinstance(v, str | int | float | bool)}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if values.setdefault(key, value) != value:
            raise ValueError(f"the key {key!r} occurs twice")
    return values


PARSERS: Mapping[str, Callable[[bytes], dict[str, str]]] = {
    ".cls": _class_of,
    ".json": _plain_values,
}
"""Functions that read the values of each kind of side-car. They raise ValueError."""
