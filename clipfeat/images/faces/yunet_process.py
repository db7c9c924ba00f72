"""YuNet in a child process of `clipfeat.images.isolated`.

The network is a file from the user. OpenCV parses and runs it in C++ code, so a malicious file may
crash the process or need any amount of memory.
"""

import json
import struct
from functools import lru_cache
from typing import Any

import numpy as np

from clipfeat.errors import DecodeError
from clipfeat.images.decode import RGB, Decoded

REQUEST = struct.Struct("<QII")
"""The number of bytes of the weights, and the height and width of the pixels. The weights follow,
and then the pixels in the order blue, green, red."""
SCORE_THRESHOLD, NMS_THRESHOLD, TOP_K = 0.7, 0.3, 5000


def detect(data: bytes, buffer: RGB) -> Decoded:
    """Detect faces. The `format` of the result is a JSON list of the rows of `FaceDetectorYN`.

    Parameters
    ----------
    data : bytes
        A `REQUEST`, the weights and the pixels.
    buffer : ndarray
        Not used, because the result has no pixels.

    Raises
    ------
    DecodeError
        If OpenCV cannot load the weights, or cannot run them on the pixels.
    """
    import cv2

    n_weights, height, width = REQUEST.unpack_from(data)
    weights = data[REQUEST.size : REQUEST.size + n_weights]
    pixels = np.frombuffer(data, np.uint8, offset=REQUEST.size + n_weights)
    try:
        network = _network(weights)
        network.setInputSize((width, height))
        _, rows = network.detect(pixels.reshape(height, width, 3))
    except (cv2.error, TypeError, ValueError) as error:
        raise DecodeError(" ".join(str(error).split())) from error
    faces = [] if rows is None else np.asarray(rows, dtype=float).tolist()
    return Decoded(np.empty((0, 0, 3), np.uint8), json.dumps(faces), (0, 0))


@lru_cache(maxsize=2)
def _network(weights: bytes) -> Any:
    import cv2

    cv2.setNumThreads(1)  # each concurrent image has its own process
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2.FaceDetectorYN.create(
        "onnx", np.frombuffer(weights, np.uint8), np.empty(0, np.uint8), (1, 1),
        SCORE_THRESHOLD, NMS_THRESHOLD, TOP_K,
    )  # fmt: skip
