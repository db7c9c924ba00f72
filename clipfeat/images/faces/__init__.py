"""The faces of an image: found, and cut out with a margin.

A new detector is one file with a ``make(weights)`` and one row of `DETECTORS`.
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
        How it is asked for.
    make : str
        ``"module:function"``, from the bytes of its weights to a `Detector`.
    version : int
        To be raised where the same image may give other faces than before.
    needs_weights : bool
        Whether a file of weights must be given.
    summary : str
        What it is, in one line.
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
                 "OpenCV's YuNet from a file: faces of any pose, landmarks; extra [faces]"),
)  # fmt: skip
"""Where none is named: the first row that takes weights if a file is given, else one without."""

NO_FACE = ("skip", "keep")


def open_finder(
    mode: str,
    margin: float = 0.3,
    weights: str | None = None,
    without: str = "skip",
    detector: str | None = None,
) -> FaceFinder:
    """Make what turns an image into the crops of its faces.

    Parameters
    ----------
    mode : {"crop", "largest", "all"}
        One crop that holds every face; that of the largest face; or one for each face, the
        largest first.
    margin : float
        Added on every side of a face, as a share of the face's own size; at least 0.
    weights : str, optional
        A detector's file of weights, such as ``face_detection_yunet_2023mar.onnx``.
    without : {"skip", "keep"}
        Whether an image without a face is an error, or is taken whole.
    detector : str, optional
        A name of `DETECTORS`.

    Raises
    ------
    UsageError
        If any of these cannot be.
    WeightsError
        If `weights` is missing, or is no file of weights of the detector.
    MissingExtraError
        If the detector's library is not installed.
    """
    if mode not in MODES:
        raise unknown_name("way to take faces", mode, MODES)
    if without not in NO_FACE:
        raise unknown_name("answer to an image without a face", without, NO_FACE)
    if not (math.isfinite(margin) and margin >= 0):
        raise UsageError(f"the margin around a face is a share of its size, 0 or more: {margin!r}")
    kind = _kind(detector, weights)
    data = b"" if weights is None else _read(weights)
    words = [mode, f"margin={float(margin) + 0.0!r}", f"{kind.name}:{kind.version}"]
    if data:
        words[-1] += ":" + hashlib.blake2b(data, digest_size=16).hexdigest()
    if without == "keep":
        words.append("or-whole")
    try:
        detector_of_thread(kind.make, data)
    except WeightsError as error:
        raise WeightsError(f"{weights}: {error}") from error
    return FaceFinder(mode, margin, without == "keep", kind.make, " ".join(words), data)


def finder_of(identity: str, weights: str | None = None) -> FaceFinder:
    """Make the finder of an `identity` again.

    Raises
    ------
    UsageError
        If this clipfeat has none such.
    WeightsError
        If its detector needs weights, and `weights` is not that file.
    """
    try:
        mode, margin, detector, *keep = identity.split(" ")
        kind = next(row for row in DETECTORS if row.name == detector.split(":")[0])
        share = float(margin.removeprefix("margin="))
    except (ValueError, StopIteration) as error:
        raise UsageError(f"this clipfeat finds no faces by {identity!r}") from error
    if kind.needs_weights and weights is None:
        raise WeightsError(f"faces were found by {kind.name}: give its weights by --face-weights")
    without = "keep" if keep else "skip"
    found = open_finder(mode, share, weights if kind.needs_weights else None, without, kind.name)
    if found.identity != identity:
        raise WeightsError(
            f"faces were found by {identity!r}, this is {found.identity!r}: give --face-weights "
            "the same file"
        )
    return found


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
