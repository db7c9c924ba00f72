"""Faces of any pose with five landmarks, detected by YuNet in OpenCV (the extra ``[faces]``).

The network (Wu et al. 2023, doi 10.1007/s11633-023-1423-y) is not included. OpenCV's model zoo
offers it as ``face_detection_yunet_2023mar.onnx``.
"""

import atexit
import json
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from clipfeat.errors import DecodeError, WeightsError, missing_extra
from clipfeat.images.decode import RGB
from clipfeat.images.faces.face import Detector, Face
from clipfeat.images.faces.yunet_process import REQUEST
from clipfeat.images.isolated import IsolatedDecoder, Isolation

SIDE = 320
"""Length in pixels to which the longer side is resized. YuNet detects faces of 10 to 300 pixels."""
MAX_BYTES = 2**21
"""Maximum size of the network. YuNet has 0.2 MB.

A network that contains ``location`` is also refused, because OpenCV opens the files named there."""
ISOLATION = Isolation(
    "clipfeat.images.faces.yunet_process:detect", seconds=10, wall_seconds=120, memory=2**31
)
"""Limits of OpenCV for one image."""


def make(weights: bytes) -> Detector:
    """Check the bytes of the network's ONNX file, and return a detector.

    OpenCV runs in child processes, because the file may be malicious.

    Raises
    ------
    MissingExtraError
        If OpenCV is not installed.
    WeightsError
        If OpenCV cannot load the bytes, or if they contain a different network.
    """
    if find_spec("cv2") is None:
        raise missing_extra("face detection with YuNet", "OpenCV", "faces")
    if len(weights) > MAX_BYTES or b"location" in weights:
        raise WeightsError(
            f"the file does not contain YuNet: it is larger than {MAX_BYTES} bytes, or it refers "
            "to other files. Pass face_detection_yunet_2023mar.onnx"
        )
    try:
        _rows(weights, np.zeros((SIDE, SIDE, 3), np.uint8))  # a different network fails
    except DecodeError as error:
        raise WeightsError(
            f"the file does not contain YuNet ({error}). Pass face_detection_yunet_2023mar.onnx"
        ) from error

    def detect(pixels: RGB) -> list[Face]:
        height, width = pixels.shape[:2]
        scale = SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        try:
            rows = _rows(weights, small[:, :, ::-1])
        except DecodeError as error:
            raise DecodeError(f"the face detector failed on the image: {error}") from error
        return to_faces(rows, width / size[0], height / size[1])

    return detect


@cache
def _isolated() -> IsolatedDecoder:
    """Return the decoder that all detectors share. Its child processes end with this process."""
    decoder = IsolatedDecoder(ISOLATION)
    atexit.register(decoder.__exit__, None, None, None)
    return decoder


def _rows(weights: bytes, pixels: RGB) -> Any:
    """Detect faces in pixels in the order blue, green, red. Return the argument of `to_faces`."""
    head = REQUEST.pack(len(weights), *pixels.shape[:2])
    data = b"".join((head, weights, np.ascontiguousarray(pixels).data))
    with _isolated().decoded(data) as decoded:
        return np.array(json.loads(decoded.format), dtype=float).reshape(-1, 15)


def to_faces(rows: Any, x_scale: float, y_scale: float) -> list[Face]:
    """Convert the result of `FaceDetectorYN.detect` to faces.

    Parameters
    ----------
    rows : ndarray of shape (n, 15)
        Columns: left, top, width and height of the box; x and y of the right eye (on the viewer's
        left), the left eye, the tip of the nose and the corners of the mouth; the score.
    x_scale, y_scale : float
        Number of pixels of the image for each pixel of the network's input.

    Returns
    -------
    list of Face
        The faces, in pixels of the image.
    """
    faces = []
    for x, y, width, height, *points in np.asarray(rows, dtype=float)[:, :14].tolist():
        pairs = zip(points[::2], points[1::2], strict=True)
        first, second, *others = [(a * x_scale, b * y_scale) for a, b in pairs]
        box = (x * x_scale, y * y_scale, width * x_scale, height * y_scale)
        faces.append(Face(*box, (first, second), (first, second, *others)))
    return faces
