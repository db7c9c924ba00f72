"""A few of a source's images, decoded, for decisions that rest on the user's own pixels."""

from collections.abc import Sequence
from contextlib import suppress

from clipfeat.errors import ImageError
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord
from clipfeat.images.video.frames import FRAMES


def sample_records(records: Sequence[ImageRecord], n: int = 16) -> list[ImageRecord]:
    """Some images of a source, evenly spaced; all where there are no more."""
    most = min(n, len(records))
    return [records[i * len(records) // most] for i in range(most)]


def sample_pixels(records: Sequence[ImageRecord], decoder: IsolatedDecoder) -> list[RGB]:
    """Decode some images of a source; what cannot be read is left out."""
    found = []
    with IsolatedDecoder(FRAMES) as of_videos:
        for record in sample_records(records):
            content = record.reader.content
            chosen = of_videos if content == "frame request" else decoder
            with suppress(ImageError), chosen.decoded(record.reader.read()) as decoded:
                found.append(decoded.pixels.copy())
    return found
