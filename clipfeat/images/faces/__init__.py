"""Face detection, and crops of faces with a margin.

To add a detector, write a module with a function ``make(weights)`` and add one row to `DETECTORS`.
"""

import hashlib
import math
from dataclasses import dataclass

from clipfeat.errors import ReadError, UsageError, WeightsError, unknown_name
from clipfeat.images.faces.crops import MODES
from clipfeat.images.faces.finder import FaceFinder, detector_of_thread
from clipfeat.images.readers import whole_file


@dataclass(frozen=True)
class DetectorKind:
    """A kind of face detector.

    Parameters
    ----------
    name : str
        Name of the detector.
    make : str
        ``"module:function"`` of the function that takes the bytes of the weights and returns a
        `Detector`.
    version : int
        Version of the detector. Increase it with every change that may change the detected faces.
    needs_weights : bool
        Whether the detector needs a file of weights.
    summary : str
        Description in one line.
    """

    name: str
    make: str
    version: int
    needs_weights: bool
    summary: str


DETECTORS = (
    DetectorKind("lbp", "clipfeat.images.faces.lbp:make", 1, False,
                 "scikit-image's cascade: upright frontal faces, no landmarks"),
    DetectorKind("yunet", "clipfeat.images.faces.yunet:make", 1, True,
                 "OpenCV's YuNet: faces of any pose, with landmarks (needs its file and [faces])"),
)  # fmt: skip
"""The face detectors. If a file of weights is given, the default is the first detector that needs
weights. Otherwise it is the first detector that needs none."""

NO_FACE = ("skip", "keep")


def open_finder(
    mode: str,
    margin: float = 0.3,
    weights: str | None = None,
    without: str = "skip",
    detector: str | None = None,
) -> FaceFinder:
    """Create a face finder: a function from an image to the crops of its faces.

    Parameters
    ----------
    mode : {"crop", "largest", "all"}
        ``"crop"`` makes one crop around all faces, ``"largest"`` a crop of the largest face, and
        ``"all"`` a crop of every face, the largest first.
    margin : float
        Margin on each side of a face, as a share of the face's size. At least 0.
    weights : str, optional
        Path of the detector's weights, such as ``face_detection_yunet_2023mar.onnx``.
    without : {"skip", "keep"}
        ``"skip"`` raises `NoFaceError` for an image without a face. ``"keep"`` returns the whole
        image instead.
    detector : str, optional
        Name of a detector in `DETECTORS`. None chooses the default.

    Returns
    -------
    FaceFinder
        The finder.

    Raises
    ------
    UsageError
        If an argument is invalid.
    WeightsError
        If `weights` is missing, or is not a file of this detector's weights.
    MissingExtraError
        If the detector's library is not installed.
    """
    if mode not in MODES:
        raise unknown_name("mode of faces", mode, MODES)
    if without not in NO_FACE:
        raise unknown_name("choice for images without a face", without, NO_FACE)
    if not (math.isfinite(margin) and margin >= 0):
        raise UsageError(
            "the margin around a face must be a share of its size, 0 or more, got "
            f"{margin!r}. Pass for example 0.3"
        )
    kind = _kind(detector, weights)
    data = b"" if weights is None else _read(weights)
    parts = [mode, f"margin={float(margin) + 0.0!r}", f"{kind.name}:{kind.version}"]
    if data:
        parts[-1] += ":" + hashlib.blake2b(data, digest_size=16).hexdigest()
    if without == "keep":
        parts.append("or-whole")
    try:
        detector_of_thread(kind.make, data)
    except WeightsError as error:
        raise WeightsError(f"{weights}: {error}") from error
    return FaceFinder(mode, margin, without == "keep", kind.make, " ".join(parts), data)


def finder_of(identity: str, weights: str | None = None) -> FaceFinder:
    """Create the face finder with a given identity.

    Parameters
    ----------
    identity : str
        The attribute ``identity`` of a `FaceFinder`.
    weights : str, optional
        Path of the detector's weights.

    Returns
    -------
    FaceFinder
        The finder.

    Raises
    ------
    UsageError
        If this version of clipfeat has no such finder.
    WeightsError
        If the detector needs weights, and `weights` is missing or is not the file that `identity`
        names.
    """
    try:
        mode, margin, detector, *keep = identity.split(" ")
        kind = next(row for row in DETECTORS if row.name == detector.split(":")[0])
        share = float(margin.removeprefix("margin="))
    except (ValueError, StopIteration) as error:
        raise UsageError(
            f"this version of clipfeat has no face finder {identity!r}. Update clipfeat"
        ) from error
    if kind.needs_weights and weights is None:
        raise WeightsError(
            f"the faces were detected with {kind.name}, which needs a file of weights. Pass the "
            "file with --face-weights"
        )
    without = "keep" if keep else "skip"
    finder = open_finder(mode, share, weights if kind.needs_weights else None, without, kind.name)
    if finder.identity != identity:
        remedy = (
            "Pass the file of weights that was used then with --face-weights"
            if kind.needs_weights
            else "Install the version of clipfeat that was used then"
        )
        raise WeightsError(
            f"the faces were detected with {identity!r}, but the face finder is now "
            f"{finder.identity!r}. {remedy}"
        )
    return finder


def _kind(name: str | None, weights: str | None) -> DetectorKind:
    if name is None:
        return next(kind for kind in DETECTORS if kind.needs_weights == (weights is not None))
    for kind in DETECTORS:
        if kind.name == name:
            if kind.needs_weights == (weights is not None):
                return kind
            raise UsageError(
                f"the face detector {name} needs a file of weights. Pass it with --face-weights"
                if kind.needs_weights
                else f"the face detector {name} takes no weights. Leave out --face-weights"
            )
    raise unknown_name("face detector", name, [kind.name for kind in DETECTORS])


def _read(weights: str) -> bytes:
    try:
        return whole_file(weights).read()
    except ReadError as error:
        raise WeightsError(
            f"the face detector's weights {weights}: {error}. Check the path in --face-weights"
        ) from error
