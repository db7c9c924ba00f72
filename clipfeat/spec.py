"""What makes features what they are: the identity of an encoder, and its fingerprint.

Two rows of features may be compared, or given to the same classifier, only where everything here
agrees. What may differ without changing the features (device, library versions, where the weights
were found, seconds) is provenance; it is recorded elsewhere and never compared.
"""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise, starmap
from typing import Any

from clipfeat.errors import ClipfeatWarning, FingerprintError, RefusedFileError, unknown_name


@dataclass(frozen=True)
class EncoderSpec:
    """The identity of a frozen encoder.

    Parameters
    ----------
    name : str
        Canonical name, such as ``"timm:efficientnet_b0.ra_in1k"``.
    weights : str
        Digest of the state dict, in whatever container it came; empty for an encoder without
        weights.
    untrained : bool
        Whether the weights are random.
    layer : str
        What is taken, with commas: the output (``"last"``; for CLIP ``"projection"`` or
        ``"pre-projection"``), and intermediate layers by number and pool, as ``"3/mean"``.
    options : str
        Keyword arguments of the architecture that differ from upstream's, as sorted JSON.
    input_size : tuple of int
        (height, width) that the encoder sees, in pixels.
    interpolation : str
        How images are resized, in upstream's word; ``"none"`` where they are not.
    crop_pct : float
        Side of the crop over the side of the resized image, in (0, 1].
    crop_mode : str
        How the crop is taken, in upstream's word.
    mean, std : tuple of float
        Subtracted from, then divided into, pixels scaled to [0, 1].
    n_features : int
        Length of one row.
    precision : str
        Of the forward pass: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
    decode : str
        The rules by which bytes became pixels.
    faces : str
        How faces were found and cut out; empty where images are taken whole.
    widths : tuple of int
        How many features each part of `layer` has; empty where there is only one.

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
        """Digest of the whole identity: 32 hexadecimal digits."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=16).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, no defaults; equal specs give equal text."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {f.name: values[f.name] for f in fields(self) if values[f.name] != f.default}
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "EncoderSpec":
        """Read what `to_json` wrote.

        Raises
        ------
        RefusedFileError
            If the text is no JSON object of these fields.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            plain: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            spec = cls(**plain)
            agree = len(spec.parts) == len(spec.widths) and sum(spec.widths) == spec.n_features
            if spec.widths and not agree:
                raise ValueError(f"widths {spec.widths} of layers {spec.layer!r}")
            return spec
        except (TypeError, ValueError, AttributeError) as error:
            raise RefusedFileError(f"not an encoder's description: {error}") from error

    def differences(self, other: "EncoderSpec") -> list[str]:
        """Name every field in which `other` differs, as ``"field: ours, not theirs"``."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return [f"{name}: {a!r}, not {b!r}" for name, a, b in pairs if a != b]

    @property
    def parts(self) -> list[str]:
        """The names in `layer`; a single one may hold a comma, as an output of an ONNX file may."""
        return self.layer.split(",") if self.widths else [self.layer]

    @property
    def slices(self) -> dict[str, slice]:
        """The columns of each part of `layer`, by its name."""
        places = list(accumulate(self.widths or (self.n_features,), initial=0))
        return dict(zip(self.parts, starmap(slice, pairwise(places)), strict=True))

    def narrowed(self, layers: str) -> "EncoderSpec":
        """The spec of some of its layers: what an encoder that was asked for these has.

        Parameters
        ----------
        layers : str
            With commas: an output, a number (under every pool that is there), or ``3/mean``.
            ``last`` is the output under any name. Where there is one part, it is kept as it is.

        Raises
        ------
        UnknownNameError
            If there is no such layer.
        """
        parts = self.parts
        if len(parts) == 1:
            return self
        kept = set()
        for wanted in (text.strip() for text in layers.split(",")):
            found = [
                part
                for part in parts
                if wanted in (part, part.partition("/")[0], "all")
                or (wanted == "last" and "/" not in part)
            ]
            if not found:
                raise unknown_name("layer", wanted, parts)
            kept.update(found)
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
        """Whether these are layers of the other: the same encoder in all else."""
        return set(self.parts) <= set(other.parts) and other.narrowed(self.layer) == self

    @property
    def title(self) -> str:
        """How a table names it: the name, the size, and whatever is not the default."""
        parts = [self.name, *([f"{self.input_size[0]}px"] if any(self.input_size) else [])]
        if self.layer not in ("last", "projection"):
            few = len(self.slices) <= 3
            parts.append(self.layer if few else f"{len(self.slices)} slices of layers")
        if self.crop_mode in ("none", "tiles"):
            parts.append("native" if self.crop_mode == "none" else self.crop_mode)
        if self.faces:
            parts.append(f"faces({self.faces.partition(' ')[0]})")
        if self.precision != "fp32":
            parts.append(self.precision)
        if self.untrained:
            parts.append("UNTRAINED")
        return " ".join(parts)

    @property
    def dtype(self) -> str:
        """How features are stored: float32, or float16 where the forward pass was no finer."""
        return "float32" if self.precision == "fp32" else "float16"

    def warn_if_untrained(self, where: object) -> None:
        """Say that features of random weights mean nothing, wherever they turn up."""
        if self.untrained:
            warnings.warn(
                f"{where} is of {self.name} with RANDOM weights (--untrained): good for trying "
                "things out, meaningless for quality",
                ClipfeatWarning,
                stacklevel=3,
            )


def titles(specs: Sequence[EncoderSpec]) -> list[str]:
    """Titles that tell the specs apart: with a piece of the fingerprint where two are alike."""
    plain = [spec.title for spec in specs]
    return [
        f"{title} #{spec.fingerprint[:6]}" if plain.count(title) > 1 else title
        for title, spec in zip(plain, specs, strict=True)
    ]


def check_same(expected: Sequence[EncoderSpec], got: Sequence[EncoderSpec]) -> None:
    """Refuse features of other encoders than a model was fitted on.

    Raises
    ------
    FingerprintError
        Naming every field that differs.
    """
    if len(got) != len(expected):
        ours, theirs = (" + ".join(titles(some)) or "no encoder" for some in (expected, got))
        raise FingerprintError(
            f"the model takes features of {ours}, got {theirs}: give one feature file of each"
        )
    for a, b in zip(expected, got, strict=True):
        if a != b:
            raise FingerprintError(
                "these are features of another encoder than the model was fitted on: "
                + "; ".join(a.differences(b))
            )
