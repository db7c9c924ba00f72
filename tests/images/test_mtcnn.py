"""Tests of MTCNN: geometry computed by hand, and detected faces and landmarks."""

import hashlib

import numpy as np
import pytest
import skimage.data
from numpy.testing import assert_allclose
from PIL import Image

from clipfeat.errors import WeightsError
from clipfeat.images.decode import RGB
from clipfeat.images.faces import open_finder
from clipfeat.images.faces.crops import TEMPLATE
from clipfeat.images.faces.mtcnn import (
    find_weights,
    join_networks,
    make,
    move,
    pyramid,
    split_networks,
    suppress,
    to_squares,
    windows,
)

BOXES = np.array([[0.0, 0, 10, 10], [0, 0, 10, 5], [5, 0, 15, 10], [20, 20, 30, 30]])


def weights() -> bytes:
    data = find_weights()
    assert data is not None
    return data


def test_overlapping_boxes_are_suppressed() -> None:
    """Boxes are suppressed by their overlap with the first: 1/2, 1/3 and 0."""
    scores = np.array([0.9, 0.8, 0.7, 0.95])
    assert suppress(BOXES, scores, 0.5).tolist() == [3, 0, 1, 2]
    assert suppress(BOXES, scores, 0.49).tolist() == [3, 0, 2]
    assert suppress(BOXES, scores, 0.33).tolist() == [3, 0]
    assert suppress(BOXES, scores, 0.5, of_smaller=True).tolist() == [3, 0, 2]
    assert suppress(BOXES[:2].repeat(2, axis=0), np.ones(4), 0.9).tolist() == [0, 2]
    assert suppress(np.empty((0, 4)), np.empty(0), 0.5).tolist() == []


def test_boxes_are_moved_and_squared() -> None:
    """Offsets are shares of width and height. Squares keep the centre and the longer side."""
    moved = move(np.array([[10.0, 20, 30, 60]]), np.array([[0.1, -0.1, 0.5, 0.25]]))
    assert_allclose(moved, [[12, 16, 40, 70]])
    assert_allclose(to_squares(moved), [[-1, 16, 53, 70]])


def test_windows_are_scaled_to_the_image() -> None:
    """The window in row 1, column 3 starts 6 pixels right and 2 down, and is 12 wide."""
    scores, moves = np.zeros((4, 5)), np.zeros((4, 5, 4))
    scores[1, 3], moves[1, 3] = 0.61, (1, 2, 3, 4)
    scores[0, 0] = 0.59
    boxes, shifts, kept = windows(scores, moves, (2.0, 3.0))
    assert boxes.tolist() == [[12, 6, 36, 42]]
    assert (shifts.tolist(), kept.tolist()) == ([[1, 2, 3, 4]], [[0.61]])


def test_the_pyramid_ends_at_the_size_of_a_window() -> None:
    """The first level scales 20 pixels to 12, and each level halves the pixels."""
    assert pyramid(40, 60) == [(24, 36), (17, 26), (12, 18)]
    assert pyramid(19, 480) == []


def test_the_eyes_of_the_astronaut() -> None:
    """At every size, the eyes are at the positions measured in the photograph."""
    detect = make(weights())
    for scale in (0.5, 1, 3):
        pixels: RGB = np.asarray(
            Image.fromarray(skimage.data.astronaut()).resize((round(512 * scale),) * 2)
        )
        (face,) = detect(pixels)
        assert face.eyes is not None
        assert_allclose(np.array(face.eyes) / scale, [(205, 102), (248, 104)], atol=5)


def test_the_astronaut_is_aligned() -> None:
    """The eyes of an aligned crop are at the height and the distance of the template."""
    turned = np.asarray(Image.fromarray(skimage.data.astronaut()).rotate(15, center=(225, 110)))
    (cropped,) = open_finder("aligned")(turned)
    (face,) = make(weights())(cropped)
    assert face.eyes is not None
    unit = cropped.shape[0] / (1.6 * 112)
    expected = (np.array(TEMPLATE[:2]) + 0.3 * 112) * unit
    assert_allclose(face.eyes, expected, atol=6 * unit)


def test_lfw_faces() -> None:
    """A face is found in at least 19 of 20 face crops, and in none of 20 other crops."""
    crops = (skimage.data.lfw_subset() * 255).round().astype(np.uint8)
    detect = make(weights())
    has_face = [bool(detect(np.stack([crop] * 3, axis=2))) for crop in crops[::5]]
    assert sum(has_face[:20]) >= 19
    assert sum(has_face[20:]) == 0


def test_a_face_at_the_border_of_a_long_image() -> None:
    """In a thin image, a face at the border is found."""
    pixels = np.full((200, 400, 3), 90, dtype=np.uint8)
    pixels[:, :120] = skimage.data.astronaut()[20:220, 165:285]
    (face,) = make(weights())(pixels)
    assert face.left + face.width / 2 == pytest.approx(225 - 165, abs=15)


def test_a_large_image() -> None:
    """An image of 100 megapixels is resized before detection."""
    assert make(weights())(np.zeros((10000, 10000, 3), dtype=np.uint8)) == []


def test_the_identity_has_the_digest_of_the_networks() -> None:
    """The identity, and therefore the fingerprint, depends on all three files."""
    digest = hashlib.blake2b(weights(), digest_size=16).hexdigest()
    assert open_finder("all").identity == f"all margin=0.3 mtcnn:1:{digest}"


def test_invalid_networks() -> None:
    """Missing, truncated, large and linked networks are errors."""
    networks = split_networks(weights())
    assert join_networks(networks) == weights()
    wrong = [networks[:2], [b"", *networks[1:]], [networks[0][:999], *networks[1:]],
             [*networks[:2], networks[2] + bytes(2**23)], [*networks[:2], b"location"]]  # fmt: skip
    for files in wrong:
        with pytest.raises(WeightsError, match="MTCNN"):
            make(join_networks(files))
