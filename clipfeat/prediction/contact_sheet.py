"""Contact sheets: small copies of images with their predicted classes."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipfeat.errors import ImageError, UsageError
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.memory import ImageInput
from clipfeat.images.record import ImageRecord, record_path
from clipfeat.images.source_options import SourceOptions, open_inputs
from clipfeat.images.video.frames import FRAMES, with_frames
from clipfeat.prediction.predictions import Predictions

SIDE, LINE, GAP, BORDER = 112, 13, 6, 3
"""Sizes in pixels: of an image, a line of text, the space between images, and a border."""
PAPER, INK = "#ffffff", "#1a1c20"
RIGHT, WRONG, UNKNOWN = "#0072b2", "#d55e00", "#999999"
"""Colours of the borders after Okabe and Ito, distinguishable for colour-blind readers."""


def contact_sheet(
    predictions: Predictions,
    source: ImageInput,
    *,
    inputs: SourceOptions = SourceOptions(),
    n_images: int = 24,
    n_columns: int = 6,
) -> Image.Image:
    """Draw a grid of images with their predicted classes.

    The caption of an image is the predicted class with its probability, and the true class if it
    differs. The border is blue if the prediction is right, orange if it is wrong, and grey if the
    true class is unknown. For a video, the middle one of the sampled frames is drawn.

    Parameters
    ----------
    predictions : Predictions
        Predictions of images of the source. If there are more than `n_images`, evenly spaced ones
        are drawn. Images without a prediction are left out.
    source : path, sequence of paths, images in memory, or ImageSource
        The source of the images, as in `clipfeat.predict`.
    inputs : SourceOptions
        Options for reading the source. Only options for tables and video frames have an effect.
    n_images : int
        Maximum number of images.
    n_columns : int
        Number of images in a row.

    Returns
    -------
    PIL.Image.Image
        The sheet. Its method ``save`` writes a file.

    Raises
    ------
    UsageError
        If `n_images` or `n_columns` is below 1. If the source does not have the images of the
        predictions, or if no image has a prediction.
    """
    if n_images < 1 or n_columns < 1:
        raise UsageError(
            f"a contact sheet needs 1 image and 1 column or more, got {n_images} images and "
            f"{n_columns} columns. Pass positive numbers"
        )
    readable = np.flatnonzero(~np.isnan(predictions.probabilities[:, 0]))
    if not len(readable):
        raise UsageError("no image has a prediction. Pass predictions of readable images")
    chosen = readable[np.linspace(0, len(readable) - 1, min(n_images, len(readable))).astype(int)]
    records = _records_by_path(source, inputs)
    missing = [path for i in chosen if record_path(path := predictions.paths[i]) not in records]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(chosen)} images are not in the source, such as "
            f"{missing[0]!r}. Pass the source of the predictions"
        )
    columns = min(n_columns, len(chosen))
    rows = -(-len(chosen) // columns)
    width, height = SIDE + GAP, SIDE + 2 * LINE + GAP
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), PAPER)
    with IsolatedDecoder() as image_decoder, IsolatedDecoder(FRAMES) as frame_decoder:
        for place, i in enumerate(chosen.tolist()):
            record = records[record_path(predictions.paths[i])]
            is_frame = record.reader.content == "frame request"
            pixels = _pixels(record, frame_decoder if is_frame else image_decoder)
            down, across = divmod(place, columns)
            _draw(sheet, (across * width + GAP, down * height + GAP), pixels, predictions, i)
    return sheet


def _records_by_path(source: ImageInput, inputs: SourceOptions) -> Mapping[str, ImageRecord]:
    """Return the records of a source by path. The path of a video has its middle frame."""
    images = with_frames(open_inputs(source, inputs), inputs.frames)
    of_file: dict[str, list[ImageRecord]] = {}
    for record in images:
        of_file.setdefault(dict(record.columns).get("file", record.path), []).append(record)
    middle = {file: records[len(records) // 2] for file, records in of_file.items()}
    return middle | {record.path: record for record in images}


def _pixels(record: ImageRecord, decoder: IsolatedDecoder) -> RGB | None:
    """Decode an image and reduce it, or return None if it cannot be read."""
    try:
        with decoder.decoded(record.reader.read()) as decoded:
            image = Image.fromarray(decoded.pixels)
            image.thumbnail((SIDE - 2 * BORDER, SIDE - 2 * BORDER))
            return np.asarray(image)
    except ImageError:
        return None


def _draw(
    sheet: Image.Image, at: tuple[int, int], pixels: RGB | None, predictions: Predictions, i: int
) -> None:
    """Draw one image with its border and caption, whose top left corner is `at`."""
    left, top = at
    predicted, true = predictions.predicted[i], predictions.labels[i]
    colour = RIGHT if true == predicted else WRONG if true else UNKNOWN
    canvas = ImageDraw.Draw(sheet)
    canvas.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), PAPER, colour, BORDER)
    if pixels is not None:
        height, width = pixels.shape[:2]
        corner = (left + (SIDE - width) // 2, top + (SIDE - height) // 2)
        sheet.paste(Image.fromarray(pixels), corner)
    p = predictions.probabilities[i, predictions.classes.index(predicted)]
    lines = [f"{_short(predicted)} {p:.2f}", f"true: {_short(true)}" if colour == WRONG else ""]
    for number, line in enumerate(lines):
        canvas.text((left, top + SIDE + number * LINE), line, INK, ImageFont.load_default(11))


def _short(name: str) -> str:
    """Make the name of a class fit under an image, and replace characters that are not printable.

    Examples
    --------
    >>> _short("a class with a long name")
    'a class with…'
    """
    plain = "".join(c if c.isprintable() else "\ufffd" for c in name)
    return plain if len(plain) <= 13 else f"{plain[:12]}…"
