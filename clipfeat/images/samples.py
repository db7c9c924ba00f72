"""Samples of a source's images, on which options such as the precision are chosen."""

from collections.abc import Sequence
from contextlib import suppress

from clipfeat.errors import ImageError
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord
from clipfeat.images.video.frames import FRAMES


def sample_records(records: Sequence[ImageRecord], n: int = 16) -> list[ImageRecord]:
    """Return `n` evenly spaced records, or all records if there are fewer."""
    n_samples = min(n, len(records))
    return [records[i * len(records) // n_samples] for i in range(n_samples)]


def sample_pixels(records: Sequence[ImageRecord], decoder: IsolatedDecoder) -> list[RGB]:
    """Decode a sample of the images, and leave out images that cannot be read."""
    samples = []
    with IsolatedDecoder(FRAMES) as frame_decoder:
        for record in sample_records(records):
            is_frame = record.reader.content == "frame request"
            chosen = frame_decoder if is_frame else decoder
            with suppress(ImageError), chosen.decoded(record.reader.read()) as decoded:
                samples.append(decoded.pixels.copy())
    return samples
