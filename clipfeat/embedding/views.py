"""Views: augmented copies of an image, for example flipped. Each view gets its own row.

A view has a name and a list of steps. A step is a transform of `torchvision.transforms.v2`, of
albumentations (if it is installed) or of `clipfeat.embedding.steps`. Random parameters are seeded
with the image's bytes and the view's definition. A view therefore does not depend on the order of
the images or on the number of threads.

In all rows of an image, the column ``file`` is the path of the image. All these rows have the same
group. If the source gives no group, the group is the path of the image.
"""

import hashlib
import json
import math
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from clipfeat.embedding.steps import FIXED_STEPS, OWN_STEPS, SEEDED_STEPS
from clipfeat.errors import EncodingError, MissingExtraError, UsageError, unknown_name
from clipfeat.images.decode import MAX_PIXELS, RGB
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource
from clipfeat.system.files import read_regular
from clipfeat.system.safe_yaml import parse_yaml

Step = tuple[str, Mapping[str, Any]]
ORIGINAL = "original"
MAX_VIEWS_FILE = 2**16
"""Maximum size of a file of views in bytes. PyYAML parses about 50 kB in a second."""
MAX_POINTS = 1000
"""Maximum number of dots in a line of a TOML file of views. `tomllib` needs quadratic time and
memory for the parts of a dotted key."""
MAX_NUMBER = 16_384
"""Maximum of the numbers in the arguments of a step, such as a size in pixels."""
MAX_AREA = 2**26
"""Maximum number of pixels of an image size in the arguments. A single number is the side of a
square."""
MAXIMA = {
    "padding": 4096,
    "kernel_size": 255, "sigma": 100,  # the time for each pixel grows with their squares
    "num_ops": 100, "mixture_width": 100, "chain_depth": 100, "trials": 100,
    "num_magnitude_bins": 1000,
    "side_range": 16, "scale_range": 16, "scale_limit": 16,
}  # fmt: skip
"""Lower maxima of some arguments, so that a step cannot take all memory or hours."""
SIZES = (("size",), ("min_size",), ("max_size",), ("target_size",), ("height", "width"),
         ("min_height", "min_width"))  # fmt: skip
"""Arguments that give the size of an image, alone or in pairs."""

NAMED_VIEWS: dict[str, list[Step]] = {
    "hflip": [("RandomHorizontalFlip", {"p": 1.0})],
    "vflip": [("RandomVerticalFlip", {"p": 1.0})],
    "rot90": [("RandomRotation", {"degrees": [90, 90], "expand": True})],
    "rotate": [("RandomRotation", {"degrees": 15, "interpolation": 2})],
    "crop": [("CropShare", {"share": [0.7, 1.0]})],
    "colour": [("ColorJitter", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2})],
    "grey": [("Grayscale", {"num_output_channels": 3})],
    "blur": [("GaussianBlur", {"kernel_size": 5, "sigma": [0.5, 2.0]})],
    "noise": [("GaussianNoise", {"sigma": 0.03})],
    "jpeg": [("JPEG", {"quality": [50, 95]})],
    "robust": [("Degrade", {})],
    "shift-scale-rotate": [
        ("RandomAffine",
         {"degrees": 15, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "interpolation": 2}),
    ],
}  # fmt: skip
"""Built-in views. ``jpeg50`` is ``jpeg`` with the quality 50. Any quality from 1 to 100 works.
``robust3`` stands for three views, each with its own random degradations. Any number from 2 to
`MAX_DRAWS` works."""
MAX_DRAWS = 20

# All threads share torch's global random generator, so only one thread may seed it at a time.
_RANDOM_LOCK = Lock()


