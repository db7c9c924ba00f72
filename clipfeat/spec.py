"""Encoder specs: the identity of an encoder, and its fingerprint.

Rows of features may be compared, or passed to the same classifier, only if their specs are equal.
Provenance (device, library versions, location of the weights, seconds) does not change the
features, so it is stored apart from the spec and never compared.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise, starmap
from math import ceil, prod
from typing import Any

from clipfeat.encoder_arguments import check_arguments
from clipfeat.errors import (
    ClipfeatWarning,
    FingerprintError,
    RefusedFileError,
    UsageError,
    unknown_name,
)

SCALED = " scaled-jpeg-1"
"""Suffix of the field ``decode`` of encoders that reduce large JPEG images."""


@dataclass(frozen=True)
class EncoderSpec:
    """Identity of a frozen encoder.

    Parameters
    ----------
    name : str
        Canonical name, such as ``"timm:efficientnet_b0.ra_in1k"``.
    weights : str
        Digest of the state dict, independent of the file format. Empty for an encoder without
        weights.
    untrained : bool
        Whether the weights are random.
    layer : str
        Names of the slices of a feature row, separated by commas. A slice is one pooled layer,
        named by its number and pooling, such as ``"3/mean"``, or the output of the encoder. The
        output is named ``"last"``, or for CLIP ``"projection"`` or ``"pre-projection"``.
    options : str
        Keyword arguments of the architecture that differ from the library's defaults, as sorted
        JSON.
    input_size : tuple of int
        (height, width) of the encoder's input in pixels.
    interpolation : str
        Interpolation method for resizing, as named by the encoder's library. ``"none"`` if images
        are not resized.
    crop_pct : float
        Side of the crop divided by the side of the resized image, in (0, 1].
    crop_mode : str
        Kind of crop, as named by the encoder's library.
    mean, std : tuple of float
        Per-channel normalisation: the mean is subtracted from pixels in [0, 1], and the result is
        divided by std.
    n_features : int
        Number of features in a row.
    precision : str
        Precision of the forward pass: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
    decode : str
        Version of the code that decodes bytes to pixels. It ends in `SCALED` if large JPEG images
        are reduced while they are decoded.
    faces : str
        Identity of the face detector and its crop. Empty if whole images are encoded.
    widths : tuple of int
        Number of features of each slice. Empty if there is only one slice.

    Examples
    --------
    >>> a = EncoderSpec("spectrum", "", False, "last", "{}", (128, 128), "none", 1.0, "center",
    ...                 (0.0,), (1.0,), 80, "fp32", "rgb8-1")
    >>> a == EncoderSpec.from_json(a.to_json())
    True
    >>> len(a.fingerprint)
    32
    """

    name: str
    weights: str
    untrained: bool
    layer: str
    options: str
    input_size: tuple[int, int]
    interpolation: str
    crop_pct: float
    crop_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    n_features: int
    precision: str
    decode: str
    faces: str = ""
    widths: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Digest of all fields, 32 hexadecimal digits."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=16).hexdigest()

    def to_json(self) -> str:
        """Write canonical JSON: sorted keys, no spaces, no default values.

        Equal specs have equal JSON.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {f.name: values[f.name] for f in fields(self) if values[f.name] != f.default}
        return json.dumps(changed, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "EncoderSpec":
        """Read the output of `to_json`.

        Parameters
        ----------
        text : str
            JSON from a file that may be damaged.

        Returns
        -------
        EncoderSpec
            The spec.

        Raises
        ------
        RefusedFileError
            If the text is not a JSON object of the fields of this class, or if the options are not
            allowed by `clipfeat.encoder_arguments`.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            plain: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            _check_values(plain)
            spec = cls(**plain)
            agree = len(spec.parts) == len(spec.widths) and sum(spec.widths) == spec.n_features
            if spec.widths and not agree:
                raise ValueError(
                    f"expected one width for each slice of {spec.layer!r}, with the sum "
                    f"{spec.n_features}, got the widths {spec.widths}"
                )
            return spec
        except (TypeError, ValueError, AttributeError, RecursionError, UsageError) as error:
            raise RefusedFileError(f"the text is not the spec of an encoder: {error}") from error

    def check_storable(self) -> None:
        """Check that `from_json` can read this spec, so that files with it can be read.

        Raises
        ------
        UsageError
            If a value is not allowed, for example because the input is too large.
        """
        try:
            EncoderSpec.from_json(self.to_json())
        except RefusedFileError as error:
            raise UsageError(
                f"features of {self.name} cannot be stored, because {error.__cause__}. Use a "
                "smaller --image-size, another --encoder-arg or another encoder"
            ) from error

    def differences(self, other: "EncoderSpec") -> list[str]:
        """List the fields that differ in `other`, as ``"field: own value, not other value"``."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return [f"{name}: {_short(a)}, not {_short(b)}" for name, a, b in pairs if a != b]

    @property
    def parts(self) -> list[str]:
        """Names of the slices. If there is only one slice, its name may contain commas."""
        return self.layer.split(",") if self.widths else [self.layer]

    @property
    def slices(self) -> dict[str, slice]:
        """Columns of each slice of a feature row, by the slice's name."""
        bounds = list(accumulate(self.widths or (self.n_features,), initial=0))
        return dict(zip(self.parts, starmap(slice, pairwise(bounds)), strict=True))

    def narrowed(self, layers: str) -> "EncoderSpec":
        """Return the spec restricted to some layers.

        The result equals the spec of an encoder that computes only these layers.

        Parameters
        ----------
        layers : str
            Layers separated by commas, in one of these forms. ``3`` selects every pooling of layer
            3, and ``3/mean`` selects one pooling. The name of an output, such as ``projection``,
            selects the output. ``last`` also selects the output, whatever its name. ``all`` selects
            everything.

        Returns
        -------
        EncoderSpec
            The restricted spec. A spec with a single slice is returned unchanged.

        Raises
        ------
        UnknownNameError
            If a layer is not in the spec.
        """
        parts = self.parts
        if len(parts) == 1:
            return self
        kept = set()
        for wanted in (text.strip() for text in layers.split(",")):
            matches = [
                part
                for part in parts
                if wanted in (part, part.partition("/")[0], "all")
                or (wanted == "last" and "/" not in part)
            ]
            if not matches:
                raise unknown_name("layer", wanted, parts)
            kept.update(matches)
        width = dict(zip(parts, self.widths, strict=True))
        order = [part for part in parts if part in kept]
        widths = tuple(width[part] for part in order)
        return replace(
            self,
            layer=",".join(order),
            widths=widths if len(widths) > 1 else (),
            n_features=sum(widths),
        )

    def is_part_of(self, other: "EncoderSpec") -> bool:
        """Return whether `other`, restricted to the layers of this spec, equals this spec."""
        return set(self.parts) <= set(other.parts) and other.narrowed(self.layer) == self

    @property
    def is_scaled(self) -> bool:
        """Whether large JPEG images are reduced while they are decoded."""
        return self.decode.endswith(SCALED)

    @property
    def least_side(self) -> int:
        """Minimum length of the sides of a reduced JPEG image, or 0 if images are not reduced.

        It is twice the size to which the encoder resizes, because the features change too much if
        an image is reduced further.
        """
        if not self.is_scaled:
            return 0
        # A damaged or mistaken `crop_pct` must not give a length that no image can have.
        return 2 * ceil(min(max(0, max(self.input_size) / self.crop_pct), 2**31))

    @property
    def title(self) -> str:
        """Title for tables: the name, the input size, and the options that differ from defaults."""
        parts = [_cut(self.name), *([f"{self.input_size[0]}px"] if any(self.input_size) else [])]
        if self.layer not in ("last", "projection"):
            short = len(self.slices) <= 3
            parts.append(_cut(self.layer) if short else f"{len(self.slices)} slices of layers")
        if self.crop_mode in ("none", "tiles"):
            parts.append("native" if self.crop_mode == "none" else self.crop_mode)
        if self.faces:
            parts.append(f"faces({self.faces.partition(' ')[0]})")
        if self.is_scaled:
            parts.append("decode=scaled")
        if self.precision != "fp32":
            parts.append(self.precision)
        if self.untrained:
            parts.append("UNTRAINED")
        return " ".join(parts)

    @property
    def dtype(self) -> str:
        """Dtype of stored features: float32, or float16 if the precision is lower."""
        return "float32" if self.precision == "fp32" else "float16"

    def warn_if_untrained(self, where: object) -> None:
        """Warn if the encoder has random weights, because its features have no meaning.

        Parameters
        ----------
        where : object
            The file to name in the warning.
        """
        if self.untrained:
            warnings.warn(
                f"{where} has features of {self.name} with RANDOM weights (--untrained). Use the "
                "file for tests only: scores on its features have no meaning.",
                ClipfeatWarning,
                stacklevel=3,
            )


def _short(value: object) -> str:
    """Return the repr of a value, without the end of a long one."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    """Return a text without its end if it is long."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _check_values(values: Mapping[str, Any]) -> None:
    """Check the fields of a spec from a file, and the arguments in its options."""
    for name, value in values.items():
        items = value if name in _SEQUENCES and isinstance(value, tuple) else (value,)
        kinds, most = _NUMBERS.get(name, ((str,), MAX_TEXT))
        for item in items:
            if type(item) not in kinds:
                expected = " or ".join(kind.__name__ for kind in kinds)
                raise TypeError(f"{name} must be {expected}, got {str(value)[:40]!r}")
            size = len(item) if isinstance(item, str) else abs(item)
            if not size <= most:  # also true for NaN
                raise ValueError(f"{name} is above the limit of {most:g}")
    if len(values.get("input_size", ())) != 2:
        raise ValueError("input_size must be a height and a width")
    _check_preprocessing(values)
    arguments = json.loads(values.get("options", "{}"))
    if not isinstance(arguments, dict):
        raise TypeError("options must be a JSON object")
    check_arguments(values.get("name", "").partition(":")[0], arguments)


def _check_preprocessing(values: Mapping[str, Any]) -> None:
    """Check that images can be resized and normalised, within limits of memory."""
    sides, crop_pct = values["input_size"], values.get("crop_pct", 1)
    mean, std = values.get("mean", ()), values.get("std", ())
    if min(sides) < 0 or prod(sides) > MAX_INPUT:
        raise ValueError(f"input_size must have 0 to {MAX_INPUT} pixels, got {sides}")
    if crop_pct <= 0 or prod(side / crop_pct for side in sides) > MAX_RESIZED:
        raise ValueError(
            f"with the crop_pct {crop_pct:g}, resized images must have at most {MAX_RESIZED} pixels"
        )
    if len(mean) != len(std) or len(mean) > MAX_CHANNELS or not all(one > 0 for one in std):
        raise ValueError(
            f"mean and std must have one number for each of at most {MAX_CHANNELS} channels, and "
            "the numbers of std must be positive"
        )


MAX_TEXT = 2**16
MAX_INPUT, MAX_RESIZED = 2**24, 2**26
"""Largest number of pixels of the input, and of an image that is resized before it is cropped."""
MAX_CHANNELS = 4
MAX_SHOWN = 200
"""Largest number of characters of a value in a message or a title."""
_NUMBERS: Mapping[str, tuple[tuple[type, ...], float]] = {
    "untrained": ((bool,), 1),
    "input_size": ((int,), 2**14),
    "crop_pct": ((int, float), 1e6),
    "mean": ((int, float), 1e6),
    "std": ((int, float), 1e6),
    "n_features": ((int,), 2**31),
    "widths": ((int,), 2**31),
}
"""Types and limits of the fields that are not text."""
_SEQUENCES = ("input_size", "mean", "std", "widths")


def titles(specs: Sequence[EncoderSpec]) -> list[str]:
    """Return unique titles of encoders. Equal titles get digits of the fingerprint as a suffix."""
    plain = [spec.title for spec in specs]
    return [
        f"{title} #{spec.fingerprint[:6]}" if plain.count(title) > 1 else title
        for title, spec in zip(plain, specs, strict=True)
    ]


def check_same(expected: Sequence[EncoderSpec], got: Sequence[EncoderSpec]) -> None:
    """Check that features come from the encoders that a model was fitted on.

    Parameters
    ----------
    expected : sequence of EncoderSpec
        The specs of the model.
    got : sequence of EncoderSpec
        The specs of the features, in the same order.

    Raises
    ------
    FingerprintError
        If the two sequences differ in length, or if two specs at the same position differ. The
        message lists the fields that differ.
    """
    if len(got) != len(expected):
        names = [" + ".join(titles(specs)) or "no encoder" for specs in (expected, got)]
        raise FingerprintError(
            f"the model takes features of {names[0]}, got {names[1]}. "
            "Pass one feature file of each encoder."
        )
    for a, b in zip(expected, got, strict=True):
        if a != b:
            raise FingerprintError(
                f"the features come from another encoder ({'; '.join(a.differences(b))}, where "
                "the first value is the expected one). Use the same encoder and the same weights"
            )
