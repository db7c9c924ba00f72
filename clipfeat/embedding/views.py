"""Views: an image flipped, cropped, compressed, ... before it is encoded, each a row of its own.

A view is named, and made of steps of `torchvision.transforms.v2` (or of albumentations, where that
is installed). What is random in it is drawn from the image's bytes and the view's own definition,
so that the same view of the same image comes out whatever the order and the number of threads.
The rows of an image are tied together: they carry its path as their ``file`` and as their group.
"""

import hashlib
import io
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from clipfeat.errors import EncodingError, MissingExtraError, UsageError, unknown_name
from clipfeat.images.decode import RGB
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource

Step = tuple[str, Mapping[str, Any]]
ORIGINAL = "original"

NAMED: dict[str, list[Step]] = {
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
    "shift-scale-rotate": [
        ("RandomAffine",
         {"degrees": 15, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "interpolation": 2}),
    ],
}  # fmt: skip
"""Views that need no file; ``jpeg50`` and the like are ``jpeg`` of that one quality."""

# Torch draws from one generator for all threads.
_DRAWING = Lock()


@dataclass(frozen=True)
class View:
    """A named pipeline of steps.

    Parameters
    ----------
    name : str
        Ends the path of its rows: ``cat/1.jpg#hflip``.
    definition : str
        Its steps as JSON: a list of [name, keyword arguments].
    """

    name: str
    definition: str

    @property
    def _draws(self) -> bool:
        """Whether anything in it may be random."""
        return any(
            name not in FIXED_STEPS or isinstance(words.get("quality"), list)
            for name, words in json.loads(self.definition)
        )

    def key(self, image_key: bytes) -> bytes:
        """The key of this view of an image: 16 bytes, other for another view or image."""
        if self.name == ORIGINAL:
            return image_key
        return hashlib.blake2b(image_key + self.definition.encode(), digest_size=16).digest()

    def path(self, image_path: str) -> str:
        """The path of this view of an image.

        Examples
        --------
        >>> View("hflip", "[]").path("a.jpg"), View("original", "[]").path("a.jpg")
        ('a.jpg#hflip', 'a.jpg')
        """
        return image_path if self.name == ORIGINAL else f"{image_path}#{self.name}"

    def apply(self, pixels: RGB, key: bytes) -> RGB:
        """Make the view of an image.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, 3), uint8
            The whole image.
        key : bytes
            What `key` gave: the seed of all that is drawn.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8
            Of whatever size the steps give.

        Raises
        ------
        EncodingError
            If a step cannot be done on this image, as a crop larger than it.
        """
        if self.name == ORIGINAL:
            return pixels
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        seed = int.from_bytes(key[:7], "little")
        try:
            with _seeded(seed) if self._draws else nullcontext():
                for step in _steps(self.definition):
                    image = step(image, seed)
        except Exception as error:
            # Any step of two libraries, with whatever arguments a user gave.
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise EncodingError(f"no view {self.name!r} of {size} pixels: {error}") from error
        if not _is_rgb(image):
            found = getattr(image, "dtype", type(image).__name__)
            shape = tuple(getattr(image, "shape", ()))
            raise EncodingError(f"the view {self.name!r} gives {found} {shape}, not 8-bit RGB")
        return image.permute(1, 2, 0).contiguous().numpy()


def _is_rgb(image: Any) -> bool:
    """Whether steps, which may give anything, gave an image: bytes (3, height, width), not none."""
    return (
        isinstance(image, torch.Tensor)
        and image.dtype == torch.uint8
        and image.ndim == 3
        and image.shape[0] == 3
        and image.numel() > 0
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def read_views(text: str) -> dict[str, View]:
    """Read which views are wanted.

    Parameters
    ----------
    text : str
        Names of `NAMED` with commas, or a .json, .toml, .yaml or .yml file that maps names to lists
        of steps, each ``"Name"`` or ``{"Name": {keyword arguments}}``: a class of
        `torchvision.transforms.v2`, ``JPEG`` or ``WEBP`` (``quality``, or its range),
        ``CropShare`` (of each side, a range), ``Blur`` (``sigma``), ``Scale`` (``factor``), or
        ``A.Name`` of albumentations.

    Returns
    -------
    dict of str to View
        By name; the unchanged image, ``"original"``, comes first.

    Raises
    ------
    UnknownNameError
        If there is no such view or step.
    UsageError
        If the file is not so made.

    Examples
    --------
    >>> list(read_views("hflip,jpeg75"))
    ['original', 'hflip', 'jpeg75']
    """
    if Path(text).suffix.lower() in _READERS:
        steps = _from_file(Path(text))
    else:
        steps = {name: _named(name) for name in map(str.strip, text.split(",")) if name}
    views = {ORIGINAL: View(ORIGINAL, "[]")}
    for name, definition in steps.items():
        if name == ORIGINAL:
            continue
        if not name or set(name) & set("#/\\\n"):
            raise UsageError(f"a view's name ends a path, and may not hold # or a slash: {name!r}")
        view = View(name, json.dumps(definition, sort_keys=True))
        _steps(view.definition)
        views[name] = view
    return views


def with_views(source: ImageSource, views: Mapping[str, View]) -> ImageSource:
    """List every view of every image; each carries the image's path as ``file``, and as its group.

    A group that the source gives stays: it holds more than one image.
    """
    records = [_record(record, view) for record in source for view in views.values()]
    return ImageSource(source.name, source.root, records)


def _record(record: ImageRecord, view: View) -> ImageRecord:
    columns = {"file": record.path, **dict(record.columns), "view": view.name}
    return replace(
        record,
        path=view.path(record.path),
        group=record.group or record.path,
        columns=tuple(sorted(columns.items())),
        view=view.name,
    )


def _named(name: str) -> list[Step]:
    if name in NAMED:
        return NAMED[name]
    if name.startswith("jpeg") and name[4:].isdecimal() and 1 <= int(name[4:]) <= 100:
        return [("JPEG", {"quality": int(name[4:])})]
    if name == ORIGINAL:
        return []
    raise unknown_name("view", name, [*NAMED, "jpeg50"])


def _read_yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


_READERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}