@dataclass(frozen=True)
class View:
    """A named list of steps.

    Parameters
    ----------
    name : str
        The name. It is appended to the paths of the rows: ``cat/1.jpg#hflip``.
    definition : str
        The steps as JSON: a list of [name, keyword arguments].
    max_pixels : int
        Maximum number of pixels of an image to which the steps are applied.
    """

    name: str
    definition: str
    max_pixels: int = MAX_PIXELS

    @property
    def _is_random(self) -> bool:
        """Whether at least one step may draw random parameters."""
        return any(
            name not in FIXED_STEPS or isinstance(arguments.get("quality"), list)
            for name, arguments in json.loads(self.definition)
        )

    def key(self, image_key: bytes) -> bytes:
        """Return the key of this view of an image: 16 bytes that identify the view and the image.

        The key of the view ``"original"`` is the key of the image.
        """
        if self.name == ORIGINAL:
            return image_key
        return hashlib.blake2b(image_key + self.definition.encode(), digest_size=16).digest()

    def path(self, image_path: str) -> str:
        """Return the path of this view of an image.

        Examples
        --------
        >>> View("hflip", "[]").path("a.jpg"), View("original", "[]").path("a.jpg")
        ('a.jpg#hflip', 'a.jpg')
        """
        return image_path if self.name == ORIGINAL else f"{image_path}#{self.name}"

    def apply(self, pixels: RGB, key: bytes) -> RGB:
        """Apply the view to an image.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, 3), uint8
            The whole image.
        key : bytes
            The result of the method `key`. It seeds random parameters.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8
            The view. Its size depends on the steps.

        Raises
        ------
        EncodingError
            If a step fails on this image, for example because a crop is larger than the image. If
            the image has more than `max_pixels`.
        """
        if self.name == ORIGINAL:
            return pixels
        height, width = pixels.shape[:2]
        if height * width > self.max_pixels:
            raise EncodingError(
                f"the image has {width}x{height} pixels, but views are made of images of at most "
                f"{self.max_pixels} pixels here. Reduce the image, or pass fewer views"
            )
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        seed = int.from_bytes(key[:7], "little")
        try:
            with _seeded(seed) if self._is_random else nullcontext():
                for step in _steps(self.definition):
                    image = step(image, seed)
        except Exception as error:
            # The steps belong to other libraries and may raise any exception.
            raise EncodingError(
                f"view {self.name!r} fails on an image of {width}x{height} pixels: {error}"
            ) from error
        if not _is_rgb(image):
            kind = getattr(image, "dtype", type(image).__name__)
            shape = tuple(getattr(image, "shape", ()))
            raise EncodingError(
                f"view {self.name!r} returns {kind} {shape}, expected 8-bit RGB (3, height, width)"
            )
        return image.permute(1, 2, 0).contiguous().numpy()


