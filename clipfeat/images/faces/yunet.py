"""Faces of any pose with five landmarks, detected by YuNet in OpenCV (the extra ``[faces]``).

The network (Wu et al. 2023, doi 10.1007/s11633-023-1423-y) is not included. OpenCV's model zoo
offers it as ``face_detection_yunet_2023mar.onnx``.
"""

from typing import Any

import numpy as np
from PIL import Image

from clipfeat.errors import DecodeError, WeightsError, missing_extra
from clipfeat.images.decode import RGB
from clipfeat.images.faces.face import Detector, Face

SIDE = 320
"""Length in pixels to which the longer side is resized. YuNet detects faces of 10 to 300 pixels."""
MAX_BYTES = 2**21
"""Maximum size of the network. OpenCV opens the files that an ONNX file names in ``location``, and
YuNet, which has 0.2 MB, names none."""
SCORE_THRESHOLD, NMS_THRESHOLD, TOP_K = 0.7, 0.3, 5000


def make(weights: bytes) -> Detector:
    """Load the network from the bytes of its ONNX file.

    Raises
    ------
    MissingExtraError
        If OpenCV is not installed.
    WeightsError
        If OpenCV cannot load the bytes, or if they contain a different network.
    """
    try:
        import cv2
    except ImportError as error:
        raise missing_extra("face detection with YuNet", "OpenCV", "faces") from error
    if len(weights) > MAX_BYTES or b"location" in weights:
        raise WeightsError(
            f"the file does not contain YuNet, because it has more than {MAX_BYTES} bytes or names "
            "other files. Pass face_detection_yunet_2023mar.onnx"
        )
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        network = cv2.FaceDetectorYN.create(
            "onnx", np.frombuffer(weights, np.uint8), np.empty(0, np.uint8),
            (SIDE, SIDE), SCORE_THRESHOLD, NMS_THRESHOLD, TOP_K,
        )  # fmt: skip
        network.detect(np.zeros((SIDE, SIDE, 3), np.uint8))  # a different network fails only here
    except (cv2.error, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"the file does not contain YuNet ({reason}). Pass face_detection_yunet_2023mar.onnx"
        ) from error
    finally:
        cv2.utils.logging.setLogLevel(level)

    def detect(pixels: RGB) -> list[Face]:
        height, width = pixels.shape[:2]
        scale = SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        try:
            network.setInputSize(size)
            _, rows = network.detect(np.ascontiguousarray(small[:, :, ::-1]))
        except cv2.error as error:
            raise DecodeError(f"the face detector failed on the image: {error}") from error
        return to_faces(rows, width / size[0], height / size[1])

    return detect


def to_faces(rows: Any, x_scale: float, y_scale: float) -> list[Face]:
    """Convert the result of `FaceDetectorYN.detect` to faces.

    Parameters
    ----------
    rows : ndarray of shape (n, 15), or None
        Columns: left, top, width and height of the box; x and y of the right eye (on the viewer's
        left), the left eye, the tip of the nose and the corners of the mouth; the score.
    x_scale, y_scale : float
        Number of pixels of the image for each pixel of the network's input.

    Returns
    -------
    list of Face
        The faces, in pixels of the image.
    """
    if rows is None:
        return []
    faces = []
    for x, y, width, height, *points in np.asarray(rows, dtype=float)[:, :14].tolist():
        pairs = zip(points[::2], points[1::2], strict=True)
        first, second, *others = [(a * x_scale, b * y_scale) for a, b in pairs]
        box = (x * x_scale, y * y_scale, width * x_scale, height * y_scale)
        faces.append(Face(*box, (first, second), (first, second, *others)))
    return faces