def _from_file(path: Path) -> dict[str, list[Step]]:
    try:
        found = _READERS[path.suffix.lower()](path.read_text(encoding="utf-8"))
        return {str(name): [_step(one) for one in steps] for name, steps in found.items()}
    except UsageError:
        raise
    except Exception as error:
        # Three parsers, each with errors of its own.
        raise UsageError(
            f"{path} does not map names of views to lists of steps, such as "
            f'{{"flipped": [{{"RandomHorizontalFlip": {{"p": 1}}}}]}}: {error}'
        ) from error


def _step(one: Any) -> Step:
    if isinstance(one, str):
        return one, {}
    if isinstance(one, Mapping) and len(one) == 1:
        ((name, words),) = one.items()
        if isinstance(words, Mapping) or words is None:
            return str(name), dict(words or {})
    raise UsageError(f"a step is a name, or a name with its arguments, not {one!r}")


@lru_cache
def _steps(definition: str) -> Sequence[Callable[[torch.Tensor, int], torch.Tensor]]:
    """The steps of a definition, ready: from an image (3, height, width) and a seed to another."""
    return [_made(name, words) for name, words in json.loads(definition)]


def _made(name: str, words: Mapping[str, Any]) -> Callable[[torch.Tensor, int], torch.Tensor]:
    of_torchvision = {
        n: one for n, one in vars(v2).items()
        if isinstance(one, type) and issubclass(one, v2.Transform)
    }  # fmt: skip
    known = of_torchvision | OWN_STEPS
    make = _albumentations(name[2:]) if name.startswith("A.") else known.get(name)
    if make is None:
        raise unknown_name("step of a view", name, known)
    try:
        made = make(**words)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a view's step {name} does not take {dict(words)}: {error}") from error
    if name.startswith("A."):
        return lambda image, seed: _by_albumentations(made, image, seed)
    return lambda image, seed: made(image)


def _albumentations(name: str) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask a server for news
    try:
        import albumentations
    except ImportError as error:
        raise MissingExtraError(
            f"the step A.{name} of a view needs albumentations: pip install albumentations"
        ) from error
    return getattr(albumentations, name, None)


def _by_albumentations(made: Any, image: torch.Tensor, seed: int) -> torch.Tensor:
    import albumentations

    seeded = albumentations.Compose([made], seed=seed % 2**32)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(seeded(image=pixels)["image"]).permute(2, 0, 1)


def _compressed(
    file_format: str, quality: int | Sequence[int]
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Compress and decode again, with a quality of 1 to 100 or drawn from a range."""
    low, high = (quality, quality) if isinstance(quality, int) else quality
    if not 1 <= low <= high <= 100:
        raise ValueError(f"a quality is 1 to 100, got {quality}")

    def step(image: torch.Tensor) -> torch.Tensor:
        drawn = low if low == high else int(torch.randint(low, high + 1, ()))
        data = io.BytesIO()
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(pixels).save(data, file_format, quality=drawn)
        with Image.open(data) as compressed:
            return torch.from_numpy(np.array(compressed.convert("RGB"))).permute(2, 0, 1)

    return step


def _blur(sigma: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Convolve with a Gaussian of any width in pixels; edges are repeated."""
    if not sigma > 0:
        raise ValueError(f"a sigma is above 0, got {sigma}")
    from scipy.ndimage import gaussian_filter

    def step(image: torch.Tensor) -> torch.Tensor:
        sharp = image.numpy().astype(np.float32)
        blurred = gaussian_filter(sharp, (0, sigma, sigma), mode="nearest", truncate=3.0)
        return torch.from_numpy(np.rint(blurred).astype(np.uint8))

    return step


def _scale(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Resize both sides by a factor, bicubic, antialiased."""
    if not 0 < factor <= 16:
        raise ValueError(f"a factor is above 0 and at most 16, got {factor}")

    def step(image: torch.Tensor) -> torch.Tensor:
        size = [max(1, round(side * factor)) for side in image.shape[1:]]
        bicubic = v2.InterpolationMode.BICUBIC
        scaled: torch.Tensor = v2.functional.resize(image, size, bicubic, antialias=True)
        return scaled

    return step


def _crop_share(share: Sequence[float]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Cut out a part of so much of each side, anywhere; pixels stay as they are."""
    low, high = share
    if not 0 < low <= high <= 1:
        raise ValueError(f"a share is above 0 and at most 1, got {share}")

    def step(image: torch.Tensor) -> torch.Tensor:
        sides = [
            max(1, round(side * float(torch.empty(()).uniform_(low, high))))
            for side in image.shape[1:]
        ]
        top, left = (
            int(torch.randint(0, whole - side + 1, ()))
            for whole, side in zip(image.shape[1:], sides, strict=True)
        )
        return image[:, top : top + sides[0], left : left + sides[1]]

    return step


OWN_STEPS: dict[str, Callable[..., Callable[[torch.Tensor], torch.Tensor]]] = {
    "JPEG": partial(_compressed, "JPEG"),
    "WEBP": partial(_compressed, "WEBP"),
    "Blur": _blur,
    "Scale": _scale,
    "CropShare": _crop_share,
}
"""What torchvision lacks or is about to drop."""

FIXED_STEPS = frozenset({"JPEG", "WEBP", "Blur", "Scale"})
"""Those that draw nothing, with one quality: threads need not wait for each other."""