def _is_rgb(image: Any) -> bool:
    """Check that the output of a step is a non-empty uint8 image (3, height, width)."""
    return (
        isinstance(image, torch.Tensor)
        and image.dtype == torch.uint8
        and image.ndim == 3
        and image.shape[0] == 3
        and image.numel() > 0
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with _RANDOM_LOCK, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def read_views(text: str) -> dict[str, View]:
    """Read the definitions of views.

    Parameters
    ----------
    text : str
        Names of `NAMED_VIEWS`, separated by commas, or the path of a .json, .toml, .yaml or .yml
        file. The file maps the name of each view to a list of steps. A step is ``"Name"`` or
        ``{"Name": {keyword arguments}}``. ``Name`` is one of these:

        - a class of `torchvision.transforms.v2`
        - ``A.`` and a class of albumentations, such as ``A.Downscale``
        - ``JPEG`` or ``WEBP``, with ``quality``, a number or a range
        - ``CropShare``, with ``share``, a range in (0, 1] from which the kept share of each side is
          drawn
        - ``Blur``, with ``sigma``, the standard deviation in pixels
        - ``Scale``, with ``factor``, the factor by which both sides are resized
        - ``Cover``, with ``box``, the left, top, right and bottom of a rectangle as shares of the
          image's sides. The rectangle is filled with the image's mean colour
        - ``Degrade``, one to three random degradations; see `clipfeat.embedding.steps.degrade`. Its
          argument ``draw`` is a number. Steps with different numbers draw different degradations.

    Returns
    -------
    dict of str to View
        Views by name. The first is ``"original"``, the unchanged image.

    Raises
    ------
    UnknownNameError
        If a view or a step does not exist.
    UsageError
        If the file cannot be parsed, or if a name or an argument is invalid.

    Examples
    --------
    >>> list(read_views("hflip,jpeg75"))
    ['original', 'hflip', 'jpeg75']
    """
    if Path(text).suffix.lower() in _PARSERS:
        steps = _from_file(Path(text))
    else:
        steps = {}
        for name in map(str.strip, text.split(",")):
            if name:
                steps |= _named(name)
    views = {ORIGINAL: View(ORIGINAL, "[]")}
    for name, definition in steps.items():
        if name == ORIGINAL:
            continue
        if not name or set(name) & set("#/\\\n"):
            raise UsageError(
                f"the view name {name!r} is empty or contains #, a slash, a backslash or a line "
                "break. Rename the view"
            )
        try:
            view = View(name, json.dumps(definition, sort_keys=True))
        except (TypeError, ValueError) as error:  # dates, mixed keys, numbers of many digits
            raise UsageError(
                f"the view {name!r} has an argument that is not a text, number, list or object "
                f"({error}). Correct the argument"
            ) from error
        _steps(view.definition)
        views[name] = view
    return views


def with_views(source: ImageSource, views: Mapping[str, View]) -> ImageSource:
    """Return a source with one record for each view of each image.

    In each record, the column ``file`` is the path of the image. If the source gives no group, the
    group is also the path of the image.
    """
    records = [_record(record, view) for record in source for view in views.values()]
    return replace(source, records=records)


def _record(record: ImageRecord, view: View) -> ImageRecord:
    columns = {"file": record.path, **dict(record.columns), "view": view.name}
    return replace(
        record,
        path=view.path(record.path),
        group=record.group or record.path,
        columns=tuple(sorted(columns.items())),
        view=view.name,
    )


def _named(name: str) -> dict[str, list[Step]]:
    """Return the built-in views that a name stands for."""
    if name in NAMED_VIEWS:
        return {name: NAMED_VIEWS[name]}
    if name.startswith("jpeg") and name[4:].isdecimal() and 1 <= int(name[4:]) <= 100:
        return {name: [("JPEG", {"quality": int(name[4:])})]}
    draws = name.removeprefix("robust")
    if draws != name and draws.isdecimal() and 2 <= int(draws) <= MAX_DRAWS:
        return {f"robust-{n}": [("Degrade", {"draw": n})] for n in range(1, int(draws) + 1)}
    if name == ORIGINAL:
        return {}
    raise unknown_name("view", name, [*NAMED_VIEWS, "jpeg50", "robust3"])


def _read_toml(text: str) -> dict[str, Any]:
    if any(line.count(".") > MAX_POINTS for line in text.splitlines()):
        raise ValueError(f"a line of the file has more than {MAX_POINTS} dots (.)")
    return tomllib.loads(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".toml": _read_toml,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
}


def _from_file(path: Path) -> dict[str, list[Step]]:
    try:
        text = read_regular(path, MAX_VIEWS_FILE).decode()
        definitions = _PARSERS[path.suffix.lower()](text)
        return {str(name): [_step(step) for step in steps] for name, steps in definitions.items()}
    except UsageError:
        raise
    except Exception as error:
        # Each of the three parsers raises its own exceptions.
        raise UsageError(
            f"{path} does not map names of views to lists of steps ({error}). Write for example "
            '{"flipped": [{"RandomHorizontalFlip": {"p": 1}}]}'
        ) from error


def _step(item: Any) -> Step:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        ((name, arguments),) = item.items()
        if isinstance(arguments, Mapping) or arguments is None:
            return str(name), dict(arguments or {})
    raise UsageError(
        f"a step of a view must be a name, or a name with its arguments, got {item!r}. Write for "
        'example "Grayscale" or {"JPEG": {"quality": 50}}'
    )


@lru_cache
def _steps(definition: str) -> Sequence[Callable[[torch.Tensor, int], torch.Tensor]]:
    """Build the steps of a definition.

    Each step is a function that takes an image (3, height, width) and a seed, and returns an image.
    """
    return [_build_step(name, arguments) for name, arguments in json.loads(definition)]


def _build_step(
    name: str, arguments: Mapping[str, Any]
) -> Callable[[torch.Tensor, int], torch.Tensor]:
    from torchvision.transforms import v2  # imports the compiler of torch, which takes 0.8 s

    torchvision_steps = {
        n: transform for n, transform in vars(v2).items()
        if isinstance(transform, type) and issubclass(transform, v2.Transform)
    }  # fmt: skip
    known: Mapping[str, Any] = {**torchvision_steps, **OWN_STEPS, **SEEDED_STEPS}
    factory = _albumentations(name[2:]) if name.startswith("A.") else known.get(name)
    if factory is None:
        raise unknown_name("step of a view", name, known)
    try:
        _check_arguments(arguments)
        transform = factory(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"step {name} of a view does not accept the arguments {dict(arguments)}: {error}. "
            "Correct the arguments"
        ) from error
    if name.startswith("A."):
        return lambda image, seed: _apply_albumentations(transform, image, seed)
    if name in SEEDED_STEPS:
        seeded: Callable[[torch.Tensor, int], torch.Tensor] = transform
        return seeded
    return lambda image, seed: transform(image)


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check that the numbers in a step's arguments do not need unlimited memory or time."""
    for name, value in arguments.items():
        most = MAXIMA.get(name, MAX_NUMBER)
        if not all(abs(number) <= most for number in _numbers(value)):
            raise ValueError(f"the numbers of {name} must be at most {most}, got {value}")
    for names in SIZES:
        sides = [number for name in names for number in _numbers(arguments.get(name))]
        pixels = math.prod(sides * 2 if len(sides) == 1 else sides)
        if pixels > MAX_AREA and len(sides) <= 2:
            raise ValueError(
                f"{' and '.join(names)} must describe at most {MAX_AREA} pixels, got {pixels}"
            )


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)


def _albumentations(name: str) -> Any:
    # If this variable is not set, albumentations looks for a newer version on the internet.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        import albumentations
    except ImportError as error:
        raise MissingExtraError(
            f"step A.{name} of a view needs albumentations, which is not installed. "
            "Run: pip install albumentations"
        ) from error
    return getattr(albumentations, name, None)


def _apply_albumentations(transform: Any, image: torch.Tensor, seed: int) -> torch.Tensor:
    import albumentations

    seeded = albumentations.Compose([transform], seed=seed % 2**32)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(seeded(image=pixels)["image"]).permute(2, 0, 1)
