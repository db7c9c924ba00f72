"""From an image to the crops of its faces."""

import threading
from dataclasses import dataclass, field
from importlib import import_module
from math import isfinite

from clipfeat.errors import NoFaceError
from clipfeat.images.decode import RGB
from clipfeat.images.faces.crops import MODES
from clipfeat.images.faces.face import Detector, Face

_OF_THREAD = threading.local()


@dataclass(frozen=True)
class FaceFinder:
    """An image's faces as images of their own; made by `clipfeat.images.faces.open_finder`.

    Threads may share one: a detector, which may hold state, is made once in each thread. It
    pickles, the weights with it.

    Parameters
    ----------
    mode : str
        A name of `MODES`.
    margin : float
        Added on every side of a face, as a share of its size.
    keep : bool
        Whether an image without a face is taken whole.
    make : str
        ``"module:function"`` that makes the detector.
    identity : str
        All that decides on the pixels, such as ``"largest margin=0.3 lbp:1"``: a part of the
        fingerprint of the features made from them.
    weights : bytes
        Of the detector; empty where it has none.
    """

    mode: str
    margin: float
    keep: bool
    make: str
    identity: str
    weights: bytes = field(default=b"", repr=False)

    def __call__(self, pixels: RGB) -> list[RGB]:
        """Cut out the faces.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, 3), uint8

        Returns
        -------
        list of ndarray, uint8
            At least one, each a copy; with `keep`, `pixels` itself where there is no face.

        Raises
        ------
        NoFaceError
            If there is no face, and not `keep`.
        """
        detect = detector_of_thread(self.make, self.weights)
        height, width = pixels.shape[:2]
        faces = [face for face in detect(pixels) if _inside(face, width, height)]
        if faces:
            faces.sort(key=lambda face: (-face.width * face.height, face.left, face.top))
            return MODES[self.mode](pixels, faces, self.margin)
        if self.keep:
            return [pixels]
        raise NoFaceError("no face found; --no-face keep takes such images whole")


def detector_of_thread(make: str, weights: bytes) -> Detector:
    """The detector of this thread, made at the first time."""
    made: dict[tuple[str, bytes], Detector] = _OF_THREAD.__dict__.setdefault("made", {})
    if (make, weights) not in made:
        module, _, function = make.partition(":")
        made[make, weights] = getattr(import_module(module), function)(weights)
    return made[make, weights]


def _inside(face: Face, width: int, height: int) -> bool:
    """Whether a network's numbers are those of a face in an image of that size."""
    x, y = face.left + face.width / 2, face.top + face.height / 2
    return (
        all(map(isfinite, (x, y, *(c for eye in face.eyes or () for c in eye))))
        and 0 <= x <= width
        and 0 <= y <= height
        and face.width > 0
        and face.height > 0
    )
