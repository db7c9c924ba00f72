"""Samples of a source's images, used to choose options such as the precision."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from clipfeat.errors import ImageError
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord, frame_key, image_key
from clipfeat.images.video.frames import FRAMES


@dataclass(frozen=True, eq=False)
class Sample:
    """A decoded image or video frame.

    Parameters
    ----------
    key : bytes
        Content hash, as in a feature file.
    pixels : ndarray of shape (height, width, 3), uint8
        Upright RGB.
    """

    key: bytes
    pixels: RGB


def sample_records(records: Sequence[ImageRecord], n: int = 16) -> list[ImageRecord]:
    """Return `n` evenly spaced records, or all records if there are fewer."""
    n_samples = min(n, len(records))
    return [records[i * len(records) // n_samples] for i in range(n_samples)]


def sample_pixels(records: Sequence[ImageRecord], decoder: IsolatedDecoder) -> list[RGB]:
    """Decode a sample of the images, and leave out images that cannot be read."""
    return [sample.pixels for sample in decoded_samples(sample_records(records), decoder)]


def decoded_samples(records: Sequence[ImageRecord], decoder: IsolatedDecoder) -> Iterator[Sample]:
    """Decode images and video frames one by one, and leave out those that cannot be read."""
    with IsolatedDecoder(FRAMES) as frame_decoder:
        for record in records:
            is_frame = record.reader.content == "frame request"
            chosen = frame_decoder if is_frame else decoder
            with suppress(ImageError):
                data = record.reader.read()
                with chosen.decoded(data) as decoded:
                    pixels = decoded.pixels.copy()
                yield Sample(frame_key(pixels) if is_frame else image_key(data), pixels)
