"""What makes features what they are: the identity of an encoder, and its fingerprint.

Two rows of features may be compared, or given to the same classifier, only where everything here
agrees. What may differ without changing the features (device, library versions, where the weights
were found, seconds) is provenance; it is recorded elsewhere and never compared.
"""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from clipfeat.errors import ClipfeatWarning, FingerprintError, RefusedFileError


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
        The output that is taken: ``"last"``; for CLIP ``"projection"`` or ``"pre-projection"``.
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

    @property
    def fingerprint(self) -> str:
        """Digest of the whole identity: 32 hexadecimal digits."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=16).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; equal specs give equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "EncoderSpec":
        """Read what `to_json` wrote.

        Raises
        ------
        RefusedFileError
            If the text is no JSON object of exactly these fields.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            plain: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**plain)
        except (TypeError, ValueError, AttributeError) as error:
            raise RefusedFileError(f"not an encoder's description: {error}") from error

    def differences(self, other: "EncoderSpec") -> list[str]:
        """Name every field in which `other` differs, as ``"field: ours, not theirs"``."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return [f"{name}: {a!r}, not {b!r}" for name, a, b in pairs if a != b]

    @property
    def title(self) -> str:
        """How a table names it: the name, the size, and whatever is not the default."""
        parts = [self.name, *([f"{self.input_size[0]}px"] if any(self.input_size) else [])]
        if self.layer == "pre-projection":
            parts.append(self.layer)
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
