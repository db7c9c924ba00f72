"""Find the faces in an image and crop them."""

import threading
from dataclasses import dataclass, field
from importlib import import_module
from math import isfinite

from clipfeat.errors import NoFaceError
from clipfeat.images.decode import RGB
from clipfeat.images.faces.crops import MODES
from clipfeat.images.faces.face import Detector, Face

_THREAD = threading.local()


@dataclass(frozen=True)
class FaceFinder:
    """A function from an image to the crops of its faces.

    Use `clipfeat.images.faces.open_finder` to create a finder. Threads may share a finder. A
    detector may hold state, so each thread makes its own detector. A pickled finder contains the
    weights.

    Parameters
    ----------
    mode : str
        A key of `MODES`.
    margin : float
        Margin on each side of a face, as a share of the face's size.
    keep : bool
        Whether to keep the whole image if it has no face.
    make : str
        ``"module:function"`` of the function that makes the detector.
    identity : str
        All settings that affect the pixels, such as ``"largest margin=0.3 lbp:1"``. It is part of
        the features' fingerprint.
    weights : bytes
        The detector's weights. Empty if it has none.
    is_default : bool
        Whether the detector was chosen by default. A run that resumes a feature file then keeps
        the detector of the file.
    """

    mode: str
    margin: float
    keep: bool
    make: str
    identity: str
    weights: bytes = field(default=b"", repr=False)
    is_default: bool = False

    def __call__(self, pixels: RGB) -> list[RGB]:
        """Crop the faces of an image.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, 3), uint8
            The image.

        Returns
        -------
        list of ndarray of shape (height, width, 3), uint8
            At least one crop. Each is a copy. If there is no face and `keep` is true, the only item
            is `pixels` itself.

        Raises
        ------
        NoFaceError
            If there is no face and `keep` is false.
        """
        detect = detector_of_thread(self.make, self.weights)
        height, width = pixels.shape[:2]
        faces = [face for face in detect(pixels) if _is_inside(face, width, height)]
        if faces:
            faces.sort(key=lambda face: (-face.width * face.height, face.left, face.top))
            return MODES[self.mode](pixels, faces, self.margin)
        if self.keep:
            return [pixels]
        raise NoFaceError("no face was found. Pass --no-face keep to encode such images as a whole")


def detector_of_thread(make: str, weights: bytes) -> Detector:
    """Return the detector of this thread. The thread's first call creates it."""
    detectors: dict[tuple[str, bytes], Detector] = _THREAD.__dict__.setdefault("detectors", {})
    if (make, weights) not in detectors:
        module, _, function = make.partition(":")
        detectors[make, weights] = getattr(import_module(module), function)(weights)
    return detectors[make, weights]


def _is_inside(face: Face, width: int, height: int) -> bool:
    """Return whether a face is valid, is not empty, and has its centre in the image."""
    x, y = face.left + face.width / 2, face.top + face.height / 2
    points = ((x, y), *(face.eyes or ()), *(face.landmarks or ()))
    return (
        all(isfinite(coordinate) for point in points for coordinate in point)
        and 0 <= x <= width
        and 0 <= y <= height
        and face.width > 0
        and face.height > 0
    )
