"""Tests of contact sheets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from clipfeat import contact_sheet, image_source
from clipfeat.errors import UsageError
from clipfeat.images.source_options import SourceOptions
from clipfeat.images.video.frames import FrameSampling
from clipfeat.prediction.contact_sheet import BORDER, GAP, LINE, RIGHT, SIDE, UNKNOWN, WRONG
from clipfeat.prediction.predictions import Predictions
from tests.images.test_video import write

COLOURS = ("#804020", "#208040", "#204080")


def predictions(paths: list[str], labels: list[str]) -> Predictions:
    p = np.tile([0.9, 0.1], (len(paths), 1))
    return Predictions(paths, p, ("cat", "dog"), labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write an image of each colour."""
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (200, 100), colour).save(tmp_path / f"{number}.png")
    return tmp_path


def at(sheet: Image.Image, place: int, x: int, y: int) -> tuple[int, ...]:
    """Return the colour of a point of one image in a sheet of one row."""
    return sheet.getpixel((GAP + place * (SIDE + GAP) + x, GAP + y))  # type: ignore[return-value]


def test_each_image_has_its_border(folder: Path) -> None:
    """Each image is centred in a border that shows whether the prediction is right."""
    made = predictions(["0.png", "1.png", "2.png"], ["cat", "dog", ""])
    sheet = contact_sheet(made, folder)
    assert sheet.size == (3 * (SIDE + GAP) + GAP, SIDE + 2 * LINE + 2 * GAP)
    for place, border in enumerate((RIGHT, WRONG, UNKNOWN)):
        assert at(sheet, place, 1, 1) == ImageColor.getrgb(border)
        assert at(sheet, place, SIDE // 2, SIDE // 2) == ImageColor.getrgb(COLOURS[place])
        assert at(sheet, place, SIDE // 2, BORDER + 2) == (255, 255, 255)  # a wide image


def test_captions_name_the_classes(folder: Path) -> None:
    """The first caption line is always present. The second one appears only for mistakes."""
    sheet = contact_sheet(predictions(["0.png", "1.png"], ["cat", "dog"]), folder)
    dark = np.asarray(sheet.convert("L")) < 128
    lines = [
        [dark[GAP + SIDE + n * LINE :][:LINE, GAP + i * (SIDE + GAP) :][:, :SIDE].any()
         for n in range(2)]
        for i in range(2)
    ]  # fmt: skip
    assert lines == [[True, False], [True, True]]


def test_evenly_spaced_images_are_drawn(folder: Path) -> None:
    """If the sheet has too few places, images are chosen evenly from the readable ones."""
    made = predictions(["0.png", "no.png", "1.png", "2.png"], [""] * 4)
    p = made.probabilities.copy()
    p[1] = np.nan
    sheet = contact_sheet(replace(made, probabilities=p), folder, n_images=2, n_columns=1)
    assert sheet.size[0] == SIDE + 2 * GAP
    middles = [sheet.getpixel((GAP + SIDE // 2, GAP + i * (SIDE + 2 * LINE + GAP) + SIDE // 2))
               for i in range(2)]  # fmt: skip
    assert middles == [ImageColor.getrgb(COLOURS[0]), ImageColor.getrgb(COLOURS[2])]


def test_a_video_has_its_middle_frame(tmp_path: Path) -> None:
    """A video is represented by its middle frame."""
    write(tmp_path / "a.mp4", 30)
    inputs = SourceOptions(frames=FrameSampling(frames=3))
    whole = contact_sheet(predictions(["a.mp4"], [""]), tmp_path, inputs=inputs)
    frame = contact_sheet(predictions(["a.mp4@0001.500s"], [""]), tmp_path, inputs=inputs)
    assert at(whole, 0, SIDE // 2, SIDE // 2) == at(frame, 0, SIDE // 2, SIDE // 2)
    assert abs(at(whole, 0, SIDE // 2, SIDE // 2)[0] - 15 * 8) <= 8


def test_images_in_memory_are_drawn() -> None:
    """Images in arrays are drawn like images in a folder."""
    source = image_source(np.full((2, 8, 8, 3), 77, dtype=np.uint8))
    sheet = contact_sheet(predictions([one.path for one in source], ["", ""]), source)
    assert at(sheet, 1, SIDE // 2, SIDE // 2) == (77, 77, 77)


def test_missing_images_are_an_error(folder: Path) -> None:
    """If the source lacks an image, the error names a missing path."""
    with pytest.raises(UsageError, match=r"1 of 2 images are not in the source, such as 'x\.png'"):
        contact_sheet(predictions(["0.png", "x.png"], ["", ""]), folder)
    with pytest.raises(UsageError, match="got 0 images"):
        contact_sheet(predictions(["0.png"], [""]), folder, n_images=0)
