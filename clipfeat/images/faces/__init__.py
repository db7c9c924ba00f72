"""Face detection, and crops of faces with a margin.

A new detector is one file with a function ``make(weights)`` and one row of `DETECTORS`.
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
        ``"module:function"`` of a function from the bytes of its weights to a `Detector`.
    version : int
        Increase it if the same image may give other faces than before.
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
                 "OpenCV's YuNet: faces of any pose, landmarks; needs its file and extra [faces]"),
)  # fmt: skip
"""The default is the first row that needs weights if a file is given, else the first without."""

NO_FACE = ("skip", "keep")


def open_finder(
    mode: str,
    margin: float = 0.3,
    weights: str | None = None,
    without: str = "skip",
    detector: str | None = None,
) -> FaceFinder:
    """Create a face finder, which maps an image to crops of its faces.

    Parameters
    ----------
    mode : {"crop", "largest", "all"}
        ``"crop"`` makes one crop around all faces, ``"largest"`` a crop of the largest face, and
        ``"all"`` a crop of every face, the largest first.
    margin : float
        Margin on each side of a face, as a share of its size; at least 0.
    weights : str, optional
        The detector's file of weights, such as ``face_detection_yunet_2023mar.onnx``.
    without : {"skip", "keep"}
        For an image without a face, ``"skip"`` raises an error and ``"keep"`` keeps the whole
        image.
    detector : str, optional
        Name of a row of `DETECTORS`.

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
            f"the margin around a face must be a share of its size, 0 or more, got {margin!r}"
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
    """Create the finder with a given `identity`.

    Parameters
    ----------
    identity : str
        The attribute of that name of a `FaceFinder`.
    weights : str, optional
        The detector's file of weights.

    Returns
    -------
    FaceFinder
        The finder.

    Raises
    ------
    UsageError
        If this version of clipfeat has no such finder.
    WeightsError
        If the detector needs weights, and `weights` is not the same file.
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
            f"faces were detected with {kind.name}. Give its weights with --face-weights"
        )
    without = "keep" if keep else "skip"
    finder = open_finder(mode, share, weights if kind.needs_weights else None, without, kind.name)
    if finder.identity != identity:
        raise WeightsError(
            f"faces were detected with {identity!r}, and this is {finder.identity!r}. Give "
            "--face-weights the same file"
        )
    return finder


def _kind(name: str | None, weights: str | None) -> DetectorKind:
    if name is None:
        return next(kind for kind in DETECTORS if kind.needs_weights == (weights is not None))
    for kind in DETECTORS:
        if kind.name == name:
            if kind.needs_weights == (weights is not None):
                return kind
            needs = "needs a file of weights" if kind.needs_weights else "takes no weights"
            raise UsageError(f"the face detector {name} {needs} (--face-weights)")
    raise unknown_name("face detector", name, [kind.name for kind in DETECTORS])


def _read(weights: str) -> bytes:
    try:
        return whole_file(weights).read()
    except ReadError as error:
        raise WeightsError(f"{weights} (--face-weights) cannot be read: {error}") from error
