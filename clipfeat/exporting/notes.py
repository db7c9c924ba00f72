"""Notes on an exported model: its classes, and the preprocessing that its input needs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import UsageError
from clipfeat.features.classes import positive_class
from clipfeat.model import Model
from clipfeat.model.model_file import library_versions
from clipfeat.spec import EncoderSpec

FORMAT = "clipfeat-onnx-1"
MARGIN = 1e-5
"""Largest shift of a limit by `describe`, which tolerates the rounding errors of a graph."""
TIE = 1e-6
"""Probabilities with at most this difference are equal, and the first class is predicted."""
SHORTER = ("center", "shortest")
BOTH = ("squash",)
REFUSED = {
    "none": "--crop none takes images of any size without resizing them",
    "tiles": "--crop tiles averages a varying number of tiles",
}


@dataclass(frozen=True)
class InputNotes:
    """The preprocessing of one input of an exported model.

    Parameters
    ----------
    name : str
        Name of the input. It takes uint8 pixels (batch, 3, height, width) in RGB.
    spec : EncoderSpec
        The encoder of the input.
    """

    name: str
    spec: EncoderSpec

    @property
    def resized(self) -> tuple[int, ...]:
        """Size to which images are resized before the crop.

        One number is the length of the shorter side, and the aspect ratio is kept. Two numbers are
        the height and the width. An empty tuple means that no size describes the resizing, which
        only the encoder's library defines.
        """
        spec = self.spec
        sides = tuple(math.floor(side / spec.crop_pct) for side in spec.input_size)
        if spec.crop_mode in SHORTER and sides[0] == sides[1]:
            return sides[:1]
        return sides if spec.crop_mode in BOTH else ()

    def to_json(self) -> dict[str, Any]:
        """Return the notes as a JSON object."""
        spec = self.spec
        return {
            "name": self.name,
            "dtype": "uint8",
            "layout": "NCHW",
            "channels": "RGB",
            "size": list(spec.input_size),
            "resize": list(self.resized),
            "interpolation": spec.interpolation,
            "antialias": True,
            "crop": spec.crop_mode,
            "crop_pct": spec.crop_pct,
            "normalised_in_the_graph": True,
            "mean": list(spec.mean),
            "std": list(spec.std),
            "encoder": spec.name,
            "layers": spec.layer,
            "fingerprint": spec.fingerprint,
            "decode": spec.decode,
        }


def input_notes(specs: Sequence[EncoderSpec]) -> list[InputNotes]:
    """Name the input of each encoder.

    Raises
    ------
    UsageError
        If an encoder needs preprocessing or a precision that a graph does not have. The message
        names the option, if there is one.
    """
    for spec in specs:
        reason = REFUSED.get(spec.crop_mode, "")
        remedy = "features that were embedded without this option"
        if spec.interpolation == "none" and not reason:
            reason = "it takes images of any size without resizing them"
            remedy = "features of another encoder"
        if spec.faces:
            reason = "--faces needs a face detector"
        if spec.is_scaled:
            reason = "--decode scaled reduces JPEG files while they are decoded"
        if spec.precision != "fp32":
            reason = f"--precision {spec.precision} rounds differently from a graph in fp32"
            remedy = "features that were embedded with --precision fp32"
        if reason:
            raise UsageError(
                f"the encoder {spec.title} cannot be exported to ONNX, because {reason}. Fit the "
                f"model on {remedy}"
            )
    names = ["pixels"] if len(specs) == 1 else [f"pixels_{i}" for i in range(len(specs))]
    return [InputNotes(name, spec) for name, spec in zip(names, specs, strict=True)]


def describe(model: Model, inputs: Sequence[InputNotes]) -> dict[str, Any]:
    """Describe an exported model as a JSON object.

    Parameters
    ----------
    model : Model
        The model.
    inputs : sequence of InputNotes
        The inputs, in the order of the model's encoders.

    Returns
    -------
    dict
        ``threshold`` is the decision threshold on the probability of the last of two classes, or
        null. ``smallest`` lists, for each class, the smallest probability that puts the class in
        the prediction set. It is null if the model does not abstain. Probabilities are often equal
        to these limits, and a graph rounds them to float32. The threshold is therefore a little
        higher and the smallest probabilities are a little lower than those of the model. See
        `verdicts`.
    """
    abstention = model.abstention if model.adaptation is None else None
    threshold = model.threshold
    if threshold is not None:
        threshold += min(MARGIN, threshold / 1000, max(0.0, 1 - threshold) / 1000)
    return {
        "format": FORMAT,
        "output": "probabilities",
        "classes": list(model.classes),
        "positive": positive_class(model.classes),
        "threshold": threshold,
        "smallest": None if abstention is None else _lowered(abstention.smallest).tolist(),
        "members": list(model.members),
        "inputs": [one.to_json() for one in inputs],
        "adapted": model.adaptation is not None,
        "libraries": library_versions(),
    }


def _lowered(smallest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower the smallest probabilities by `MARGIN`, or by 0.1 % if this is less."""
    return smallest - np.minimum(MARGIN, smallest / 1000)


def verdicts(
    description: Mapping[str, Any], probabilities: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Decide from the probabilities of a graph, by the same rule as the exported page.

    Parameters
    ----------
    description : mapping
        As returned by `describe`.
    probabilities : ndarray of shape (n_images, n_classes)
        Probabilities of the graph.

    Returns
    -------
    predicted : ndarray of shape (n_images,), int64
        Indices of the predicted classes.
    unsure : ndarray of shape (n_images,), bool
        Mask of the images whose prediction set is not exactly the predicted class.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if description["threshold"] is None:
        predicted = np.argmax(p >= p.max(axis=1, keepdims=True) - TIE, axis=1)
    else:
        predicted = (p[:, 1] > description["threshold"]).astype(np.int64)
    if description["smallest"] is None:
        return predicted, np.zeros(len(p), dtype=np.bool_)
    sets = p >= np.array(description["smallest"])
    is_other = sets != (np.arange(p.shape[1]) == predicted[:, None])
    return predicted, np.asarray(is_other.any(axis=1), dtype=np.bool_)


def metadata(description: Mapping[str, Any]) -> dict[str, str]:
    """Convert a description to the metadata of an ONNX file, which are texts by name."""
    return {f"clipfeat.{name}": json.dumps(value) for name, value in description.items()}
